"""Locks and claims over a network that loses, holds and delays: no lock that nobody holds, no lie, no second token."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from redis_state import (
    AlreadyClaimed,
    AsyncEngine,
    Engine,
    Held,
    Lock,
    LockLost,
    Locks,
    OutcomeUnknown,
    ServerFull,
    ServerUnavailable,
)
from redis_state.aio import Locks as AsyncLocks
from redis_state.claim import scripts as claim_scripts
from redis_state.lock import operations
from redis_state.state import RedisConversionState
from tests.support.machine_lag import MachineLag
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

TIMES = 200
TIMEOUT = 0.2  # seconds that the engine waits for a reply


@pytest.fixture
def proxy(server: Server, prefix: str) -> Iterator[Proxy]:
    with Proxy(server.socket_path) as between:
        yield between


@pytest.fixture
def through(proxy: Proxy, prefix: str) -> Iterator[Engine]:
    with Engine.from_url(proxy.url, prefix=prefix, deadline=5.0, socket_timeout=TIMEOUT) as made:
        yield made


@pytest.fixture
def locks(through: Engine) -> Locks:
    return Locks("work", "c1", through)


@pytest.fixture
def seen(engine: Engine) -> Locks:
    """The same locks, seen past the proxy."""
    return Locks("work", engine)


def held(lock: Lock, timeout: float | None = 5.0) -> Held:
    found = lock.acquire(timeout)
    assert found is not None
    return found


def last_token(server: Server, locks: Locks, name: str) -> int:
    with server.client() as client:
        return int(client.hget(locks.keys.key("fence", name), "fence"))  # type: ignore[arg-type]


# --- the reply is lost after execution ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "withhold"])
def test_lost_replies_of_a_lock(server: Server, proxy: Proxy, locks: Locks, seen: Locks, how: Any) -> None:
    times = TIMES if how == "reset" else 3  # a silent one costs a time-out each
    held(locks.lock("a")).release()
    for _ in range(times):
        before = last_token(server, seen, "a")
        proxy.drop_next(1, containing=operations.ACQUIRE.script.sha, mode=how)
        this = held(locks.lock("a", auto_renew=False))
        info = seen.inspect("a")
        assert info is not None
        assert before < this.fence == info.fence == last_token(server, seen, "a")

        proxy.drop_next(1, containing=operations.RENEW.script.sha, mode=how)
        this.renew()
        assert this.remaining() > 25

        proxy.drop_next(1, containing=operations.RELEASE.script.sha, mode=how)
        this.release()
        assert seen.inspect("a") is None
    assert proxy.stats().dropped["EVALSHA"] == 3 * times


@pytest.mark.parametrize("which", ["the grant", "the wake-up and the grant"])
def test_lost_replies_of_a_waiter(
    server: Server, proxy: Proxy, locks: Locks, seen: Locks, which: str, machine_lag: MachineLag
) -> None:
    """The acquire lay behind a BLPOP: sent again, it must not wait again."""
    lost: dict[str, Any] = (
        {"containing": operations.ACQUIRE.script.sha} if which == "the grant" else {"only": ["BLPOP"]}
    )
    for _ in range(TIMES // 4):
        first = seen.lock("a", auto_renew=False).acquire(timeout=0)
        assert first is not None
        got: list[Held] = []
        thread = threading.Thread(target=lambda got=got: got.append(held(locks.lock("a", auto_renew=False))))
        thread.start()
        while not seen.list()[0].waiters:
            time.sleep(0.001)
        time.sleep(0.005)  # so that its answer to the first attempt is through
        proxy.drop_next(1, **lost)
        released = time.monotonic()
        first.release()
        thread.join()
        assert time.monotonic() - released < 0.4 + machine_lag.slack, "it waited for a wake-up that it had already had"
        info = seen.inspect("a")
        assert info is not None
        assert first.fence < got[0].fence == info.fence == last_token(server, seen, "a")
        got[0].release()
        assert seen.inspect("a") is None
    assert sum(proxy.stats().dropped.values()) == TIMES // 4


def test_lost_replies_of_a_claim(server: Server, proxy: Proxy, through: Engine, engine: Engine) -> None:
    state, other = RedisConversionState("c1", through), RedisConversionState("c2", engine)
    for number in range(2 * TIMES):  # confirmed and failed in turn
        name = f"k{number}"
        proxy.drop_next(1, containing=claim_scripts.TAKE.script.sha)
        claim = state.claim(name, {"n": number}, auto_renew=False)
        assert (claim.attempt, claim.previous) == (1, None)
        info = other.locks.inspect(name)
        assert info is not None
        assert info.fence == claim.fence
        proxy.drop_next(1, containing=claim_scripts.SETTLE.script.sha)
        if number % 2:
            claim.finish(number)
            assert other.active_conversions[name] == {"n": number, "status": "completed", "result": number}
        else:
            claim.fail("by hand")
            with pytest.raises(AlreadyClaimed) as resting:
                other.claim(name)
            assert resting.value.holder is None
        assert other.locks.inspect(name) is None
    assert proxy.stats().dropped["EVALSHA"] == 4 * TIMES


async def test_lost_replies_awaited(proxy: Proxy, prefix: str, seen: Locks) -> None:
    async with AsyncEngine.from_url(proxy.url, prefix=prefix, deadline=5.0, socket_timeout=TIMEOUT) as engine:
        locks = AsyncLocks(engine, "work")
        for _ in range(TIMES // 4):
            proxy.drop_next(1, containing=operations.ACQUIRE.script.sha)
            this = await locks.lock("a", auto_renew=False).acquire(0)
            assert this is not None
            proxy.drop_next(1, containing=operations.RELEASE.script.sha)
            await this.release()
            assert await asyncio.to_thread(seen.inspect, "a") is None


def test_any_reply_may_be_lost(proxy: Proxy, prefix: str, seen: Locks) -> None:
    """Contending threads, one reply in ten lost, BLPOP's too: everybody gets a turn, and nothing is left."""
    proxy.drop_replies(0.1, seed=3, only=["EVALSHA", "EVAL", "BLPOP"])
    inside, fences = [0], list[int]()

    def work() -> None:
        with Engine.from_url(proxy.url, prefix=prefix, deadline=30.0, socket_timeout=TIMEOUT) as engine:
            lock = Locks("work", engine).lock("a", lease=10.0)
            for _ in range(25):
                with lock as this:
                    inside[0] += 1
                    assert inside[0] == 1
                    fences.append(this.fence)
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fences) == 100
    assert fences == sorted(set(fences))
    assert seen.inspect("a") is None
    assert sum(proxy.stats().dropped.values()) > 20


# --- the request is late ------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lock", "claim"])
def test_a_request_that_arrives_after_its_retry_and_the_release_takes_nothing(
    proxy: Proxy, through: Engine, engine: Engine, what: str
) -> None:
    state, other = RedisConversionState("c1", through), RedisConversionState("c2", engine)
    state.lock("warm").acquire(0)
    for _ in range(3):
        if what == "lock":
            proxy.hold_next(1, containing=operations.ACQUIRE.script.sha)
            held(state.lock("k"), timeout=0).release()
        else:
            proxy.hold_next(1, containing=claim_scripts.TAKE.script.sha)
            state.claim("k", backoff=0, max_attempts=100).fail("again")
        for _ in range(20):  # other calls of the same callers
            held(state.lock("other"), timeout=0).release()
        before = dict(other.active_conversions)
        (late,) = proxy.release()
        assert late[0] in (b"held", b"taken", b"superseded")
        assert other.locks.inspect("k") is None
        assert dict(other.active_conversions) == before


def test_a_late_release_or_renewal_does_nothing_to_the_next_holder(proxy: Proxy, locks: Locks, seen: Locks) -> None:
    first = held(locks.lock("a", auto_renew=False))
    for operation, act in ((operations.RENEW, first.renew), (operations.RELEASE, first.release)):
        proxy.hold_next(1, containing=operation.script.sha)
        act()
    next_one = held(seen.lock("a", lease=5.0, auto_renew=False), timeout=0)
    proxy.release()
    info = seen.inspect("a")
    assert info is not None
    assert info.fence == next_one.fence
    assert info.remaining <= 5.0


# --- silence ------------------------------------------------------------------------------------------------


def test_a_holder_learns_that_it_lost_although_nobody_answers(
    proxy: Proxy, prefix: str, machine_lag: MachineLag
) -> None:
    with Engine.from_url(proxy.url, prefix=prefix, socket_timeout=TIMEOUT) as engine:
        this = held(Locks("work", engine).lock("a", lease=0.8))
        proxy.blackhole()
        ends = time.monotonic() + 0.8
        assert this.lost.wait(3.0)
        assert time.monotonic() <= ends + machine_lag.slack
        with pytest.raises(LockLost):
            this.check()
        proxy.clear()


def test_a_short_silence_costs_no_lease(proxy: Proxy, locks: Locks) -> None:
    with locks.lock("a", lease=1.5) as this:
        proxy.blackhole()
        time.sleep(1.0)
        proxy.clear()
        proxy.reset_all()
        time.sleep(1.5)
        this.check()


def test_a_grant_that_nobody_heard_of_is_given_back(proxy: Proxy, prefix: str, seen: Locks) -> None:
    with Engine.from_url(proxy.url, prefix=prefix, deadline=0.6, socket_timeout=TIMEOUT) as engine:
        held(Locks("work", engine).lock("a")).release()
        proxy.blackhole()
        assert Locks("work", engine).lock("a").acquire(timeout=0) is None
        assert seen.inspect("a") is not None
        proxy.clear()
        end = time.monotonic() + 5
        while seen.inspect("a") is not None:
            assert time.monotonic() < end, "a lock that nobody holds"
            time.sleep(0.01)


def test_a_release_that_failed_can_be_said_again(proxy: Proxy, prefix: str, seen: Locks) -> None:
    with Engine.from_url(proxy.url, prefix=prefix, deadline=0.6, socket_timeout=TIMEOUT) as engine:
        this = held(Locks("work", engine).lock("a"))
        proxy.blackhole(execute=False)
        with pytest.raises((OutcomeUnknown, ServerUnavailable)):
            this.release()
        assert seen.inspect("a") is not None
        proxy.clear()
        this.release()
        assert seen.inspect("a") is None


def test_who_waits_outlives_a_restart_of_the_server(prefix: str) -> None:
    with Server(next(iter(available().values()))) as server, Engine.from_url(server.url, prefix=prefix) as engine:
        first, got = held(Locks("work", engine).lock("a", auto_renew=False)), list[Held]()
        thread = threading.Thread(target=lambda: got.append(held(Locks("work", engine).lock("a"), timeout=20.0)))
        thread.start()
        time.sleep(0.3)
        server.kill()
        server.start()
        thread.join()
        assert got[0].fence > first.fence
        with pytest.raises(LockLost):
            first.release()
        got[0].release()


# --- no room ------------------------------------------------------------------------------------------------


def test_a_full_server_lets_go_and_grants_nothing(server: Server, engine: Engine, seen: Locks) -> None:
    state = RedisConversionState("c1", engine)
    this, claim, second = held(seen.lock("a")), state.claim("k"), state.claim("j", backoff=0)
    waiting = threading.Thread(target=lambda: held(seen.lock("a"), timeout=5.0).release())
    waiting.start()
    while not seen.list()[0].waiters:
        time.sleep(0.001)
    with server.client() as client:
        client.config_set("maxmemory", 1)
        try:
            this.renew()
            claim.renew()
            claim.finish("done")
            second.fail("full")
            for act in (lambda: seen.lock("b").acquire(0), lambda: state.claim("new")):
                with pytest.raises(ServerFull):
                    act()
        finally:
            client.config_set("maxmemory", 0)
    this.release()
    waiting.join()
    assert (seen.inspect("a"), seen.inspect("b"), state.locks.inspect("new")) == (None, None, None)
    assert "new" not in state.active_conversions
    assert state.active_conversions["k"]["result"] == "done"
