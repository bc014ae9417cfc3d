"""Events of locks: what hooks are told of acquisitions, renewals and losses, on both faces."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, LockLost, aio
from redis_state.events import (
    Event,
    HoldDropped,
    LeaseLost,
    LeaseNotRenewed,
    LeaseRenewed,
    LockAcquired,
    LockReleased,
    LockTimedOut,
)
from redis_state.lock import Locks
from redis_state.lock.batch import Batch
from tests.support.proxy import Proxy
from tests.support.servers import Server

LEASE = 1.0  # seconds
PATIENCE = 10.0


class Heard(list[Event]):
    """A hook that keeps what it is told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in list(self) if type(event) is kind]


class Face:
    """Locks of one face, and their hook."""

    def __init__(self, locks: Any, run: Callable[[Callable[[], Any]], Any], heard: Heard) -> None:
        self.locks, self.run, self.heard = locks, run, heard

    def acquire(self, name: str = "a", **options: Any) -> Any:
        timeout = options.pop("timeout", 0)
        return self.run(lambda: self.locks.lock(name, lease=LEASE, **options).acquire(timeout))

    def until(self, kind: type[Event]) -> Any:
        """Wait for an event; background work of the event loop goes on meanwhile."""
        for _ in range(int(PATIENCE / 0.02)):
            if found := self.heard.of(kind):
                return found[0]
            self.run(lambda: asyncio.sleep(0.02))
        raise AssertionError(f"no {kind.__name__} in {PATIENCE} s: {self.heard}")


@pytest.fixture(params=["blocking", "asyncio"])
def face(request: pytest.FixtureRequest, server: Server, prefix: str) -> Iterator[tuple[Face, Proxy]]:
    heard = Heard()
    with Proxy(server.socket_path) as proxy, asyncio.Runner() as runner:

        def run(call: Callable[[], Any]) -> Any:
            answer = call()
            return runner.run(_awaited(answer)) if asyncio.iscoroutine(answer) else answer

        settings = {"prefix": prefix, "socket_timeout": 0.5, "deadline": 1.0}
        if request.param == "blocking":
            with Engine.from_url(proxy.url, **settings) as engine:
                engine.on_event(heard)
                yield Face(Locks("l", engine), run, heard), proxy
        else:
            awaited = AsyncEngine.from_url(proxy.url, **settings)
            awaited.on_event(heard)
            yield Face(aio.Locks("l", engine=awaited), run, heard), proxy
            runner.run(awaited.close())


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


def test_a_renewal_is_told(face: tuple[Face, Proxy]) -> None:
    locks, _ = face
    held = locks.acquire()
    renewed = locks.until(LeaseRenewed)
    assert renewed[:3] == ("l", "a", held.fence)
    assert 0 < renewed.remaining <= LEASE
    locks.run(held.release)


def test_a_lost_lease_is_told_and_logged(
    face: tuple[Face, Proxy], server: Server, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    locks, _ = face
    held = locks.acquire()
    with server.client() as client:
        client.delete(f"{prefix}:{{l}}:l:a")
    assert locks.until(LeaseLost) == LeaseLost("l", "a", held.fence)
    assert held.lost.is_set()
    about = {"namespace": "l", "name": "a", "fence": held.fence}  # what another test left may be lost meanwhile
    (record,) = [
        record
        for record in caplog.records
        if getattr(record, "event", "") == "LeaseLost" and getattr(record, "redis_state", {}) == about
    ]
    assert (record.name, record.levelname) == ("redis_state.lock", "WARNING")


def test_a_renewal_without_an_answer_is_told_and_then_the_loss(face: tuple[Face, Proxy]) -> None:
    locks, proxy = face
    held = locks.acquire()
    proxy.blackhole()
    failed = locks.until(LeaseNotRenewed)
    assert failed[:3] == ("l", "a", held.fence)
    assert failed.remaining < LEASE
    assert failed.why
    assert locks.until(LeaseLost) == LeaseLost("l", "a", held.fence)
    proxy.blackhole(False)


def test_a_hold_that_is_dropped_is_told(face: tuple[Face, Proxy]) -> None:
    locks, _ = face
    fence = locks.acquire().fence
    assert locks.until(HoldDropped) == HoldDropped("l", "a", fence, "Held")


def test_the_answer_to_a_renewal_that_a_release_overtook_is_no_loss(face: tuple[Face, Proxy]) -> None:
    locks, _ = face
    held = locks.acquire(auto_renew=False)
    held.renew_from = 0.0
    batch = Batch([held], locks.locks.engine.events)
    locks.run(held.release)
    assert batch.answered([False]) == [held]
    assert not locks.heard.of(LeaseLost)


def test_an_acquisition_and_its_release_are_told(face: tuple[Face, Proxy]) -> None:
    locks, _ = face
    held = locks.acquire()
    (acquired,) = locks.heard.of(LockAcquired)
    assert acquired[:3] == ("l", "a", held.fence)
    assert 0 <= acquired.waited < PATIENCE
    locks.run(held.release)
    locks.run(held.release)
    assert locks.heard.of(LockReleased) == [LockReleased("l", "a", held.fence)]


def test_a_wait_is_told_with_its_length(face: tuple[Face, Proxy], server: Server, prefix: str) -> None:
    locks, _ = face
    with Engine.from_url(server.url, prefix=prefix) as engine:
        Locks("l", engine, "other").lock("a", lease=0.3, auto_renew=False).acquire()
    assert locks.acquire(timeout=0.05) is None
    (late,) = locks.heard.of(LockTimedOut)
    assert late[:2] == ("l", "a")
    assert late.holder == "other"
    assert late.waited > 0.04
    held = locks.acquire(timeout=PATIENCE)
    (acquired,) = locks.heard.of(LockAcquired)
    assert 0.01 < acquired.waited < PATIENCE
    locks.run(held.release)


def test_a_server_that_does_not_answer_is_a_lock_that_is_not_free(face: tuple[Face, Proxy]) -> None:
    locks, proxy = face
    locks.run(locks.acquire().release)
    proxy.blackhole()
    assert locks.acquire(timeout=0.1) is None
    proxy.blackhole(False)
    (late,) = locks.heard.of(LockTimedOut)
    assert late.holder is None


def test_a_release_that_finds_another_holder_is_told_as_a_loss(
    face: tuple[Face, Proxy], server: Server, prefix: str
) -> None:
    locks, _ = face
    held = locks.acquire(auto_renew=False)
    with server.client() as client:
        client.delete(f"{prefix}:{{l}}:l:a")
    with pytest.raises(LockLost):
        locks.run(held.release)
    assert locks.heard.of(LeaseLost) == [LeaseLost("l", "a", held.fence)]
    assert not locks.heard.of(LockReleased)


def test_a_renewal_by_hand_is_told(face: tuple[Face, Proxy], server: Server, prefix: str) -> None:
    locks, _ = face
    held = locks.acquire(auto_renew=False)
    locks.run(held.renew)
    (renewed,) = locks.heard.of(LeaseRenewed)
    assert renewed[:3] == ("l", "a", held.fence)
    with server.client() as client:
        client.delete(f"{prefix}:{{l}}:l:a")
    with pytest.raises(LockLost):
        locks.run(held.renew)
    assert locks.heard.of(LeaseLost) == [LeaseLost("l", "a", held.fence)]
