"""For type checkers, and never run: each line is judged as its comment says. No comment: it is right.

``# error: code``: mypy --strict says so, and pyright refuses the line, too. ``# reveals: type``: both take the
expression for that.
"""

from __future__ import annotations

import asyncio
from typing import TypedDict, reveal_type

from redis_state import Locks, RecordMapping, ValueMapping, aio
from redis_state.cache import text_cache, word_timing_cache
from redis_state.state import conversion_state, progress_state, upload_state


class Job(TypedDict):
    """What is kept of a job."""

    done: int
    tags: list[str]


async def number() -> int:
    return 5


async def text() -> str:
    return "text"


jobs: RecordMapping[Job] = RecordMapping("jobs", ttl=60)
counts: ValueMapping[int] = ValueMapping("counts", ttl=60)
anything, values = RecordMapping("anything", ttl=60), ValueMapping("values", ttl=60)


def records() -> None:
    reveal_type(jobs["a"]["done"])  # reveals: int
    reveal_type(jobs.get("a"))  # reveals: Job | None
    jobs["a"]["done"] += 1
    jobs["a"]["donne"] += 1  # error: typeddict-item
    jobs["a"] = {"done": 1, "tags": []}
    jobs["a"] = {"done": "1", "tags": []}  # error: typeddict-item
    jobs.put("a", {"done": 1, "tags": []}, ttl=5)
    jobs.put("a", {"done": 1, "tag": []})  # error: typeddict-item
    jobs.create("a", {"done": 1})  # error: typeddict-item
    jobs.mutate("a", lambda job: job["tags"].append("late"))
    jobs.mutate("a", lambda job: job["tag"].append("late"))  # error: typeddict-item
    jobs.incremnt("a", "done")  # error: attr-defined


def records_of_any_fields() -> None:
    reveal_type(anything["a"])  # reveals: Record
    anything["a"] = {"n": 1}
    anything["a"]["n"] += 1
    anything.put("a", {"n": 1})
    anything.mutate("a", lambda record: record.update(n=2))
    reveal_type(anything["a"].refresh().version)  # reveals: int
    anything["a"] = 5  # error: call-overload


def opaque_values() -> None:
    reveal_type(counts["a"])  # reveals: int
    reveal_type(counts.get("a"))  # reveals: int | None
    counts["a"] += 1
    counts["a"] = "one"  # error: assignment
    counts.put("a", "one")  # error: arg-type
    counts.update(a="one")  # error: arg-type
    values["a"] = "one"
    values["a"] = [1]


async def awaited(engine: aio.AsyncEngine) -> None:
    jobs: aio.RecordMapping[Job] = aio.RecordMapping(engine, "jobs", ttl=60)
    counts: aio.ValueMapping[int] = aio.ValueMapping("counts", engine, ttl=60)
    anything = aio.RecordMapping("anything", ttl=60)
    reveal_type(await jobs.get("a"))  # reveals: Job | None
    reveal_type(await counts.pop("a"))  # reveals: int
    reveal_type(await anything.setdefault("a", {"n": 1}))  # reveals: dict[str, Any]
    await jobs.put("a", {"done": 1, "tags": []})
    await jobs.put("a", {"donne": 1})  # error: typeddict-item
    await counts.create("a", "one")  # error: arg-type
    await anything.put("a", {"n": 1})
    async for job in jobs.values():
        reveal_type(job)  # reveals: Job


async def forgotten(engine: aio.AsyncEngine) -> None:
    progress, records = aio.ProgressState(engine), aio.RecordMapping(engine, "jobs", ttl=60)
    progress.confirm_completion("a")  # error: unused-coroutine
    records.put("a", {"n": 1})  # error: unused-coroutine
    records.pop("a")  # error: unused-coroutine
    aio.text_cache.cache.put_many({})  # error: unused-coroutine
    task = asyncio.create_task(progress.get("a"))
    reveal_type(await task)  # reveals: Progress | None
    session = await aio.upload_state.get_session("u")
    session.nonsense()  # error: union-attr


def options() -> None:
    conversion_state.claim("a", leese=3)  # error: call-arg
    upload_state.claim_assembly("a", leese=3)  # error: call-arg
    Locks("l").lock("a", leese=3)  # error: call-arg
    progress_state.begin("a", 3, restrat=True)  # error: call-arg
    text_cache.get_or_load("a", str, stalefor=3)  # error: call-arg


def options_awaited() -> None:
    aio.conversion_state.claim("a", leese=3)  # error: call-arg
    aio.upload_state.claim_assembly("a", leese=3)  # error: call-arg
    aio.Locks("l").lock("a", leese=3)  # error: call-arg


async def computed() -> None:
    reveal_type(word_timing_cache.get_or_compute("a", lambda: 5))  # reveals: int
    reveal_type(await aio.word_timing_cache.get_or_compute("a", lambda: 5))  # reveals: int
    reveal_type(await aio.word_timing_cache.get_or_compute("a", number))  # reveals: int
    reveal_type(await aio.word_timing_cache.get_or_compute("a", lambda: asyncio.to_thread(int)))  # reveals: int
    await aio.text_cache.get_or_load("a", text)
    await aio.text_cache.get_or_load("a", lambda: "text")
    await aio.text_cache.get_or_load("a", number)  # error: arg-type
