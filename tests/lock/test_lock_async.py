"""Locks, awaited: the same promises, and what cancellation does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from redis_state import Engine, LockLost, LockTimeout
from redis_state import Locks as BlockingLocks
from redis_state.aio import AsyncEngine, Held, Lock, Locks
from redis_state.lock import operations
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server


@pytest.fixture
async def aengine(server: Server, prefix: str) -> AsyncIterator[AsyncEngine]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as made:
        yield made


@pytest.fixture
def locks(aengine: AsyncEngine) -> Locks:
    return Locks("work", "a1", aengine)


async def held(lock: Lock, timeout: float | None = 5.0) -> Held:
    found = await lock.acquire(timeout)
    assert found is not None
    return found


async def waiters(locks: Locks, name: str = "a") -> int:
    info = await locks.inspect(name)
    return info.waiters if info else -1


async def until_waiting(locks: Locks, count: int) -> None:
    end = time.monotonic() + 5
    while await waiters(locks) != count:
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_a_lock_is_held_by_one_of_both_worlds(locks: Locks, engine: Engine) -> None:
    others = BlockingLocks("work", engine)
    async with locks.lock("a", note="mine") as this:
        assert await locks.lock("a").acquire(timeout=0) is None
        assert await asyncio.to_thread(others.lock("a").acquire, 0) is None
        (info,) = await locks.list()
        assert (info.fence, info.container, info.note) == (this.fence, "a1", "mine")
        assert not this.lost.is_set()
        this.check()
        await this.renew()
    assert await locks.inspect("a") is None


async def test_waiters_hold_in_order_and_soon(locks: Locks, machine_lag: MachineLag) -> None:
    order: list[int] = []
    times: list[float] = []

    async def wait(place: int) -> None:
        async with locks.lock("a"):
            order.append(place)
            times.append(time.monotonic())

    first = await held(locks.lock("a"))
    tasks = []
    for place in range(5):
        tasks.append(asyncio.create_task(wait(place)))
        await until_waiting(locks, place + 1)
        await asyncio.sleep(0.02)
    released = time.monotonic()
    await first.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert times[0] - released < 0.3 + machine_lag.slack


async def test_a_cancelled_waiter_leaves_the_queue_and_its_turn(locks: Locks, machine_lag: MachineLag) -> None:
    first = await held(locks.lock("a"))
    cancelled = asyncio.create_task(locks.lock("a").acquire())
    await until_waiting(locks, 1)
    patient = asyncio.create_task(locks.lock("a").acquire())
    await until_waiting(locks, 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await waiters(locks) == 1
    released = time.monotonic()
    await first.release()
    second = await patient
    assert second is not None
    assert time.monotonic() - released < 0.3 + machine_lag.slack
    await second.release()


async def test_what_a_cancelled_waiter_was_granted_is_handed_on(locks: Locks) -> None:
    """Release and cancel in the same instant, in many ways; nobody may be left holding."""
    for round_ in range(60):
        first = await held(locks.lock("a"))
        waiter = asyncio.create_task(locks.lock("a").acquire())
        await until_waiting(locks, 1)
        releasing = asyncio.create_task(first.release())
        for _ in range(round_ % 12):
            await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait({waiter, releasing})
        if not waiter.cancelled():  # it was faster
            got = waiter.result()
            assert got is not None
            await got.release()
        assert await locks.inspect("a") is None, f"round {round_}: a lock that nobody holds"


async def test_a_first_attempt_that_is_cancelled_takes_nothing(locks: Locks) -> None:
    for round_ in range(60):
        attempt = asyncio.create_task(locks.lock("a").acquire())
        for _ in range(round_ % 12):
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait({attempt})
        if not attempt.cancelled():
            got = attempt.result()
            assert got is not None
            await got.release()
        assert await locks.inspect("a") is None, f"round {round_}: a lock that nobody holds"


async def test_an_acquire_that_arrives_after_its_owner_left_takes_nothing(aengine: AsyncEngine, locks: Locks) -> None:
    want = operations.Request(locks.keys, "a", 5.0, "a1")
    await aengine.run(operations.leave(want))
    assert await aengine.run(operations.attempt(want, 5.0, queue=True)) is None
    assert await locks.inspect("a") is None


async def test_a_cancelled_body_releases(locks: Locks) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with locks.lock("a"):
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await locks.inspect("a") is None


async def test_a_release_that_is_cancelled_still_happens(locks: Locks) -> None:
    for round_ in range(20):
        this = await held(locks.lock("a"))
        task = asyncio.create_task(this.release())
        for _ in range(round_ % 10 + 1):  # at least one: it has begun
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        end = time.monotonic() + 2
        while await locks.inspect("a") is not None:
            assert time.monotonic() < end, "it was never released"
            await asyncio.sleep(0.001)


async def test_leases_are_renewed_by_a_timer_and_no_task_waits(locks: Locks, machine_lag: MachineLag) -> None:
    before = len(asyncio.all_tasks())
    many = [await held(locks.lock(f"n{place}", lease=0.6)) for place in range(20)]
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == before
    await asyncio.sleep(1.5)
    for this in many:
        this.check()
        await this.release()
    waited = await held(locks.lock("a", lease=0.5, auto_renew=False))
    start = time.monotonic()
    await asyncio.wait_for(waited.lost.wait(), 5)
    assert 0.3 < time.monotonic() - start < 0.5 + machine_lag.slack
    with pytest.raises(LockLost):
        await waited.release()


async def test_time_out_re_entry_and_decorator(locks: Locks) -> None:
    lock = locks.lock("a", timeout=0.1)
    async with lock:
        with pytest.raises(LockTimeout, match="a1 holds it; that is this task"):
            async with lock:
                pass
        assert await lock.acquire(timeout=0.05) is None

    @lock
    async def work(n: int) -> int:
        assert await locks.inspect("a") is not None
        return n + 1

    assert await work(1) == 2
    function: Any = max
    with pytest.raises(TypeError, match="no coroutine function"):
        lock(function)


async def test_a_body_keeps_its_own_exception(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError):
        async with locks.lock("a", lease=0.05, auto_renew=False):
            await asyncio.sleep(0.1)
            raise ZeroDivisionError
    with pytest.raises(LockLost):
        async with locks.lock("a", lease=0.05, auto_renew=False):
            await asyncio.sleep(0.1)
