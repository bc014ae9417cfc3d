"""An interruption is no failure of the work: a claim is handed back at once, and its attempt is not counted."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from redis_state import AlreadyClaimed, AlreadyDone, Claim, Engine, LockLost, StaleToken
from redis_state.aio import AsyncEngine, ConversionState, UploadState
from redis_state.state import RedisConversionState, RedisUploadState
from tests.support.machine_lag import MachineLag
from tests.support.proxy import Proxy
from tests.support.servers import Server

_spawn = multiprocessing.get_context("spawn")
INTERRUPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
ROUNDS = 5  # more than a conversion, or an assembly, is tried


def complete(state: Any) -> Any:
    """Make an upload that is whole."""
    return state.create_session({"upload_id": "k", "total_size": 0, "chunk_size": 10})


@pytest.fixture
def state(engine: Engine) -> RedisConversionState:
    return RedisConversionState("c1", engine)


@pytest.fixture(params=["conversion", "assembly"])
def take(request: pytest.FixtureRequest, engine: Engine) -> Callable[..., Claim]:
    """Take work that is tried a few times only, with a long rest after a failure."""
    if request.param == "conversion":
        conversions = RedisConversionState("c1", engine)
        return lambda **options: conversions.claim("k", backoff=600, **options)
    uploads = RedisUploadState("c1", engine)
    complete(uploads)
    return lambda **options: uploads.claim_assembly("k", backoff=600, **options)


@pytest.fixture
async def awaited(server: Server, prefix: str) -> AsyncIterator[AsyncEngine]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        yield engine


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_block_is_handed_back_uncounted(
    take: Callable[..., Claim], interruption: type[BaseException]
) -> None:
    for number in range(ROUNDS):
        with pytest.raises(interruption) as caught, take() as claim:
            assert claim.attempt == 1
            assert (claim.previous or {}).get("percent") == (number or None)
            assert claim.update({"percent": number + 1})
            raise interruption
        assert not getattr(caught.value, "__notes__", []), "it was handed back without a fault"
    with take() as claim:
        assert claim.attempt == 1
        assert claim.previous is not None
        assert claim.previous["error"] == interruption.__name__


def test_the_record_says_interrupted_until_it_is_taken_again(state: RedisConversionState) -> None:
    with pytest.raises(SystemExit), state.claim("k", {"track_id": "t"}):
        sys.exit("deploy")
    assert state.active_conversions["k"] == {"track_id": "t", "status": "interrupted", "error": "SystemExit: deploy"}
    assert state.locks.inspect("k") is None
    assert state.stalled() == []
    with state.claim("k"):
        assert state.active_conversions["k"] == {"track_id": "t", "status": "converting"}


def test_an_attempt_that_failed_is_counted_beside_those_that_were_interrupted(state: RedisConversionState) -> None:
    for attempt in (1, 2):
        for _ in range(3):
            state.claim("k", backoff=0).release()
        with pytest.raises(ZeroDivisionError), state.claim("k", backoff=0) as claim:
            assert claim.attempt == attempt
            raise ZeroDivisionError
    assert state.claim("k", auto_renew=False).attempt == 3


def test_a_claim_is_handed_back_by_hand(take: Callable[..., Claim]) -> None:
    first = take()
    first.update({"percent": 40})
    first.release("out of disk")
    for again in (first.release, first.finish):
        with pytest.raises(LockLost, match="handed back"):
            again()
    second = take()
    assert second.attempt == 1
    assert second.previous is not None
    assert (second.previous["percent"], second.previous["error"]) == (40, "out of disk")
    with second:
        second.release()
    assert take(auto_renew=False).previous["error"] == "it was handed back"  # type: ignore[index]


def test_what_was_taken_over_or_is_done_is_not_handed_back(state: RedisConversionState) -> None:
    old = state.claim("k", lease=0.05, auto_renew=False)
    time.sleep(0.08)
    new = state.claim("k", auto_renew=False)
    with pytest.raises(StaleToken):
        old.release()
    assert state.active_conversions["k"]["status"] == "converting"
    new.finish("result")
    new._why = ""  # it was not told
    with pytest.raises(AlreadyDone):
        new.release()
    assert state.active_conversions["k"] == {"status": "completed", "result": "result"}


def test_a_record_that_was_deleted_meanwhile_is_not_brought_back(state: RedisConversionState) -> None:
    claim = state.claim("k")
    del state.active_conversions["k"]
    claim.release()
    assert "k" not in state.active_conversions
    assert state.claim("k", auto_renew=False).previous is None


def test_a_claim_that_is_handed_back_wakes_who_waits_for_its_lock(
    state: RedisConversionState, machine_lag: MachineLag
) -> None:
    async def both() -> float:
        claim = state.claim("k")
        waiting = asyncio.create_task(asyncio.to_thread(state.lock("k").acquire, 10))
        while (info := state.locks.inspect("k")) is None or not info.waiters:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        claim.release()
        held = await waiting
        assert held is not None
        held.release()
        return time.monotonic() - began

    assert asyncio.run(both()) < 0.5 + machine_lag.slack


def test_a_finish_that_is_interrupted_hands_back_what_is_still_held(
    state: RedisConversionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, run = state.claim("k"), Engine.run

    def interrupted(engine: Engine, op: Any) -> Any:
        monkeypatch.setattr(Engine, "run", run)
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt), claim:
        pass
    assert state.active_conversions["k"]["error"] == "KeyboardInterrupt"
    assert state.claim("k", auto_renew=False).attempt == 1


def _works_until_it_is_told_to_end(url: str, prefix: str, begun: Any) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Engine.from_url(url, prefix=prefix) as engine, RedisConversionState("dead", engine).claim("k") as claim:
        claim.update({"percent": 40})
        begun.set()
        time.sleep(60)


def test_a_process_that_is_told_to_end_hands_its_work_on(
    server: Server, prefix: str, state: RedisConversionState
) -> None:
    for _ in range(2):
        begun = _spawn.Event()
        process = _spawn.Process(target=_works_until_it_is_told_to_end, args=(server.url, prefix, begun))
        process.start()
        assert begun.wait(60)
        os.kill(process.pid or 0, signal.SIGTERM)
        process.join(20)
        assert process.exitcode == 0
    with state.claim("k") as claim:  # long before the lease of 30 s is over
        assert (claim.attempt, (claim.previous or {})["percent"]) == (1, 40)


def test_what_a_record_keeps_of_an_exception_is_short(state: RedisConversionState) -> None:
    for error, kept in ((ValueError("x" * 100_000), 1024), ("y" * 100_000, 100_000)):
        state.claim("k", backoff=0).fail(error)
        assert len(state.active_conversions["k"]["error"]) == kept


# --- awaited ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["conversion", "assembly"])
async def test_a_cancelled_body_is_handed_back_uncounted(awaited: AsyncEngine, what: str) -> None:
    conversions, uploads = ConversionState(awaited, "a1"), UploadState(awaited, "a1")
    await complete(uploads)
    take = conversions.claim if what == "conversion" else uploads.claim_assembly

    async def work(inside: asyncio.Event) -> None:
        async with take("k", backoff=600) as claim:
            assert claim.attempt == 1
            inside.set()
            await asyncio.sleep(60)

    for _ in range(ROUNDS + 2):
        inside = asyncio.Event()
        task = asyncio.create_task(work(inside))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    claim = await take("k")
    assert claim.attempt == 1
    assert claim.previous is not None
    assert claim.previous["error"] == "CancelledError"
    await claim.release("by hand")
    with pytest.raises(LockLost, match="handed back"):
        await claim.release()
    assert (await take("k", auto_renew=False)).attempt == 1


async def test_a_taking_that_is_cancelled_counts_no_attempt(awaited: AsyncEngine) -> None:
    state = ConversionState(awaited, "a1")

    async def take(name: str) -> Any:
        return await state.claim(name)

    cancelled = []
    for number in range(40):
        name = f"k{number}"
        task = asyncio.create_task(take(name))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        cancelled += [name] if task.cancelled() else []
    assert cancelled
    for name in cancelled:
        assert (await state.claim(name, auto_renew=False)).attempt == 1, name


# --- a lease that is too short ------------------------------------------------------------------------------


async def test_a_lease_shorter_than_a_round_trip_uses_up_no_attempt(server: Server, prefix: str) -> None:
    with Proxy(server.socket_path) as far:
        with Engine.from_url(far.url, prefix=prefix) as engine:
            state = RedisConversionState("c1", engine)
            engine.run_all([state.active_conversions.entries.get("k")])  # connects
            far.delay(0.3)
            with pytest.raises(LockLost, match="take a longer one"):
                state.claim("k", lease=0.25, max_attempts=1)
        async with AsyncEngine.from_url(far.url, prefix=prefix) as engine:
            with pytest.raises(LockLost, match="take a longer one"):
                await ConversionState(engine, "a1").claim("k", lease=0.25, max_attempts=1)
        far.delay(0)
        with Engine.from_url(far.url, prefix=prefix) as engine:
            assert RedisConversionState("c2", engine).claim("k", max_attempts=1, auto_renew=False).attempt == 1


def test_already_claimed_tells_work_from_rest(state: RedisConversionState) -> None:
    claim = state.claim("k", backoff=60)
    with pytest.raises(AlreadyClaimed) as working:
        state.claim("k")
    claim.fail("no")
    with pytest.raises(AlreadyClaimed) as resting:
        state.claim("k")
    assert (working.value.resting, working.value.holder, resting.value.resting, resting.value.holder) == (
        False,
        "c1",
        True,
        None,
    )
