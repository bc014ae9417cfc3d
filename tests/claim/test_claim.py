"""Work that must run once: who may take it, and what the next taker finds."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator

import pytest

from redis_state import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    Claim,
    Engine,
    LockLost,
    OutcomeUnknown,
    RecordMapping,
    StaleToken,
    UnsupportedType,
)
from redis_state.aio import AsyncEngine, ConversionState
from redis_state.claim import ClaimPolicy, take
from redis_state.state import RedisConversionState
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server


@pytest.fixture
def state(engine: Engine) -> RedisConversionState:
    return RedisConversionState("c1", engine)


@pytest.fixture
def other(engine: Engine) -> RedisConversionState:
    return RedisConversionState("c2", engine)


def died(state: RedisConversionState, name: str = "k", **data: object) -> Claim:
    """Take it, and be dead by the time this returns."""
    claim = state.claim(name, data, lease=0.05, auto_renew=False)
    time.sleep(0.08)
    return claim


def test_one_takes_it_and_others_are_told_who(state: RedisConversionState, other: RedisConversionState) -> None:
    with state.claim("k", {"track_id": "t"}) as claim:
        assert (claim.attempt, claim.previous, claim.name) == (1, None, "k")
        assert state.active_conversions["k"] == {"track_id": "t", "status": "converting"}
        with pytest.raises(AlreadyClaimed) as caught:
            other.claim("k")
        assert caught.value.holder == "c1"
        assert 29 < caught.value.remaining <= 30
        assert other.lock("k").acquire(timeout=0) is None, "the claim holds the lock of that name"
    with pytest.raises(AlreadyDone):
        other.claim("k")


def test_its_result_is_told_to_whoever_comes_later(state: RedisConversionState, other: RedisConversionState) -> None:
    with state.claim("k") as claim:
        claim.finish({"path": "/a.wav", "parts": (1, 2)})
    with pytest.raises(AlreadyDone) as caught:
        other.claim("k")
    assert caught.value.result == {"path": "/a.wav", "parts": (1, 2)}
    assert other.active_conversions["k"]["status"] == "completed"
    assert state.locks.inspect("k") is None


def test_a_failed_attempt_rests_and_is_counted(state: RedisConversionState) -> None:
    for attempt in (1, 2, 3):
        with pytest.raises(ZeroDivisionError), state.claim("k", backoff=0.1) as claim:
            assert claim.attempt == attempt
            assert (claim.previous or {}).get("error") == (None if attempt == 1 else "ZeroDivisionError: by hand")
            raise ZeroDivisionError("by hand")
        if attempt < 3:
            with pytest.raises(AlreadyClaimed) as resting:
                state.claim("k", backoff=0.1)
            assert resting.value.holder is None
            assert 0 < resting.value.remaining <= 0.1 * attempt
            assert state.active_conversions["k"]["status"] == "failed"
            time.sleep(0.1 * attempt + 0.02)
    with pytest.raises(AttemptsExhausted) as caught:
        state.claim("k")
    assert (caught.value.attempts, caught.value.error) == (3, "ZeroDivisionError: by hand")


def test_the_next_taker_sees_what_a_dead_one_left(state: RedisConversionState, other: RedisConversionState) -> None:
    claim = state.claim("k", {"track_id": "t"}, lease=0.1, auto_renew=False)
    assert claim.update({"percent": 40})
    assert state.stalled() == []
    time.sleep(0.15)
    assert state.stalled() == ["k"]
    assert claim.lost.is_set()
    with other.claim("k", {"by": "c2"}) as second:
        assert second.previous == {"track_id": "t", "percent": 40, "status": "converting"}
        assert second.attempt == 2
        assert second.fence > claim.fence
        assert state.stalled() == []
        assert (state.owned_by("c1"), state.owned_by("c2")) == ([], ["k"])
        assert state.active_conversions["k"] == {
            "track_id": "t",
            "percent": 40,
            "by": "c2",
            "status": "converting",
        }


def test_takers_that_died_count_as_attempts(state: RedisConversionState) -> None:
    for _ in range(3):
        died(state)
    with pytest.raises(AttemptsExhausted, match="taken 3 times and never done; the last one died"):
        state.claim("k")
    assert state.retry_failed("k")
    with state.claim("k") as claim:
        assert claim.attempt == 1


def test_all_writes_through_a_claim_are_fenced(state: RedisConversionState, other: RedisConversionState) -> None:
    old = died(state, percent=1)
    new = other.claim("k")
    before = dict(state.active_conversions["k"])
    for write in (lambda: old.update({"percent": 99}), old.finish):
        with pytest.raises(StaleToken) as caught:
            write()
        assert (caught.value.token, caught.value.newest) == (old.fence, new.fence)
    assert dict(state.active_conversions["k"]) == before
    assert new.remaining() > 29
    new.finish("new")
    with pytest.raises(StaleToken):
        state.active_conversions.put("k", {"status": "late"}, fence=old)


def test_what_is_done_stays_done(state: RedisConversionState) -> None:
    """As when the answer to finish() was lost, and the block then says that it failed."""
    with pytest.raises(OutcomeUnknown) as unknown, state.claim("k") as claim:
        claim.finish("result")
        claim._why = ""  # it was not told
        raise OutcomeUnknown("no answer")
    assert "the claim was not failed" in unknown.value.__notes__[0]
    assert dict(state.active_conversions["k"]) == {"status": "completed", "result": "result"}
    with pytest.raises(AlreadyDone):
        state.claim("k")


def test_a_failure_that_comes_too_late_is_refused(state: RedisConversionState, other: RedisConversionState) -> None:
    old = died(state)
    other.claim("k", auto_renew=False)
    with pytest.raises(StaleToken):
        old.fail("late")
    assert other.active_conversions["k"]["status"] == "converting"


def test_work_that_took_longer_than_its_lease_counts_if_nobody_took_over(state: RedisConversionState) -> None:
    claim = died(state)
    claim.finish("after all")
    assert state.stalled() == []
    with pytest.raises(AlreadyDone) as caught:
        state.claim("k")
    assert caught.value.result == "after all"


def test_a_block_that_lost_its_claim_to_another_says_so(
    state: RedisConversionState, other: RedisConversionState
) -> None:
    with pytest.raises(StaleToken), state.claim("k", lease=0.05, auto_renew=False) as claim:
        time.sleep(0.08)
        other.claim("k", auto_renew=False)
        with pytest.raises(LockLost):
            claim.check()
    with pytest.raises(ZeroDivisionError) as caught, state.claim("j", lease=0.05, auto_renew=False):
        time.sleep(0.08)
        other.claim("j", auto_renew=False)
        raise ZeroDivisionError
    assert "not failed" in caught.value.__notes__[0]


def test_a_claim_ends_once(state: RedisConversionState) -> None:
    with state.claim("k") as claim:
        claim.finish(1)
        with pytest.raises(LockLost, match="finished"):
            claim.finish(2)
        with pytest.raises(LockLost, match="finished"):
            claim.fail("no")
    with state.claim("j", backoff=0) as claim:
        claim.fail("by hand")
    assert state.active_conversions["k"]["result"] == 1
    assert state.active_conversions["j"]["error"] == "by hand"


def test_a_claim_is_renewed_and_its_record_with_it(engine: Engine) -> None:
    state = RedisConversionState("c1", engine, ttl=0.9)
    with state.claim("k", lease=0.6) as claim:
        time.sleep(1.5)
        claim.check()
        assert state.active_conversions["k"]["status"] == "converting"
    assert state.active_conversions["k"]["status"] == "completed"


def test_a_record_that_was_deleted_meanwhile(state: RedisConversionState) -> None:
    with state.claim("k") as claim:
        del state.active_conversions["k"]
        assert claim.update({"percent": 1}) is False
    assert state.active_conversions["k"] == {"status": "completed", "result": None}


def test_an_entry_that_was_written_by_hand_can_be_claimed(state: RedisConversionState) -> None:
    state.active_conversions["k"] = {"track_id": "t", "status": "queued"}
    with state.claim("k") as claim:
        assert claim.previous == {"track_id": "t", "status": "queued"}
        assert state.active_conversions["k"]["status"] == "converting"


def test_retry_failed(state: RedisConversionState) -> None:
    assert state.retry_failed("k") is False
    with pytest.raises(ZeroDivisionError), state.claim("k", max_attempts=1, backoff=60):
        raise ZeroDivisionError
    with pytest.raises(AttemptsExhausted):
        state.claim("k", max_attempts=1)
    assert state.retry_failed("k") is True
    with state.claim("k", max_attempts=1):
        assert state.retry_failed("k") is False
    assert state.retry_failed("k") is False


def test_many_stalled_claims_are_all_told(state: RedisConversionState, engine: Engine) -> None:
    names = {f"k{n:04}" for n in range(1100)}
    for name in names:
        state.claim(name, lease=0.05, auto_renew=False, max_attempts=1000)
    state.lock("only-a-lock", lease=0.05, auto_renew=False).acquire()
    time.sleep(0.1)
    assert set(state.stalled()) == names


def test_waiters_for_the_lock_hold_when_the_claim_ends(state: RedisConversionState, machine_lag: MachineLag) -> None:
    async def both() -> float:
        claim = state.claim("k")
        waiting = asyncio.create_task(asyncio.to_thread(state.lock("k").acquire, 5))
        while (info := state.locks.inspect("k")) is None or not info.waiters:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        claim.finish()
        held = await waiting
        assert held is not None
        held.release()
        return time.monotonic() - began

    assert asyncio.run(both()) < 0.3 + machine_lag.slack


@pytest.mark.parametrize(
    ("options", "error"),
    [({"max_attempts": 0}, ValueError), ({"backoff": -1}, ValueError), ({"lease": 0}, ValueError)],
)
def test_bad_options_are_refused(state: RedisConversionState, options: dict[str, int], error: type[Exception]) -> None:
    with pytest.raises(error):
        state.claim("k", **options)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedType):
        state.claim("k", {"x": object()})
    assert state.locks.inspect("k") is None


def test_any_mapping_can_have_claims(engine: Engine) -> None:
    uploads = RecordMapping("uploads", ttl=60, engine=engine, container_id="c1")
    with take(uploads, "u", {"parts": 3}, ClaimPolicy(taken="assembling", done="stored")) as claim:
        assert uploads["u"] == {"parts": 3, "status": "assembling"}
        claim.finish()
    assert uploads["u"]["status"] == "stored"


def test_errors_survive_pickling() -> None:
    for error in (AlreadyClaimed("k", "c1", 1.5), AlreadyDone("k", {"a": 1}), AttemptsExhausted("k", 3, "why")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


# --- awaited ------------------------------------------------------------------------------------------------


@pytest.fixture
async def astate(server: Server, prefix: str) -> AsyncIterator[ConversionState]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        yield ConversionState(engine, "a1")


async def test_the_same_awaited(astate: ConversionState, state: RedisConversionState) -> None:
    async with astate.claim("k", {"n": 1}) as claim:
        with pytest.raises(AlreadyClaimed):
            await asyncio.to_thread(state.claim, "k")
        assert await claim.update({"n": 2})
        await claim.renew()
        await claim.finish("done")
    with pytest.raises(AlreadyDone) as caught:
        await astate.claim("k")
    assert caught.value.result == "done"
    with pytest.raises(ZeroDivisionError):
        async with astate.claim("f", backoff=0, max_attempts=1):
            raise ZeroDivisionError
    with pytest.raises(AttemptsExhausted):
        await astate.claim("f", max_attempts=1)
    assert await astate.retry_failed("f")
    claim = await astate.claim("f", lease=0.05, auto_renew=False)
    await asyncio.sleep(0.1)
    assert await astate.stalled() == ["f"]
    assert sorted(await astate.owned_by("a1")) == ["f", "k"]
    assert claim.lost.is_set()
    async with astate.claim("f") as second:
        with pytest.raises(StaleToken):
            await claim.finish()
        assert second.attempt == 2


async def test_a_claim_that_is_cancelled_on_its_way_is_held_by_nobody(astate: ConversionState) -> None:
    for round_ in range(40):
        task = asyncio.ensure_future(_await(astate, f"k{round_}"))
        for _ in range(round_ % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            assert await astate.locks.inspect(f"k{round_}") is None


async def _await(state: ConversionState, name: str) -> object:
    return await state.claim(name)
