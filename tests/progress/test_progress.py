"""Progress is a set, not a sum; its completion is delivered to one caller at a time, until one confirms."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import Engine, SegmentOutOfRange, ServerUnavailable, StaleToken, UnknownSession
from redis_state.aio import AsyncEngine, ProgressState
from redis_state.progress import operations
from redis_state.progress.watching import NEWS_WAIT
from redis_state.state import Progress, RedisProgressState
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server, available, newest
from tests.support.waits import eventually

PATIENCE = 10.0  # seconds
SOON = 0.05  # seconds: a lease that is over soon


@pytest.fixture
def state(engine: Engine) -> RedisProgressState:
    return RedisProgressState(container_id="c1", engine=engine)


@pytest.fixture
def hasty(engine: Engine) -> RedisProgressState:
    """One whose completions are offered again soon."""
    return RedisProgressState(container_id="c2", engine=engine, completion_lease=SOON)


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def either(request: pytest.FixtureRequest, engine: Engine) -> Iterator[RedisProgressState]:
    with Engine(engine.settings.with_changes(partitions=request.param)) as made:
        yield RedisProgressState(engine=made, completion_lease=SOON)


# --- counting -----------------------------------------------------------------------------------------


def test_a_run_begins_at_nothing(state: RedisProgressState) -> None:
    assert state.begin("t", 4) == Progress(0, 4, "processing")
    assert state.get("t") == Progress(0, 4, "processing")
    assert state.segment_progress["t"] == {"total_segments": 4, "processed_segments": 0, "status": "processing"}
    assert 7190 < state.segment_progress.ttl("t") <= 7200  # type: ignore[operator]


def test_each_segment_counts_once(either: RedisProgressState) -> None:
    either.begin("t", 4)
    assert [either.mark("t", segment).processed for segment in (2, 0, 2, 2, 0, 3)] == [1, 2, 2, 2, 2, 3]
    assert either.get("t") == Progress(3, 4)
    assert either.get("t").fraction == 0.75  # type: ignore[union-attr]


def test_joining_a_run_changes_nothing(state: RedisProgressState, hasty: RedisProgressState) -> None:
    state.begin("t", 4)
    state.mark("t", 1)
    assert hasty.begin("t", 4) == Progress(1, 4)
    assert hasty.mark("t", 1) == Progress(1, 4)


def test_another_total_is_refused(state: RedisProgressState) -> None:
    state.begin("t", 4)
    state.mark("t", 1)
    with pytest.raises(ValueError, match=r"'t' is running with 4 segments, not 5"):
        state.begin("t", 5)
    assert state.get("t") == Progress(1, 4)


def test_restart_begins_anew_with_fresh_marks(state: RedisProgressState) -> None:
    state.begin("t", 2)
    state.segment_progress["t"]["voice"] = "anna"
    state.mark("t", 0)
    state.mark("t", 1)
    assert state.begin("t", 3, restart=True) == Progress(0, 3)
    assert [state.mark("t", segment).processed for segment in (0, 1)] == [1, 2]
    assert state.mark("t", 2).completed_now
    assert state.segment_progress["t"]["voice"] == "anna"


def test_advance_stays_between_nothing_and_all(either: RedisProgressState) -> None:
    either.begin("t", 4)
    found = [either.advance("t", by).processed for by in (1, -5, 3, 0, -1)]
    assert found == [1, 0, 3, 3, 2]
    assert either.advance("t", 10**30) == Progress(4, 4, "completed", completed_now=True)
    assert either.advance("t", -(10**30)) == Progress(4, 4, "completed")


def test_marks_on_top_of_an_advance_never_exceed_the_total(state: RedisProgressState) -> None:
    state.begin("t", 3)
    state.advance("t", 2)
    found = [state.mark("t", segment) for segment in (0, 1, 2)]
    assert [seen.processed for seen in found] == [3, 3, 3]
    assert [seen.completed_now for seen in found] == [True, False, False]


@pytest.mark.parametrize("segment", [-1, 4, 10**20, -(10**20)])
def test_a_segment_outside_is_refused(state: RedisProgressState, segment: int) -> None:
    state.begin("t", 4)
    with pytest.raises(SegmentOutOfRange, match=r"'t' has segments 0\.\.3, not") as caught:
        state.mark("t", segment)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.segment, caught.value.total) == (segment, 4)
    assert state.get("t") == Progress(0, 4)


@pytest.mark.parametrize(
    "touch",
    [
        lambda state: state.mark("t", 0),
        lambda state: state.advance("t"),
        lambda state: state.fail("t", "x"),
        lambda state: next(state.watch("t")),
    ],
)
def test_an_unknown_run_is_a_key_error(state: RedisProgressState, touch: Callable[[RedisProgressState], Any]) -> None:
    with pytest.raises(UnknownSession, match="'t'") as caught:
        touch(state)
    assert isinstance(caught.value, KeyError)
    assert state.get("t") is None
    assert state.claim_completion("t") is None
    assert state.confirm_completion("t") is False
    assert len(state.segment_progress) == 0


@pytest.mark.parametrize("total", [0, -1, 1.5, "4", None, True, 2**32])
def test_a_total_is_a_number_of_segments(state: RedisProgressState, total: Any) -> None:
    with pytest.raises(ValueError, match="total="):
        state.begin("t", total)
    assert state.get("t") is None


@pytest.mark.parametrize("wrong", [1.5, "1", None, True])
def test_segments_and_steps_are_whole_numbers(state: RedisProgressState, wrong: Any) -> None:
    state.begin("t", 4)
    for touch in (state.mark, state.advance):
        with pytest.raises(TypeError, match="t"):
            touch("t", wrong)
    assert state.get("t") == Progress(0, 4)


@pytest.mark.parametrize("lease", [0, -1, float("nan"), 1e9])
def test_a_lease_is_bounded(engine: Engine, lease: float) -> None:
    with pytest.raises(ValueError, match="completion_lease"):
        RedisProgressState(engine=engine, completion_lease=lease)


def test_marks_take_a_megabyte_at_most(state: RedisProgressState, server: Server) -> None:
    state.begin("t", 2**32 - 1)
    with pytest.raises(ValueError, match="'t': segment 8388608: .*advance"):
        state.mark("t", 2**23)
    assert state.mark("t", 2**23 - 1).processed == 1
    with server.client() as client:
        assert client.strlen(state.segment_progress.entries.keys.key("bitmap", "t")) == 2**20
    assert state.advance("t", 2**31).processed == 2**31 + 1


def test_runs_do_not_touch_each_other(either: RedisProgressState) -> None:
    for n in range(10):
        either.begin(f"t{n}", 5)
        for segment in range(n % 5):
            either.mark(f"t{n}", segment)
    assert [either.get(f"t{n}").processed for n in range(10)] == [0, 1, 2, 3, 4] * 2  # type: ignore[union-attr]


# --- completion ---------------------------------------------------------------------------------------


def complete(state: RedisProgressState, track: str = "t") -> None:
    state.begin(track, 1, restart=True)
    assert state.mark(track, 0) == Progress(1, 1, "completed", completed_now=True)


def test_completion_is_told_once(either: RedisProgressState) -> None:
    complete(either)
    assert either.mark("t", 0) == Progress(1, 1, "completed")
    assert either.advance("t") == Progress(1, 1, "completed")
    assert either.begin("t", 1) == Progress(1, 1, "completed")
    assert either.get("t").finished  # type: ignore[union-attr]


def test_a_completion_is_confirmed_once(state: RedisProgressState) -> None:
    complete(state)
    assert state.confirm_completion("t") is True
    assert state.confirm_completion("t") is False


def test_a_run_that_is_not_complete_cannot_be_confirmed_or_claimed(state: RedisProgressState) -> None:
    state.begin("t", 2)
    state.mark("t", 0)
    assert state.confirm_completion("t") is False
    assert state.claim_completion("t") is None


def test_a_completion_in_its_lease_is_on_offer_to_nobody(state: RedisProgressState) -> None:
    complete(state)
    assert state.pending_completions() == []
    assert state.claim_completion("t") is None


def test_a_completion_is_offered_again_when_its_lease_is_over(either: RedisProgressState) -> None:
    patient = RedisProgressState(engine=either.segment_progress.engine)
    complete(either, "a")
    complete(either, "b")
    assert eventually(lambda: sorted(either.pending_completions()) == ["a", "b"])
    assert patient.claim_completion("a") == Progress(1, 1, "completed", completed_now=True)
    assert patient.claim_completion("a") is None
    assert patient.pending_completions() == ["b"]
    assert patient.confirm_completion("a") is True


def test_a_claim_that_is_not_confirmed_is_offered_again(hasty: RedisProgressState) -> None:
    complete(hasty)
    assert eventually(lambda: hasty.claim_completion("t"))
    assert eventually(lambda: hasty.claim_completion("t"))
    assert hasty.confirm_completion("t") is True
    time.sleep(2 * SOON)
    assert hasty.claim_completion("t") is None


def test_a_confirmed_completion_is_offered_to_nobody(hasty: RedisProgressState) -> None:
    complete(hasty)
    assert hasty.confirm_completion("t") is True
    time.sleep(2 * SOON)
    assert hasty.pending_completions() == []
    assert hasty.claim_completion("t") is None


@pytest.mark.parametrize(
    "end",
    [
        lambda state: state.segment_progress.delete("t"),
        lambda state: state.segment_progress.put("t", {"total_segments": 1}),
        lambda state: state.begin("t", 1, restart=True),
        lambda state: state.fail("t", "no disk"),
    ],
    ids=["delete", "put", "restart", "fail"],
)
def test_the_completion_of_a_run_that_is_no_more_is_forgotten(
    hasty: RedisProgressState, server: Server, end: Callable[[RedisProgressState], Any]
) -> None:
    complete(hasty)
    end(hasty)
    time.sleep(2 * SOON)
    assert hasty.pending_completions() == []
    assert hasty.claim_completion("t") is None
    with server.client() as client:
        assert client.exists(hasty.segment_progress.entries.keys.key("completions", "t")) == 0


def test_a_restart_takes_the_completion_back(state: RedisProgressState) -> None:
    complete(state)
    state.begin("t", 1, restart=True)
    assert state.confirm_completion("t") is False


def test_a_run_can_complete_again_after_a_restart(hasty: RedisProgressState) -> None:
    for _ in range(3):
        complete(hasty)
        assert eventually(hasty.pending_completions) == ["t"]


def test_a_failed_run_completes_no_more(state: RedisProgressState) -> None:
    state.begin("t", 2)
    state.mark("t", 0)
    assert state.fail("t", OSError("no disk")) == Progress(1, 2, "failed")
    assert state.segment_progress["t"]["error"] == "OSError: no disk"
    assert state.mark("t", 1) == Progress(2, 2, "failed")
    assert state.begin("t", 2, restart=True) == Progress(0, 2)
    assert "error" not in state.segment_progress["t"]
    assert state.segment_progress["t"]["status"] == "processing"


# --- the dict behind it -------------------------------------------------------------------------------


def test_an_entry_of_the_application_can_be_counted(state: RedisProgressState) -> None:
    state.segment_progress["t"] = {"total_segments": 100, "processed_segments": 98, "title": "A"}
    assert state.get("t") == Progress(98, 100)
    assert state.begin("t", 100) == Progress(98, 100)
    assert state.mark("t", 99) == Progress(99, 100)
    assert state.advance("t").completed_now
    assert state.segment_progress["t"]["title"] == "A"


def test_a_status_of_the_application_does_not_hinder_completion(state: RedisProgressState) -> None:
    state.segment_progress["t"] = {"total_segments": 2, "processed_segments": 1, "status": "in progress"}
    assert state.advance("t") == Progress(2, 2, "completed", completed_now=True)
    assert not state.advance("t").completed_now


@pytest.mark.parametrize(("total", "seen"), [(10.0, Progress(1, 10)), ("10", None), (None, None), ([1], None)])
def test_odd_fields_of_the_application_break_nothing(state: RedisProgressState, total: Any, seen: Any) -> None:
    state.segment_progress["t"] = {"total_segments": total, "processed_segments": 1.5}
    assert state.get("t") == seen
    if seen is None:
        with pytest.raises(UnknownSession):
            state.mark("t", 0)


def test_what_is_shown_is_between_nothing_and_all(state: RedisProgressState) -> None:
    state.segment_progress["t"] = {"total_segments": 10, "processed_segments": 50}
    assert state.get("t").processed == 10  # type: ignore[union-attr]
    state.segment_progress["t"]["processed_segments"] = -5
    assert state.begin("t", 10).processed == 0


def grow(record: Any) -> None:
    record["processed_segments"] += 5


@pytest.mark.parametrize(
    ("write", "count"),
    [
        (lambda runs: grow(runs["t"]), 4),
        (lambda runs: runs.increment("t", "processed_segments", 1e300), 4),
        (lambda runs: runs.increment("t", "processed_segments", -9), 0),
        (lambda runs: runs.increment("t", "total_segments", -3), 1),
        (lambda runs: runs.patch("t", {"processed_segments": 9, "title": "A"}), 4),
        (lambda runs: runs.patch("t", {"total_segments": 1}), 1),
        (lambda runs: runs.patch("t", {"total_segments": 8, "processed_segments": 9}), 8),
        (lambda runs: runs["t"].update(processed_segments=-1), 0),
        (lambda runs: runs["t"].__setitem__("processed_segments", 10**30), 4),
        (lambda runs: runs.put("t", {"total_segments": 3, "processed_segments": 9}), 3),
        (lambda runs: runs.update({"t": {"total_segments": 3, "processed_segments": 9}}), 3),
        (lambda runs: runs.mutate("t", lambda run: run.update(processed_segments=9)), 4),
        (lambda runs: runs["t"].pop("total_segments") and runs["t"].setdefault("total_segments", 1), 1),
        (lambda runs: runs["t"].pop("processed_segments") and runs["t"].setdefault("processed_segments", 7), 4),
        (lambda runs: runs["t"].pop("processed_segments") and runs.increment("t", "processed_segments", 7), 4),
        (lambda runs: runs["t"].setdefault("processed_segments", 7), 2),
    ],
)
def test_the_count_stays_within_the_total_however_it_is_written(
    state: RedisProgressState, write: Callable[[Any], Any], count: int
) -> None:
    state.begin("t", 4)
    state.advance("t", 2)
    write(state.segment_progress)
    assert state.segment_progress["t"]["processed_segments"] == count


def test_what_adds_past_the_total_is_told_the_total(state: RedisProgressState) -> None:
    state.begin("t", 4)
    record = state.segment_progress["t"]
    grow(record)
    assert record["processed_segments"] == 4
    assert state.segment_progress.increment("t", "processed_segments") == 4
    assert state.segment_progress.increment("new", "processed_segments", 7) == 7  # of a run without a total
    with pytest.raises(TypeError, match="no number"):
        state.segment_progress["u"] = {"processed_segments": "many"}
        state.segment_progress.increment("u", "processed_segments")
    with pytest.raises(KeyError):
        del state.segment_progress["t"]
        grow(record)


def test_writes_of_a_run_are_fenced(state: RedisProgressState) -> None:
    state.begin("t", 4)
    runs = state.segment_progress
    assert runs.patch("t", {"processed_segments": 1}, fence=7)
    for write in (
        lambda: runs.patch("t", {"processed_segments": 2}, fence=6),
        lambda: runs.increment("t", "processed_segments", fence=6),
    ):
        with pytest.raises(StaleToken):
            write()
    assert runs.increment("t", "processed_segments", fence=8) == 2
    assert runs.patch("none", {"processed_segments": 2}) is False


@pytest.mark.parametrize(
    "end",
    [
        lambda state: state.segment_progress.put("t", {"total_segments": 3}),
        lambda state: state.segment_progress.delete("t"),
        lambda state: state.segment_progress.pop("t"),
        lambda state: state.segment_progress.clear(),
        lambda state: state.segment_progress.popitem(),
    ],
    ids=["put", "delete", "pop", "clear", "popitem"],
)
def test_the_marks_go_with_the_entry(state: RedisProgressState, end: Callable[[RedisProgressState], Any]) -> None:
    state.begin("t", 3)
    state.mark("t", 1)
    end(state)
    state.begin("t", 3)
    assert state.mark("t", 1) == Progress(1, 3)


@pytest.mark.parametrize(
    "write",
    [
        lambda state: state.segment_progress.patch("t", {"a": 1}),
        lambda state: state.segment_progress.touch("t"),
        lambda state: state.segment_progress.increment("t", "a"),
        lambda state: state.segment_progress.mutate("t", lambda fields: fields),
        lambda state: state.segment_progress["t"].setdefault("new", 1),
        lambda state: state.mark("t", 1),
        lambda state: state.mark("t", 0),
        lambda state: state.advance("t"),
        lambda state: state.fail("t", "x"),
    ],
    ids=["patch", "touch", "increment", "mutate", "setdefault", "mark", "mark again", "advance", "fail"],
)
def test_the_marks_live_as_long_as_the_entry(
    state: RedisProgressState, server: Server, write: Callable[[RedisProgressState], Any]
) -> None:
    state.begin("t", 3)
    state.mark("t", 0)
    keys = state.segment_progress.entries.keys
    together = [keys.key("entry", "t"), keys.key("bitmap", "t"), keys.key("news", "t")]
    with server.client() as client:
        for key in together:
            client.pexpire(key, 5_000)
        write(state)
        ends = [client.pttl(key) for key in together]
    assert min(ends) > 7_190_000
    assert max(ends) - min(ends) < 1000


def test_a_write_from_before_survives_with_its_marks(state: RedisProgressState) -> None:
    state.begin("t", 3)
    state.mark("t", 0)
    state.segment_progress.mutate("t", lambda fields: fields.update(title="A"))
    assert state.mark("t", 0) == Progress(1, 3)


# --- watching -----------------------------------------------------------------------------------------


def test_a_watcher_sees_the_run_at_once(state: RedisProgressState) -> None:
    state.begin("t", 4)
    state.mark("t", 0)
    assert next(state.watch("t")) == Progress(1, 4)


@pytest.mark.parametrize("end", [lambda state: state.mark("t", 0), lambda state: state.fail("t", "x")])
def test_a_watch_of_a_finished_run_ends_at_once(state: RedisProgressState, end: Callable[[Any], Any]) -> None:
    state.begin("t", 1)
    end(state)
    (seen,) = state.watch("t")
    assert seen.finished


def test_a_watch_ends_after_its_time_without_news(state: RedisProgressState) -> None:
    state.begin("t", 4)
    began = time.monotonic()
    assert list(state.watch("t", timeout=0.1)) == [Progress(0, 4)]
    assert time.monotonic() - began >= 0.1


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that may be frozen."""
    with Server(available()[newest()]) as running:
        yield running
        running.resume()


def test_a_watch_of_a_frozen_server_ends_by_its_time(own: Server, machine_lag: MachineLag) -> None:
    with Engine.from_url(own.url, socket_timeout=0.5, deadline=30) as engine:
        state = RedisProgressState(engine=engine)
        state.begin("t", 4)
        watch = state.watch("t", timeout=1.0)
        assert next(watch) == Progress(0, 4)
        own.pause()
        began = time.monotonic()
        assert list(watch) == []
        assert 1.0 <= time.monotonic() - began < 15.0 + machine_lag.slack
        began = time.monotonic()
        with pytest.raises(ServerUnavailable):
            next(state.watch("t", timeout=0.2))
        assert time.monotonic() - began < 15.0 + machine_lag.slack


async def test_an_awaited_watch_of_a_frozen_server_ends_by_its_time(own: Server) -> None:
    async with AsyncEngine.from_url(own.url, socket_timeout=0.5, deadline=30) as engine:
        state = ProgressState(engine)
        await state.begin("t", 4)
        watch = state.watch("t", timeout=1.0)
        assert await anext(watch) == Progress(0, 4)
        own.pause()
        began = time.monotonic()
        assert [seen async for seen in watch] == []
        assert 1.0 <= time.monotonic() - began < 15.0


def test_a_watch_without_a_time_waits_for_as_long_as_its_engine_does(own: Server) -> None:
    with Engine.from_url(own.url, socket_timeout=0.2, deadline=0.5) as engine:
        state = RedisProgressState(engine=engine)
        state.begin("t", 4)
        for timeout in (None, 60):
            watch = state.watch("t", timeout=timeout)
            next(watch)
            own.pause()
            with pytest.raises(ServerUnavailable):
                next(watch)
            own.resume()


@pytest.mark.timing
def test_changes_are_pushed(state: RedisProgressState, machine_lag: MachineLag) -> None:
    """Twelve changes, each made when the last was seen, would take a watcher that polls twelve of its waits."""
    state.begin("t", 12)
    began = time.monotonic()
    seen = []
    for progress in state.watch("t", timeout=PATIENCE):
        seen.append(progress.processed)
        if not progress.finished:
            threading.Timer(0.02, state.mark, ("t", progress.processed)).start()
    assert seen == list(range(13))
    assert time.monotonic() - began < 5 * NEWS_WAIT + 12 * machine_lag.slack


def test_a_watcher_sees_the_end_of_a_failed_run(state: RedisProgressState) -> None:
    state.begin("t", 4)
    watch = state.watch("t", timeout=PATIENCE)
    next(watch)
    state.fail("t", "x")
    assert list(watch) == [Progress(0, 4, "failed")]


def test_a_watcher_sees_a_restart_and_what_follows(state: RedisProgressState) -> None:
    state.begin("t", 4)
    state.mark("t", 0)
    watch = state.watch("t", timeout=PATIENCE)
    next(watch)
    state.begin("t", 2, restart=True)
    assert next(watch) == Progress(0, 2)
    state.mark("t", 0)
    assert next(watch) == Progress(1, 2)


def test_a_watcher_hears_when_the_run_is_gone(state: RedisProgressState) -> None:
    state.begin("t", 4)
    watch = state.watch("t", timeout=PATIENCE)
    next(watch)
    del state.segment_progress["t"]
    with pytest.raises(UnknownSession):
        next(watch)


def test_a_watcher_sees_writes_of_the_application(state: RedisProgressState) -> None:
    state.begin("t", 4)
    watch = state.watch("t", timeout=PATIENCE)
    next(watch)
    state.segment_progress["t"]["processed_segments"] += 2
    assert next(watch) == Progress(2, 4)


# --- the same as operations, on both engines ----------------------------------------------------------


def test_the_life_of_a_run_is_the_same_on_both_engines(ask: Any, engine: Engine) -> None:
    records = RedisProgressState(engine=engine).segment_progress.entries
    assert ask(operations.begin(records, "t", 3)) == Progress(0, 3)
    assert ask(operations.mark(records, "t", 1)) == ask(operations.mark(records, "t", 1)) == Progress(1, 3)
    with pytest.raises(SegmentOutOfRange):
        ask(operations.mark(records, "t", 3))
    assert ask(operations.advance(records, "t", 5, lease=SOON)).completed_now
    assert eventually(lambda: ask(operations.pending_completions(records))) == ["t"]
    assert ask(operations.claim_completion(records, "t")).completed_now
    assert ask(operations.claim_completion(records, "t")) is None
    assert ask(operations.confirm_completion(records, "t")) is True
    assert ask(operations.fail(records, "t", "x")).status == "failed"
    with pytest.raises(UnknownSession):
        ask(operations.mark(records, "unknown", 0))


# --- eight processes at once --------------------------------------------------------------------------


def mark_all(engine: Engine, rank: int, total: int) -> list[bool]:
    """Mark every segment, in an order of one's own."""
    state = RedisProgressState(container_id=f"c{rank}", engine=engine)
    return [state.mark("t", (segment * 7 + rank * 13) % total).completed_now for segment in range(total)]


def advance_all(engine: Engine, rank: int, total: int) -> list[bool]:
    state = RedisProgressState(engine=engine)
    return [state.advance("t").completed_now for _ in range(total // 4)]


def claim(engine: Engine, rank: int) -> bool:
    return RedisProgressState(engine=engine).claim_completion("t") is not None


def begin(engine: Engine, rank: int) -> Progress:
    return RedisProgressState(engine=engine).begin("new", 5)


@pytest.mark.parametrize("count", [mark_all, advance_all])
def test_of_eight_processes_one_hears_of_the_completion(process_pool: Any, engine: Engine, count: Any) -> None:
    RedisProgressState(engine=engine).begin("t", 100)
    heard = process_pool.race(engine, count, 100)
    assert sum(map(sum, heard)) == 1
    assert RedisProgressState(engine=engine).get("t") == Progress(100, 100, "completed")


def test_of_eight_processes_one_takes_over(process_pool: Any, engine: Engine, hasty: RedisProgressState) -> None:
    complete(hasty)
    assert eventually(hasty.pending_completions)
    assert sum(process_pool.race(engine, claim)) == 1


def test_eight_processes_begin_one_run(process_pool: Any, engine: Engine) -> None:
    assert process_pool.race(engine, begin) == [Progress(0, 5)] * process_pool.size
