"""Names have generations: what is said late of a run, an upload or a download does not count for the next one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from redis_state import BegunAnew, Engine, UnknownSession, aio
from redis_state.mapping.generations import KEPT, Generations
from redis_state.state import Progress, RedisDownloadState, RedisProgressState, RedisUploadState

SOON = 0.05  # seconds: a lease that is over soon

Late = Callable[[Any], Any]


def upload(state: RedisUploadState, chunk: int | None = 10, total: int | None = 20) -> None:
    state.create_session({"upload_id": "u", "total_size": total, "chunk_size": chunk, "owner": "ann"})


def create_in_vain(state: RedisUploadState) -> None:
    """Find that there is one: callers race to create an upload, and all go on with it."""
    with pytest.raises(ValueError, match="there is an upload 'u'"):
        upload(state)


# --- late calls ---------------------------------------------------------------------------------------


def restarted(state: RedisProgressState) -> None:
    state.begin("t", 3, restart=True)


def deleted_and_begun(state: RedisProgressState) -> None:
    state.segment_progress.delete("t")
    state.begin("t", 3)


@pytest.mark.parametrize("anew", [restarted, deleted_and_begun])
@pytest.mark.parametrize(
    ("late", "counted"),
    [
        (lambda state: state.mark("t", 1), Progress(1, 3)),
        (lambda state: state.advance("t", 2), Progress(2, 3)),
        (lambda state: state.fail("t", "late"), Progress(0, 3, "failed")),
    ],
    ids=["mark", "advance", "fail"],
)
def test_what_is_late_for_its_run_does_not_count(engine: Engine, anew: Late, late: Late, counted: Progress) -> None:
    one, another, fresh = (RedisProgressState(engine=engine) for _ in range(3))
    one.begin("t", 3)
    another.mark("t", 0)
    anew(one)
    with pytest.raises(BegunAnew, match="'t' was begun anew") as caught:
        late(another)
    assert isinstance(caught.value, UnknownSession)
    assert one.get("t") == Progress(0, 3)
    assert late(fresh) == counted  # it never saw the earlier one


@pytest.mark.parametrize(
    "look",
    [
        lambda state: state.get("t"),
        lambda state: state.begin("t", 3),
        lambda state: next(state.watch("t")),
        lambda state: state.segment_progress["t"],
    ],
    ids=["get", "begin", "watch", "the record"],
)
def test_a_look_at_the_new_run_lets_a_caller_go_on(engine: Engine, look: Late) -> None:
    one, another = RedisProgressState(engine=engine), RedisProgressState(engine=engine)
    one.begin("t", 3)
    another.mark("t", 0)
    restarted(one)
    look(another)
    assert another.mark("t", 0) == Progress(1, 3)


def test_a_list_of_completions_is_no_look_at_their_runs(engine: Engine) -> None:
    one, another = RedisProgressState(engine=engine, completion_lease=SOON), RedisProgressState(engine=engine)
    one.begin("t", 1)
    another.mark("t", 0)
    one.begin("t", 1, restart=True)
    one.mark("t", 0)
    time.sleep(2 * SOON)
    assert another.pending_completions() == ["t"]
    with pytest.raises(BegunAnew):
        another.fail("t", "late")


def test_an_entry_of_the_application_is_the_same_for_all(engine: Engine) -> None:
    one, another = RedisProgressState(engine=engine), RedisProgressState(engine=engine)
    one.segment_progress["t"] = {"total_segments": 3}
    assert another.mark("t", 0) == Progress(1, 3)
    one.segment_progress["t"] = {"total_segments": 3}
    assert another.mark("t", 0) == Progress(1, 3)
    restarted(one)
    assert another.mark("t", 0) == Progress(1, 3)
    one.segment_progress["t"] = {"total_segments": 3}  # a new text for a run is no new run
    assert another.mark("t", 0) == Progress(1, 3)


@pytest.mark.parametrize(
    ("late", "chunk"),
    [
        (lambda state: state.accept_chunk("u", 1, 10), 10),
        (lambda state: state.accept_chunks("u", [(1, 10)]), 10),
        (lambda state: state.declare_size("u", 20), 10),
        (lambda state: state.advance("u", 0, 5), None),
    ],
    ids=["accept_chunk", "accept_chunks", "declare_size", "advance"],
)
def test_what_is_late_for_its_upload_does_not_count(engine: Engine, late: Late, chunk: int | None) -> None:
    one, another, fresh = (RedisUploadState(engine=engine) for _ in range(3))
    upload(another, chunk, total=None)
    one.delete_session("u")
    upload(one, chunk, total=None)
    with pytest.raises(BegunAnew, match="'u' was begun anew"):
        late(another)
    session = one.get_session("u")
    assert session is not None
    assert (session["bytes_received"], session["total_size"]) == (0, None)
    late(fresh)


@pytest.mark.parametrize(
    "look",
    [
        lambda state: state.get_session("u"),
        lambda state: create_in_vain(state),
        lambda state: state.missing("u"),
        lambda state: state.awaiting_assembly() == ["u"] or pytest.fail("it is whole"),
    ],
    ids=["get_session", "create_session", "missing", "awaiting_assembly"],
)
def test_a_late_assembly_looks_first(engine: Engine, look: Late) -> None:
    one, another = RedisUploadState(engine=engine), RedisUploadState(engine=engine)
    upload(another)
    one.delete_session("u")
    upload(one)
    one.accept_chunks("u", [(0, 10), (1, 10)])
    assert another.abort("u") is False
    with pytest.raises(BegunAnew):
        another.claim_assembly("u")
    look(another)
    another.claim_assembly("u").finish("stored")


def test_the_second_step_of_a_long_batch_is_of_the_same_upload(engine: Engine) -> None:
    """The first step tells which upload it counted in; between the steps it may be begun anew."""
    one, another = RedisUploadState(engine=engine), RedisUploadState(engine=engine)
    upload(one, chunk=1, total=600)
    from redis_state.transfer import chunks

    plan = chunks.accept(another.sessions.entries, "u", [(number, 1) for number in range(600)])
    first = engine.run(next(plan))  # type: ignore[arg-type]
    one.delete_session("u")
    upload(one, chunk=1, total=600)
    second = plan.send(first)
    with pytest.raises(BegunAnew):
        engine.run(second)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "late",
    [lambda state: state.advance("d", 0, 10), lambda state: state.finish("d")],
    ids=["advance", "finish"],
)
def test_what_is_late_for_its_download_does_not_count(engine: Engine, late: Late) -> None:
    one, another, fresh = (RedisDownloadState(engine=engine) for _ in range(3))
    another.begin("d", {"total_bytes": 20})
    one.finish("d")
    one.begin("d", {"total_bytes": 20})
    with pytest.raises(BegunAnew):
        late(another)
    assert one.advance("d", 0, 1).bytes_sent == 1
    late(fresh)
    assert another.begin("d", {"total_bytes": 20}).status == "active"
    late(another)


# --- completions --------------------------------------------------------------------------------------


def completed(state: RedisProgressState) -> Progress:
    state.begin("t", 1, restart=True)
    return state.mark("t", 0)


def test_a_late_confirmation_says_which_completion_it_means(engine: Engine) -> None:
    state = RedisProgressState(engine=engine, completion_lease=SOON)
    first = completed(state)
    second = completed(state)
    assert first.completion != second.completion
    assert state.confirm_completion("t", first.completion) is False
    time.sleep(2 * SOON)
    assert state.pending_completions() == ["t"]
    assert state.confirm_completion("t", second.completion) is True
    assert state.confirm_completion("t", second.completion) is False


@pytest.mark.parametrize("received", [True, False], ids=["by its receiver", "by one that only saw the run"])
def test_a_late_confirmation_of_another_object_confirms_nothing(engine: Engine, received: bool) -> None:
    late, other = (RedisProgressState(engine=engine, completion_lease=SOON) for _ in range(2))
    other.begin("t", 1)
    assert (late if received else other).mark("t", 0).completed_now
    late.get("t")
    completed(other)
    assert late.confirm_completion("t") is False
    time.sleep(2 * SOON)
    assert other.pending_completions() == ["t"]
    assert late.claim_completion("t")
    assert late.confirm_completion("t") is True


def test_a_completion_that_was_taken_over_is_the_same_one(engine: Engine) -> None:
    slow, other = (RedisProgressState(engine=engine, completion_lease=SOON) for _ in range(2))
    first = completed(slow)
    time.sleep(2 * SOON)
    taken = other.claim_completion("t")
    assert taken is not None
    assert taken.completion == first.completion
    assert slow.confirm_completion("t") is True  # it was dealt with, if late


def test_a_run_that_completes_again_has_another_completion(engine: Engine) -> None:
    """An application may write back what is done, without beginning anew."""
    one, other = RedisProgressState(engine=engine), RedisProgressState(engine=engine)
    first = completed(one)
    one.segment_progress.patch("t", {"status": "processing", "processed_segments": 0})
    second = other.advance("t")
    assert second.completed_now
    assert second.completion != first.completion
    assert one.confirm_completion("t") is False
    assert other.confirm_completion("t") is True


def test_anyone_may_confirm(engine: Engine) -> None:
    completed(RedisProgressState(engine=engine))
    assert RedisProgressState(engine=engine).confirm_completion("t") is True


@pytest.mark.parametrize("wrong", ["1", 1.5, True])
def test_a_completion_is_a_number(engine: Engine, wrong: Any) -> None:
    with pytest.raises(TypeError, match="completed_now"):
        RedisProgressState(engine=engine).confirm_completion("t", wrong)


async def test_what_is_late_does_not_count_either_where_it_is_awaited(engine: Engine) -> None:
    async with aio.AsyncEngine(engine.settings) as other:
        progress, uploads, downloads = aio.ProgressState(other), aio.UploadState(other), aio.DownloadState(other)
        first = await progress.begin("t", 1)
        first = await progress.mark("t", 0)
        second = completed(RedisProgressState(engine=engine))
        with pytest.raises(BegunAnew):
            await progress.advance("t")
        assert await progress.confirm_completion("t", first.completion) is False
        assert await progress.confirm_completion("t") is False
        assert await progress.confirm_completion("t", second.completion) is True
        await uploads.create_session({"upload_id": "u", "total_size": 20, "chunk_size": 10})
        blocking = RedisUploadState(engine=engine)
        blocking.delete_session("u")
        upload(blocking)
        with pytest.raises(BegunAnew):
            await uploads.accept_chunk("u", 0, 10)
        await uploads.get_session("u")
        await uploads.accept_chunk("u", 0, 10)
        await downloads.begin("d")
        RedisDownloadState(engine=engine).finish("d")
        RedisDownloadState(engine=engine).begin("d")
        with pytest.raises(BegunAnew):
            await downloads.finish("d")


# --- what is remembered -------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded() -> None:
    known = Generations()
    for number in range(3 * KEPT):
        known.saw(str(number), number)
    assert len(known._young) + len(known._old) <= 2 * KEPT
    assert [known.of(str(number)) for number in range(2 * KEPT + 1, 3 * KEPT)] == list(range(2 * KEPT + 1, 3 * KEPT))
    assert known.of("0") == ""
    known.forget(str(3 * KEPT - 1))
    assert known.of(str(3 * KEPT - 1)) == ""


def test_a_reply_that_comes_late_is_not_remembered(engine: Engine) -> None:
    """Two threads share an object: one begins anew while the other's call is on its way."""
    state = RedisProgressState(engine=engine)
    state.begin("t", 3)
    earlier = int(state._bound.here()[1].generations.of("t"))
    restarted(state)
    state._bound.here()[1].heard("t", earlier)
    assert state.mark("t", 0) == Progress(1, 3)


def test_threads_may_share_what_is_remembered() -> None:
    known = Generations()

    def use(rank: int) -> None:
        for number in range(5 * KEPT):
            known.saw(f"{rank}.{number}", number)
            assert known.of(f"{rank}.{number}") in (number, "")

    threads = [threading.Thread(target=use, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(known._young) + len(known._old) <= 2 * KEPT + 4
