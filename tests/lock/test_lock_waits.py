"""How long a lock is waited for: never for oneself, never longer than was said, and never for a lease too short."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from redis_state import Engine, Held, LockLost, Locks, LockTimeout
from redis_state.aio import AsyncEngine
from redis_state.aio import Locks as AsyncLocks
from redis_state.lock import operations
from tests.support.machine_lag import MachineLag
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

SOCKET = 0.5  # seconds: the socket time-out where a server is silent


@pytest.fixture
def locks(engine: Engine) -> Locks:
    return Locks("work", "c1", engine)


@pytest.fixture
async def awaited(server: Server, prefix: str) -> AsyncIterator[AsyncLocks]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as made:
        yield AsyncLocks("work", "a1", made)


def held(locks: Locks, name: str = "a", timeout: float | None = 5.0, **options: Any) -> Held:
    found = locks.lock(name, **options).acquire(timeout)
    assert found is not None
    return found


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until_waiting(locks: Locks, count: int = 1) -> None:
    end = time.monotonic() + 10
    while locks.list()[0].waiters != count:
        assert time.monotonic() < end
        time.sleep(0.005)


# --- for oneself --------------------------------------------------------------------------------------------


def test_a_thread_that_would_wait_for_itself_for_ever_is_told(locks: Locks) -> None:
    @locks.lock("a")
    def decorated() -> None: ...

    def nested() -> None:
        with locks.lock("a"):
            pass

    ways = (nested, decorated, locks.lock("a").acquire, lambda: locks.lock("a").acquire(-1))
    with locks.lock("a"):
        for way in ways:
            with pytest.raises(RuntimeError, match="'a' is not reentrant, and this thread holds it"):
                way()
    this = held(locks)
    for way in ways:
        with pytest.raises(RuntimeError, match="'a' is not reentrant"):
            way()
    assert locks.list()[0].waiters == 0
    this.release()
    nested()


def test_who_says_how_long_waits_and_is_told_who_holds_it(locks: Locks) -> None:
    with locks.lock("a", note="converts track 7") as this:
        with pytest.raises(LockTimeout) as caught, locks.lock("a", timeout=0.1):
            pass
        assert str(caught.value) == (
            "lock 'a' was not free within 0.1 s; c1 holds it (converts track 7); that is this thread"
        )
        error = caught.value
        assert (error.holder, error.note, error.since) == ("c1", "converts track 7", this.since)
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), vars(again)) == (str(error), vars(error))
        with ThreadPoolExecutor(1) as other:
            with pytest.raises(LockTimeout, match="that is another thread or task of this process"):
                other.submit(locks.lock("a", timeout=0).__enter__).result(10)


def test_another_thread_waits_for_as_long_as_it_takes(locks: Locks) -> None:
    this, got = held(locks), list[Held | None]()
    thread = in_thread(lambda: got.append(locks.lock("a").acquire()))
    until_waiting(locks)
    this.release()
    thread.join(10)
    assert got[0] is not None
    got[0].release()  # of another thread
    locks.lock("a").__enter__().release()


def test_a_thread_of_a_pool_may_wait_where_another_job_has_entered(locks: Locks) -> None:
    """Each job in a context of its own, as web frameworks run them: what the first one took is not the second's."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(copy_context().run, locks.lock("a").acquire).result(10)
        assert first is not None
        waiting = pool.submit(copy_context().run, locks.lock("a").acquire)
        until_waiting(locks)
        first.release()
        second = waiting.result(10)
        assert second is not None
        second.release()


@pytest.mark.parametrize("options", [{"auto_renew": False, "lease": 0.5}, {"max_hold": 0.5}])
def test_a_thread_may_wait_for_a_lease_of_its_own_that_ends(locks: Locks, options: dict[str, Any]) -> None:
    kept = held(locks, **options)
    with locks.lock("a"):
        assert kept.lost.is_set()


async def test_a_task_that_would_wait_for_itself_for_ever_is_told(awaited: AsyncLocks) -> None:
    @awaited.lock("a")
    async def decorated() -> None: ...

    async def nested() -> None:
        async with awaited.lock("a"):
            pass

    for way in (nested, decorated, awaited.lock("a").acquire):
        async with awaited.lock("a"):
            with pytest.raises(RuntimeError, match="'a' is not reentrant, and this task holds it"):
                await way()
    this = await awaited.lock("a").acquire()
    assert this is not None
    with pytest.raises(RuntimeError, match="'a' is not reentrant"):
        await awaited.lock("a").acquire()
    await this.release()
    await nested()


async def in_await(child: Any) -> None:
    await asyncio.create_task(child)


async def in_gather(child: Any) -> None:
    await asyncio.gather(asyncio.sleep(0), child)


async def in_group(child: Any) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def in_wait(child: Any) -> None:
    (done,), _ = await asyncio.wait({asyncio.create_task(child)})
    done.result()


async def in_shield(child: Any) -> None:
    await asyncio.shield(child)


async def in_two(child: Any) -> None:
    await in_gather(in_await(child))


@pytest.mark.parametrize("how", [in_await, in_gather, in_group, in_wait, in_shield, in_two])
async def test_a_task_whose_holder_waits_for_it_is_told(awaited: AsyncLocks, how: Callable[[Any], Any]) -> None:
    async def nested() -> None:
        async with awaited.lock("a"):
            pass

    async with awaited.lock("a"):
        with pytest.raises(RuntimeError, match="'a' is not reentrant, and the task that waits for this one holds it"):
            await how(nested())


async def test_a_task_that_its_holder_does_not_wait_for_waits(awaited: AsyncLocks) -> None:
    async def nested() -> None:
        async with awaited.lock("a"):
            pass

    async with awaited.lock("a"):
        child = asyncio.create_task(nested())
        await asyncio.sleep(0.3)
        await asyncio.wait({child, asyncio.create_task(asyncio.sleep(0.3))}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({child}, timeout=0.3)
    await asyncio.wait_for(child, 10)


async def test_a_task_that_would_stop_its_loop_for_ever_is_told(locks: Locks) -> None:
    """Blocking locks in coroutines: nobody else can let the holder go on."""

    async def nested() -> None:
        with locks.lock("a"):
            pass

    with locks.lock("a"):
        with pytest.raises(RuntimeError, match="not reentrant"):
            await asyncio.create_task(nested())


# --- no longer than was said --------------------------------------------------------------------------------


@pytest.fixture
def frozen(prefix: str) -> Iterator[tuple[Server, Locks]]:
    """A server that has stopped, and locks that were used on it."""
    with (
        Server(next(iter(available().values()))) as server,
        Engine.from_url(server.url, prefix=prefix, socket_timeout=SOCKET, deadline=20.0) as engine,
    ):
        locks = Locks("work", engine)
        held(locks).release()
        server.pause()
        yield server, locks
        server.resume()


@pytest.mark.parametrize("timeout", [0, 0.2])
def test_a_server_that_does_not_answer_is_waited_for_no_longer(
    frozen: tuple[Server, Locks], timeout: float, machine_lag: MachineLag
) -> None:
    server, locks = frozen
    began = time.monotonic()
    assert locks.lock("a").acquire(timeout) is None
    with pytest.raises(LockTimeout, match="the server did not answer"), locks.lock("a", timeout=timeout):
        pass
    assert time.monotonic() - began < 2 * ((timeout or 1.0) + SOCKET) + machine_lag.slack
    server.resume()
    with Engine.from_url(server.url, prefix=locks.engine.settings.prefix) as other:
        end = time.monotonic() + 10
        while Locks("work", other).inspect("a") is not None:
            assert time.monotonic() < end, "what nobody heard of is given back"
            time.sleep(0.01)
    held(locks).release()


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_awaited(
    frozen: tuple[Server, Locks], machine_lag: MachineLag
) -> None:
    server, blocking = frozen
    prefix = blocking.engine.settings.prefix
    async with AsyncEngine.from_url(server.url, prefix=prefix, socket_timeout=SOCKET, deadline=20.0) as engine:
        locks = AsyncLocks(engine, "work")
        server.resume()
        async with locks.lock("a"):
            pass
        server.pause()
        began = time.monotonic()
        assert await locks.lock("a").acquire(0.2) is None
        assert time.monotonic() - began < 0.2 + SOCKET + machine_lag.slack
        server.resume()
        end = time.monotonic() + 10
        while await locks.inspect("a") is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)


def test_a_server_that_is_not_there_is_waited_for_no_longer(machine_lag: MachineLag) -> None:
    with Engine.from_url("redis://127.0.0.1:1", deadline=20.0, socket_timeout=SOCKET) as engine:
        began = time.monotonic()
        assert Locks("work", engine).lock("a").acquire(0.2) is None
        assert time.monotonic() - began < 0.2 + SOCKET + machine_lag.slack


@pytest.fixture
def far(server: Server, prefix: str) -> Iterator[Locks]:
    """Locks on a server that is a round trip of 0.3 s away."""
    with Proxy(server.socket_path) as proxy, Engine.from_url(proxy.url, prefix=prefix) as engine:
        locks = Locks("work", engine)
        held(locks, "warm").release()
        proxy.delay(0.3)
        yield locks
        proxy.delay(0.0)


def test_a_lease_shorter_than_a_round_trip_is_no_lease(far: Locks, machine_lag: MachineLag) -> None:
    began = time.monotonic()
    assert far.lock("a", lease=0.25).acquire(0) is None
    with pytest.raises(LockTimeout, match=r"lease of 0\.25 s was over before .* ask for a longer one"):
        far.lock("b", lease=0.25, timeout=0.5).__enter__()
    with pytest.raises(LockLost, match=r"lease of 0\.25 s was over before"):
        far.lock("c", lease=0.25).__enter__()
    assert time.monotonic() - began < 8.0 + machine_lag.slack
    with far.lock("a", lease=5.0):
        pass


# --- what may be said ---------------------------------------------------------------------------------------


def test_what_a_user_of_threading_writes(locks: Locks) -> None:
    lock = locks.lock("a", timeout=0.05)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        this = one.submit(lock.acquire, blocking=False).result(10)
        assert this is not None
        assert lock.acquire(blocking=False) is None
        waiting = other.submit(lock.acquire, -1)  # for ever, as None, and not for the lock's own time
        assert lock.acquire() is None
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        this.release()
        again = waiting.result(10)
        assert again is not None
        again.release()
    for timeout, blocking, error, text in (
        (-2, True, ValueError, "timeout=-2"),
        (True, True, TypeError, "blocking=True"),
        (False, True, TypeError, "blocking=False"),
        (1.0, False, ValueError, "one of the two"),
        ("1", True, TypeError, "a number of seconds"),
    ):
        with pytest.raises(error, match=text):
            lock.acquire(timeout, blocking=blocking)  # type: ignore[arg-type]


# --- how long it is held ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease", [0.5, 1.0, 1.2, 20.0])
def test_a_waiter_that_renews_nothing_has_the_lease_that_it_asked_for(
    locks: Locks, lease: float, machine_lag: MachineLag
) -> None:
    first, leases = held(locks), list[float]()

    def wait() -> None:
        with locks.lock("a", lease=lease, auto_renew=False) as this:
            leases.append(this.remaining())

    thread = in_thread(wait)
    until_waiting(locks)
    first.release()
    thread.join(30)
    assert leases[0] > lease - min(machine_lag.slack, lease / 2)
    assert leases[0] > operations.WAKEUP_LEASE_S or lease < 1.2 or machine_lag.slack > 0.3


def left(locks: Locks, name: str = "a") -> float:
    info = locks.inspect(name)
    return info.remaining if info else 0.0


def test_a_lease_may_be_renewed_for_another_length(locks: Locks) -> None:
    with locks.lock("a", lease=5.0, auto_renew=False) as this:
        this.renew(lease=60.0)
        assert 50 < this.remaining() <= left(locks) + 0.1
        assert 50 < left(locks) <= 60
        this.extend(100.0)
        assert 140 < this.remaining() <= left(locks) + 0.1
        this.renew()
        assert 140 < left(locks) <= 160, "later ones ask for as much"
        this.renew(lease=2.0)
        assert this.remaining() <= left(locks) + 0.1 <= 2.1
        for seconds, error in ((0, ValueError), (-1, ValueError), (1e9, ValueError), ("1", TypeError)):
            with pytest.raises(error, match="'a'"):
                this.renew(lease=seconds)  # type: ignore[arg-type]
            with pytest.raises(error, match="'a'"):
                this.extend(seconds)  # type: ignore[arg-type]


def test_a_lease_that_was_shortened_is_renewed_in_time(locks: Locks) -> None:
    with locks.lock("a", lease=30.0) as this:
        this.renew(lease=0.6)
        time.sleep(1.5)
        this.check()
        assert left(locks) <= 0.6


async def test_a_lease_may_be_renewed_for_another_length_awaited(awaited: AsyncLocks) -> None:
    async with awaited.lock("a", lease=30.0) as this:
        await this.renew(lease=60.0)
        await this.extend(100.0)
        info = await awaited.inspect("a")
        assert info is not None
        assert 140 < this.remaining() <= info.remaining + 0.1
        await this.renew(lease=0.6)
        await asyncio.sleep(1.5)
        this.check()


def test_of_two_renewals_at_once_the_shorter_one_is_believed(locks: Locks, engine: Engine) -> None:
    """Which one the server ran last is not known to the holder."""
    this = held(locks, lease=30.0, auto_renew=False)
    early = this.renewal()
    this.ask_for(300.0)
    late = this.renewal()
    engine.run_all([*late.ops, *early.ops])
    assert this.renewed(late, True)
    assert this.remaining() <= 30
    assert this.renewed(early, True)
    assert this.remaining() <= left(locks) + 0.1
    this.renew()
    assert this.remaining() > 200
    this.release()
