"""The same operations, awaited."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from redis_state import Engine, StaleToken, UnknownSession
from redis_state import RecordMapping as BlockingRecords
from redis_state.aio import AsyncEngine, ProgressState, RecordMapping, StateManager, ValueMapping
from redis_state.state import Progress, RedisProgressState
from redis_state.state.progress import NEWS_WAIT
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server

PATIENCE = 10.0  # seconds


@pytest.fixture
async def waiting(server: Server, prefix: str) -> AsyncIterator[AsyncEngine]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        yield engine


@pytest.fixture
async def records(waiting: AsyncEngine) -> RecordMapping:
    return RecordMapping(waiting, "things", ttl=60, container_id="c1")


@pytest.fixture
async def state(waiting: AsyncEngine) -> ProgressState:
    return ProgressState(waiting, "c1")


@pytest.fixture(params=[RecordMapping, ValueMapping])
async def m(request: pytest.FixtureRequest, waiting: AsyncEngine) -> Any:
    return request.param(waiting, "things", ttl=60)


async def test_the_count_of_a_run_stays_within_its_total(state: ProgressState) -> None:
    await state.begin("t", 4)
    assert await state.segment_progress.increment("t", "processed_segments", 9) == 4
    await state.segment_progress.patch("t", {"total_segments": 3})
    assert await state.get("t") == Progress(3, 3)
    await state.segment_progress.put("t", {"total_segments": 2, "processed_segments": 9})
    assert (await state.segment_progress.get("t"))["processed_segments"] == 2
    await state.segment_progress.mutate("t", lambda run: run.update(processed_segments=-1))
    assert (await state.segment_progress.get("t"))["processed_segments"] == 0


# --- mappings -----------------------------------------------------------------------------------------


async def test_a_mapping_does_what_the_dict_does(m: Any) -> None:
    await m.put("a", {"n": 1})
    assert await m.get("a") == {"n": 1}
    assert await m.get("none") is None
    assert await m.get("none", 5) == 5
    assert await m.contains("a")
    assert await m.count() == 1
    assert await m.keys() == ["a"]
    assert await m.create("a", {"n": 2}) is False
    assert await m.setdefault("a", {"n": 2}) == {"n": 1}
    assert await m.setdefault("b", {"n": 2}) == {"n": 2}
    assert await m.pop("b") == {"n": 2}
    assert await m.pop("b", 5) == 5
    assert await m.delete("a") is True
    assert await m.delete("a") is False
    with pytest.raises(KeyError, match="there is no entry"):
        await m.popitem()
    with pytest.raises(KeyError, match="none"):
        await m.pop("none")


async def test_many_entries_are_written_read_and_iterated(m: Any) -> None:
    many = {f"k{n}": {"n": n} for n in range(1203)}
    await m.put_many(many)
    assert await m.count() == 1203
    assert await m.get_many([*many, "none"]) == many
    assert {key: value async for key, value in m.items()} == many
    assert await m.copy() == many
    assert sorted([value["n"] async for value in m.values()]) == list(range(1203))
    assert sorted([key async for key in m]) == sorted(many)
    key, value = await m.popitem()
    assert value == many[key]
    await m.clear()
    assert await m.count() == 0


async def test_times_to_live_are_the_same(m: Any) -> None:
    await m.put("a", {"n": 1}, ttl=500)
    assert 490 < await m.ttl("a") <= 500
    assert await m.touch("a", 5) is True
    assert await m.ttl("a") <= 5
    assert await m.touch("none") is False
    assert await m.ttl("none") is None


async def test_what_comes_out_is_plain(m: Any) -> None:
    await m.put("a", {"list": [1], "n": 1})
    found = await m.get("a")
    found["list"].append(2)
    found["n"] += 1
    assert await m.get("a") == {"list": [1], "n": 1}


@pytest.mark.parametrize("key", [1, None, b"a"])
async def test_a_key_is_a_string(m: Any, key: Any) -> None:
    with pytest.raises(TypeError, match="a key is a string"):
        await m.get(key)
    with pytest.raises(TypeError, match="a key is a string"):
        await m.put_many({"fine": {"n": 1}, key: {"n": 1}})
    assert await m.count() == 0


async def test_records_are_written_field_by_field(records: RecordMapping) -> None:
    assert await records.patch("a", {"n": 1}) is False
    assert await records.increment("a", "n", 5) == 5
    assert await records.patch("a", {"text": "b"}) is True
    assert await records.mutate("a", lambda fields: fields.update(n=7)) == {"n": 7, "text": "b"}
    assert await records.owner("a") == "c1"
    assert await records.owned_by("c1") == ["a"]
    version = await records.put("a", {"n": 1}, fence=7)
    assert await records.put_if_version("a", {"n": 2}, version) is True
    assert await records.put_if_version("a", {"n": 3}, version) is False
    with pytest.raises(StaleToken):
        await records.patch("a", {"n": 3}, fence=6)
    assert await records.get("a") == {"n": 2}


async def test_both_faces_share_the_data(records: RecordMapping, engine: Engine) -> None:
    blocking = BlockingRecords("things", ttl=60, engine=engine)
    await records.put("a", {"n": 1})
    blocking["a"]["n"] += 1
    assert await records.get("a") == blocking["a"] == {"n": 2}


async def test_no_addition_of_many_tasks_is_lost(records: RecordMapping) -> None:
    sums = await asyncio.gather(*[records.increment("a", "n") for _ in range(300)])
    assert sorted(sums) == list(range(1, 301))


async def test_of_many_tasks_one_creates_and_one_takes(m: Any) -> None:
    assert sum(await asyncio.gather(*[m.create("a", {"n": n}) for n in range(50)])) == 1
    assert sum(found is not None for found in await asyncio.gather(*[m.pop("a", None) for _ in range(50)])) == 1


async def test_sessions_are_the_same(waiting: AsyncEngine) -> None:
    manager, other = (StateManager(waiting, "sessions", name) for name in ("c1", "c2"))
    assert await manager.create_session("k", {"n": 1}, ttl=500) is True
    assert await other.create_session("k", {"n": 2}) is False
    assert await other.update_session("k", {"m": 2}) is True
    assert await manager.get_session("k") == {"n": 1, "m": 2}
    assert await other.owner("k") == "c1"
    assert await other.owned_by("c1") == ["k"]
    assert await manager.delete_session("k") is True
    assert await manager.get_session("k") is None
    assert await manager.update_session("k", {"n": 1}) is False


# --- progress -----------------------------------------------------------------------------------------


async def test_progress_is_the_same(state: ProgressState) -> None:
    assert await state.begin("t", 2) == Progress(0, 2)
    assert await state.mark("t", 0) == await state.mark("t", 0) == Progress(1, 2)
    assert await state.advance("t") == Progress(2, 2, "completed", completed_now=True)
    assert await state.get("t") == Progress(2, 2, "completed")
    assert await state.claim_completion("t") is None
    assert await state.pending_completions() == []
    assert await state.confirm_completion("t") is True
    assert (await state.begin("t", 3, restart=True)).total == 3
    assert (await state.fail("t", "x")).status == "failed"
    assert (await state.segment_progress.get("t"))["error"] == "x"
    with pytest.raises(UnknownSession):
        await state.mark("unknown", 0)


async def test_a_completion_is_offered_again_after_its_lease(waiting: AsyncEngine) -> None:
    state = ProgressState(waiting, completion_lease=0.05)
    await state.begin("t", 1)
    await state.mark("t", 0)
    async with asyncio.timeout(PATIENCE):
        while await state.pending_completions() != ["t"]:
            await asyncio.sleep(0.01)
    claimed = await asyncio.gather(*[ProgressState(waiting).claim_completion("t") for _ in range(20)])
    assert sum(found is not None for found in claimed) == 1


async def test_of_many_tasks_one_hears_of_the_completion(state: ProgressState) -> None:
    await state.begin("t", 50)
    answers = await asyncio.gather(*[state.mark("t", n % 50) for n in range(200)])
    assert sum(answer.completed_now for answer in answers) == 1


@pytest.mark.timing
async def test_changes_are_pushed(state: ProgressState, engine: Engine, machine_lag: MachineLag) -> None:
    await state.begin("t", 12)
    elsewhere = RedisProgressState(engine=engine)
    began = time.monotonic()
    seen = []
    async for progress in state.watch("t", timeout=PATIENCE):
        seen.append(progress.processed)
        if not progress.finished:
            asyncio.get_running_loop().call_later(0.02, elsewhere.mark, "t", progress.processed)
    assert seen == list(range(13))
    assert time.monotonic() - began < 5 * NEWS_WAIT + 12 * machine_lag.slack


async def test_a_watch_ends_after_its_time_without_news(state: ProgressState) -> None:
    await state.begin("t", 2)
    assert [seen async for seen in state.watch("t", timeout=0.1)] == [Progress(0, 2)]


async def test_a_watch_of_an_unknown_run_is_a_key_error(state: ProgressState) -> None:
    with pytest.raises(UnknownSession):
        async for _ in state.watch("unknown"):
            pass


async def test_many_watchers_leave_room_for_calls(server: Server, prefix: str, machine_lag: MachineLag) -> None:
    async with AsyncEngine.from_url(server.url, prefix=prefix, max_connections=2) as engine:
        state = ProgressState(engine)
        await state.begin("t", 1)

        async def last() -> Progress:
            return [seen async for seen in state.watch("t", timeout=PATIENCE)][-1]

        watchers = [asyncio.create_task(last()) for _ in range(10)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await state.mark("t", 0)
        # Behind ten watchers in two places it would be five.
        assert time.monotonic() - began < 2.5 * NEWS_WAIT + machine_lag.slack
        assert await asyncio.gather(*watchers) == [Progress(1, 1, "completed")] * 10


# --- the engine's life --------------------------------------------------------------------------------


async def test_a_cancelled_call_leaves_the_engine_usable(records: RecordMapping) -> None:
    await records.put("a", {"n": 0})
    for turn in range(40):
        call = asyncio.create_task(records.increment("a", "n"))
        for _ in range(turn % 8):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        before = (await records.get("a"))["n"]
        assert await records.increment("a", "n") == before + 1
    assert 40 <= (await records.get("a"))["n"] <= 80


async def test_a_cancelled_watch_leaves_the_engine_usable(state: ProgressState) -> None:
    await state.begin("t", 2)

    async def watch() -> None:
        async for _ in state.watch("t"):
            pass

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    watcher.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watcher
    assert await state.mark("t", 0) == Progress(1, 2)


async def test_a_call_can_be_given_a_time(records: RecordMapping, server: Server) -> None:
    await records.put("a", {"n": 1})
    server.pause()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await records.get("a")
    finally:
        server.resume()
    assert await records.get("a") == {"n": 1}


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the first loop left its connections open
def test_an_engine_serves_one_event_loop_after_another(server: Server, prefix: str) -> None:
    engine = AsyncEngine.from_url(server.url, prefix=prefix)
    records = RecordMapping(engine, "things", ttl=60)

    async def count(last: bool) -> Any:
        found = await asyncio.gather(*[records.increment("a", "n") for _ in range(10)])
        if last:
            await engine.close()
        return max(found)

    assert asyncio.run(count(False)) == 10
    assert asyncio.run(count(True)) == 20
    gc.collect()
