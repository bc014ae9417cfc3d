"""What a name costs that a client made up: how many bytes, and for how long. No name costs anything for ever.

Each public method that takes a name is called with many new ones. What lies on the server then is counted, also
what will be left of it later, by what each key has to live. ``docs/data.md`` has the same table.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, aio
from redis_state.cache import RedisTextCache, RedisWordTimingCache
from tests.state.test_names import AWAITED, BLOCKING, TABLE, methods_with_names, settled
from tests.support import ROOT
from tests.support.servers import Server

NAMES = 150
SLACK = 8  # bytes a name, of keys that all names share
HOUR, DAY = 3600.0, 86400.0
TTL = 60.0  # of the mappings in the tests' table
DOCS = ROOT / "docs" / "data.md"


@dataclass(frozen=True)
class Cost:
    """What some methods leave of each new name: ``steps`` are (until so many seconds later, at most so many bytes)."""

    what: str
    methods: tuple[str, ...]
    steps: tuple[tuple[float, int], ...]


COSTS = {
    aio.RecordMapping: [
        Cost(
            "a record, beside its fields",
            ("create", "increment", "put", "put_many", "setdefault", "update"),
            ((TTL, 350), (3 * TTL, 150)),
        )
    ],
    aio.ValueMapping: [
        Cost(
            "a value, beside its bytes",
            ("add", "create", "increment", "put", "put_many", "setdefault", "update"),
            ((TTL, 250), (3 * TTL, 150)),
        )
    ],
    aio.StateManager: [Cost("a session, beside its fields", ("create_session",), ((HOUR, 350), (3 * HOUR, 150)))],
    aio.Locks: [Cost("a lock", ("lock",), ((DAY + 30, 150),))],
    aio.ProgressState: [Cost("progress", ("begin",), ((2 * HOUR, 5500), (6 * HOUR, 150)))],
    aio.ConversionState: [
        Cost("a claim, beside its fields", ("claim",), ((HOUR, 500), (3 * HOUR, 260), (DAY + 30, 150))),
        Cost("a lock of conversions", ("lock",), ((DAY + 30, 150),)),
    ],
    aio.UploadState: [
        Cost("an upload, beside its fields", ("create_session",), ((2 * HOUR, 950), (6 * HOUR, 550), (4 * DAY, 450)))
    ],
    aio.DownloadState: [Cost("a download", ("begin",), ((HOUR, 700), (3 * HOUR, 350), (4 * DAY, 250)))],
    aio.TextCache: [
        Cost(
            "a text, within the budget",
            ("get_or_load", "put", "put_entry", "put_many", "setdefault"),
            ((3 * DAY, 450),),
        )
    ],
    aio.WordTimingCache: [Cost("a word timing", ("get_or_compute",), ((DAY, 250), (3 * DAY, 150)))],
    aio.VoiceAccessTracker: [Cost("a voice, of one segment", ("record_segment_access",), ((2 * HOUR, 800),))],
    aio.UploadStats: [Cost("the statistics of a file", ("add_bytes", "put"), ((2 * HOUR, 500), (6 * HOUR, 150)))],
}
FAILED = Cost("a value whose computation failed", (), ((60.0, 1600),))
AWAITED_BY = Cost("a value that other callers wait for", (), ((10.0, 5200),))
PAIRS = dict(zip(BLOCKING, AWAITED, strict=True))


class Left:
    """What lies on a server: for each key its bytes, and the seconds that it has to live."""

    def __init__(self, server: Server, prefix: str) -> None:
        with server.client(decode_responses=False) as client:
            keys = client.keys(f"{prefix}:*")
            self.records = [key for key in keys if b"}:c:" in key]  # of calls: one for each caller at a time
            self.keys = {key: (client.memory_usage(key, samples=0), client.pttl(key) / 1000) for key in keys}
        for record in self.records:
            del self.keys[record]

    def after(self, seconds: float) -> float:
        """Return how many bytes a name are left so much later."""
        return sum(size for size, left in self.keys.values() if left > seconds + 1) / NAMES

    def is_within(self, steps: tuple[tuple[float, int], ...]) -> None:
        starts = (0.0, *(until for until, _ in steps))
        for start, most in zip(starts, [*(most for _, most in steps), 0], strict=True):
            assert self.after(start) <= most + SLACK, (start, sorted(self.keys.items())[:3])
        assert len(self.records) <= 4


def called(cls: type, method: str, url: str, prefix: str) -> None:
    """Call a method with new names."""
    make, calls = TABLE[cls]

    async def call(engine: Any) -> None:
        thing = make(engine, lambda text: text)
        for number in range(NAMES):
            new = {"a": f"made-up-{number}", "ann": f"owner-{number}"}
            _, *args = next(call for call in calls(lambda text, new=new: new.get(text, text)) if call[0] == method)  # type: ignore[misc]
            try:
                await settled(getattr(thing, method)(*args))
            except (KeyError, ValueError):  # there is no such thing
                continue

    async def use() -> None:
        if cls in BLOCKING:
            with Engine.from_url(url, prefix=prefix) as blocking:
                await call(blocking)
        else:
            async with AsyncEngine.from_url(url, prefix=prefix) as awaited:
                await call(awaited)

    asyncio.run(use())


METHODS = [
    (of if method in set(methods_with_names(of)) else cls, of, method)
    for cls, of in PAIRS.items()
    for method in sorted({*methods_with_names(cls), *methods_with_names(of)})
]


@pytest.mark.parametrize(("cls", "of", "method"), METHODS, ids=lambda part: getattr(part, "__name__", part))
def test_a_made_up_name_costs_no_more_than_is_said(
    server: Server, prefix: str, cls: type, of: type, method: str
) -> None:
    called(cls, method, server.url, prefix)
    steps = [cost.steps for cost in COSTS[of] if method in cost.methods]
    Left(server, prefix).is_within(steps[0] if steps else ())


def test_every_class_says_what_its_names_cost() -> None:
    assert set(COSTS) == set(AWAITED)


def fails(text: str = "no") -> Callable[[], Any]:
    def fail() -> Any:
        raise FileNotFoundError(text)

    return fail


@pytest.mark.parametrize(("name", "remembered"), [("made-up", 0.0), ("made-up" * 3000, 0.0), ("made-up" * 3000, 60.0)])
def test_a_value_that_cannot_be_had_costs_no_more_than_is_said(
    server: Server, engine: Engine, prefix: str, name: str, remembered: float
) -> None:
    texts, timings = RedisTextCache(engine=engine, budget=1 << 20), RedisWordTimingCache(engine=engine)
    longest = 0

    def look() -> Any:
        nonlocal longest
        with server.client(decode_responses=False) as client:
            longest = max(longest, *map(len, client.keys(f"{prefix}:*")))
        fails("x" * 100_000)()

    for number in range(NAMES // 2):
        for get in (texts.get_or_load, timings.get_or_compute):
            with pytest.raises(FileNotFoundError):
                get(f"{name}-{number}", look if number == 0 else fails("x" * 100_000), negative_ttl=remembered)
    Left(server, prefix).is_within(FAILED.steps if remembered else ())
    assert longest < 1200, "a key holds the hash of a long name"


def test_a_value_that_others_wait_for_costs_no_more_than_is_said(server: Server, engine: Engine, prefix: str) -> None:
    timings = RedisWordTimingCache(engine=engine)
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            inside, go_on = threading.Event(), threading.Event()

            def wait(inside: threading.Event = inside, go_on: threading.Event = go_on) -> Any:
                inside.set()
                assert go_on.wait(20)
                fails()()

            one = pool.submit(timings.get_or_compute, f"k{number}", wait)
            assert inside.wait(20)
            another = pool.submit(timings.get_or_compute, f"k{number}", fails())
            with server.client() as client:
                until = time.monotonic() + 20
                while not client.exists(f"{prefix}:{{word_timing}}:t:k{number}") and time.monotonic() < until:
                    time.sleep(0.005)
            go_on.set()
            assert isinstance(one.exception(20), FileNotFoundError)
            assert another.exception(20) is not None
    left = Left(server, prefix)
    ((lives, most),) = AWAITED_BY.steps
    assert left.keys
    assert all(size <= most for size, _ in left.keys.values())
    assert left.after(lives) * NAMES < 200, "the one token of all"


def span(cost: Cost, seconds: float) -> str:
    """Return a time as the documentation says it."""
    if cost is FAILED:
        return "`negative_ttl`"
    if cost.steps[0][0] == TTL:
        return "`ttl`" if seconds == TTL else f"{seconds / TTL:g} x `ttl`"
    if seconds < HOUR:
        return f"{seconds:g} s"
    return f"{seconds // HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:g} days"


def lines() -> list[str]:
    """Return the table as the documentation has it."""
    costs = [*(cost for costs in COSTS.values() for cost in costs), FAILED, AWAITED_BY]
    return [
        f"| {cost.what} | {', '.join(f'{most} B until {span(cost, until)}' for until, most in cost.steps)} |"
        for cost in costs
    ]


def test_the_documentation_says_the_same() -> None:
    said = DOCS.read_text()
    assert not [line for line in lines() if line not in said], "\n".join(lines())
