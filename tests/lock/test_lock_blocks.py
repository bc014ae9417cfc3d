"""Who lets go of a lock: the block that entered it, wherever it ends, and nobody's lock is renewed."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from typing import Any

import pytest

from redis_state import Engine, Held, LockLost, Locks
from redis_state.aio import AsyncEngine
from redis_state.aio import Locks as AsyncLocks
from redis_state.state import RedisConversionState
from tests.support.servers import Server
from tests.support.workers import in_processes

LEASE = 1.0


@pytest.fixture
def locks(engine: Engine) -> Locks:
    return Locks("work", "c1", engine)


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def held(locks: Locks, name: str = "a", **options: Any) -> Held:
    found = locks.lock(name, **options).acquire(timeout=5.0)
    assert found is not None
    return found


# --- entered here, left there -------------------------------------------------------------------------------


def by_with(lock: Any) -> Iterator[None]:
    with lock:
        yield


def by_stack(lock: Any) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(lock)
        yield


def by_hand(lock: Any) -> Iterator[None]:
    lock.__enter__()
    yield
    lock.__exit__(None, None, None)


WAYS = pytest.mark.parametrize("way", [by_with, by_stack, by_hand])


@WAYS
def test_a_block_may_be_left_in_another_thread(locks: Locks, way: Callable[[Any], Iterator[None]]) -> None:
    lock = locks.lock("a", lease=LEASE)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for _ in range(3):
            block = contextmanager(way)(lock)
            one.submit(block.__enter__).result(10)
            assert locks.inspect("a") is not None
            other.submit(block.__exit__, None, None, None).result(10)
            assert locks.inspect("a") is None


@WAYS
def test_each_block_leaves_what_it_entered(locks: Locks, way: Callable[[Any], Iterator[None]]) -> None:
    """One lock object, two blocks: the lease of the first is over, and a third thread ends both."""
    lock = locks.lock("a", lease=0.2, auto_renew=False)
    first, second = contextmanager(way)(lock), contextmanager(way)(lock)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(first.__enter__).result(10)
        other.submit(second.__enter__).result(10)
        lock._options.lease = 30.0
        third = contextmanager(way)(lock)
        one.submit(third.__enter__).result(10)
        if way is not by_hand:  # those have no block that could tell
            with pytest.raises(LockLost):
                first.__exit__(None, None, None)
            assert locks.inspect("a") is not None
            with pytest.raises(LockLost):
                second.__exit__(None, None, None)
            assert locks.inspect("a") is not None
        one.submit(third.__exit__, None, None, None).result(10)
        assert locks.inspect("a") is None


def test_what_was_not_entered_cannot_be_left(locks: Locks) -> None:
    lock = locks.lock("a")
    with pytest.raises(RuntimeError, match="'a'.*was not entered"):
        lock.__exit__(None, None, None)


def test_blocks_that_are_entered_by_hand_and_given_to_a_stack(locks: Locks) -> None:
    first, second = locks.lock("a"), locks.lock("b")
    with ExitStack() as stack:
        for lock in (first, second):
            lock.__enter__()
            stack.push(lock)
        assert [info.name for info in locks.list()] == ["a", "b"]
    assert locks.list() == []


def test_a_lock_that_is_entered_by_two_threads_at_once(locks: Locks) -> None:
    lock, inside, most = locks.lock("a"), [0], [0]

    def work() -> None:
        for _ in range(20):
            with ExitStack() as stack:
                stack.enter_context(lock)
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        for running in [pool.submit(work) for _ in range(4)]:
            running.result(60)
    assert most == [1]
    assert locks.inspect("a") is None


@pytest.fixture
async def awaited(server: Server, prefix: str) -> AsyncIterator[AsyncLocks]:
    async with AsyncEngine.from_url(server.url, prefix=prefix) as made:
        yield AsyncLocks("work", "a1", made)


@pytest.mark.parametrize("stacked", [False, True])
async def test_a_block_may_be_left_in_another_task(awaited: AsyncLocks, stacked: bool) -> None:
    lock = awaited.lock("a", lease=LEASE)

    async def fixture() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if stacked:
                await stack.enter_async_context(lock)
                yield
            else:
                async with lock:
                    yield

    for _ in range(3):
        halves = fixture()
        await asyncio.create_task(anext(halves, None))  # type: ignore[arg-type]
        assert await awaited.inspect("a") is not None
        await asyncio.create_task(anext(halves, None))  # type: ignore[arg-type]
        assert await awaited.inspect("a") is None


# --- dropped ------------------------------------------------------------------------------------------------


def test_what_is_dropped_is_freed_and_told_of(locks: Locks, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "redis_state.lock"):
        lost = held(locks).lost  # the only reference to what was acquired goes here
        gc.collect()
        until(lambda: locks.inspect("a") is None)
    assert lost.wait(5.0), "who has only the event learns of it"
    assert "'a'" in caplog.text
    assert "dropped and not released" in caplog.text


def test_a_claim_that_is_dropped_is_handed_back(engine: Engine) -> None:
    state = RedisConversionState("c1", engine)
    state.claim("k")
    gc.collect()
    until(lambda: state.locks.inspect("k") is None)
    with state.claim("k") as claim:
        assert claim.attempt == 1


async def test_what_is_dropped_is_freed_awaited(awaited: AsyncLocks, caplog: pytest.LogCaptureFixture) -> None:
    lost = (await awaited.lock("a").acquire()).lost  # type: ignore[union-attr]
    gc.collect()
    await asyncio.wait_for(lost.wait(), 10)
    end = time.monotonic() + 10
    while await awaited.inspect("a") is not None:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert "dropped and not released" in caplog.text


async def test_what_another_thread_drops_is_freed_awaited(awaited: AsyncLocks) -> None:
    kept = [await awaited.lock("a").acquire()]
    await asyncio.to_thread(kept.clear)
    end = time.monotonic() + 10
    while await awaited.inspect("a") is not None:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_a_lease_that_is_not_renewed_lasts_as_long_as_was_asked_for(locks: Locks) -> None:
    """Work once an hour: the lock is taken, and nobody wants to keep it."""
    assert locks.lock("a", lease=30.0, auto_renew=False).acquire(0) is not None
    gc.collect()
    time.sleep(0.3)
    info = locks.inspect("a")
    assert info is not None
    assert info.remaining > 20


def test_nothing_refers_to_what_was_released(locks: Locks) -> None:
    import weakref

    this = held(locks)
    there = weakref.ref(this)
    this.release()
    del this
    assert there() is None


# --- interrupted --------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupted(work: Callable[[], object], number: int) -> bool:
    """Do something, and let a signal come at so many calls from its beginning. Tell whether it came."""
    left = [number]

    def profile(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGUSR1)

    try:
        sys.setprofile(profile)
        work()
        sys.setprofile(None)
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return False


def raises(*_: object) -> None:
    raise Interrupted


@pytest.fixture
def interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, raises)
    gc.freeze()  # so that each collection looks only at what came since
    yield
    gc.unfreeze()
    sys.setprofile(None)
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("way", [by_with, by_stack])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a connection that an interrupted call had
@pytest.mark.usefixtures("interrupts")
def test_wherever_the_end_of_a_block_is_interrupted_the_lock_is_free_soon(
    locks: Locks, way: Callable[[Any], Iterator[None]]
) -> None:
    """The lock object lives on: nothing but the block may keep what it holds."""
    lock = locks.lock("a", lease=30.0)
    for number in range(10_000):
        block = way(lock)
        next(block)
        if not interrupted(lambda block=block: next(block, None), number):  # type: ignore[misc]
            break
        del block
        gc.collect()  # the traceback of an exit stack refers to itself
        until(lambda: locks.inspect("a") is None)
    assert number > 20, "the end of a block has more places than that"
    gc.collect()  # here, where connections that were interrupted may be left open


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("interrupts")
def test_wherever_the_beginning_of_a_block_is_interrupted_the_lock_is_free_soon(locks: Locks) -> None:
    lock = locks.lock("a", lease=30.0)
    kept = held(locks, "kept", lease=600.0)  # so that the thread that renews goes on

    def work() -> None:
        with lock:
            sys.setprofile(None)

    for number in range(10_000):
        if not interrupted(work, number):
            break
        until(lambda: locks.inspect("a") is None)
    assert number > 40
    kept.check()
    with lock:
        pass
    gc.collect()


# --- in the midst of anything -------------------------------------------------------------------------------


def handle_signals(url: str, prefix: str, seconds: float) -> int:
    """Use locks in a signal handler and outside of it, as often as can be; return how often it was the handler."""
    with Engine.from_url(url, prefix=prefix) as engine:
        locks = Locks("work", engine)
        count = [0]

        def handler(*_: object) -> None:
            locks.lock("of the handler", lease=5.0).acquire(0)  # dropped
            with locks.lock("of the handler, too", lease=5.0):
                count[0] += 1
            signal.setitimer(signal.ITIMER_REAL, 0.002)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        end = time.monotonic() + seconds
        kept = held(locks, "kept", lease=0.6)
        while time.monotonic() < end:
            with locks.lock("of main", lease=5.0):
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        kept.check()
        return count[0]


def test_locks_work_in_signal_handlers(server: Server, prefix: str) -> None:
    (handled,) = in_processes(handle_signals, [(server.url, prefix, 3.0)])
    assert handled > 50


def collect_always(url: str, prefix: str, seconds: float) -> int:
    """Let the collector release locks in the midst of anything; return how many it released."""

    class Owner:
        def __init__(self, locks: Locks) -> None:
            self.held = held(locks, f"n{count[0] % 7}", lease=5.0)
            self.itself = self

        def __del__(self) -> None:
            self.held.release()
            count[0] += 1

    with Engine.from_url(url, prefix=prefix) as engine:
        locks, count = Locks("work", engine), [0]
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                with locks.lock("busy", lease=5.0):
                    pass

        thread = threading.Thread(target=busy)
        thread.start()
        gc.set_threshold(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            Owner(locks)
        gc.set_threshold(700)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        gc.collect()
        return count[0]


def test_locks_work_in_finalizers(server: Server, prefix: str) -> None:
    (released,) = in_processes(collect_always, [(server.url, prefix, 4.0)])
    assert released > 3


def test_an_event_may_be_set_while_its_waiter_is_interrupted(locks: Locks) -> None:
    """Set in a handler that runs in the thread that waits for it."""
    this = held(locks)
    before = signal.signal(signal.SIGUSR1, lambda *_: this.lost.set())
    try:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        assert this.lost.wait(10.0)
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- the thread that renews ---------------------------------------------------------------------------------


def test_a_thread_that_cannot_start_is_started_later(locks: Locks) -> None:
    threading.stack_size(2**40)  # no thread can be started with such a stack: the same error as at a limit of threads
    try:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="start new thread"), locks.lock("a"):
                pass
            assert locks.inspect("a") is None, "it is no holder's, and was given back"
    finally:
        threading.stack_size(0)
    with locks.lock("a", lease=0.4) as this:
        time.sleep(1.2)
        this.check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_started_again(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    with locks.lock("a", lease=3.0):
        renewer = locks._bound.here()[1][1]
        dead = renewer._thread
        monkeypatch.setattr(renewer, "_look", sys.exit)  # ends the thread, as nothing that is expected would
        assert dead is not None
        dead.join(10)
        monkeypatch.undo()
    with locks.lock("b", lease=1.5) as this:
        time.sleep(2.2)
        this.check()


def test_an_unexpected_error_ends_no_renewal(
    locks: Locks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with locks.lock("a", lease=1.0) as this, locks.lock("b", lease=1.0) as other:
        monkeypatch.setattr(other, "renewal", lambda: 1 / 0)
        until(lambda: "cannot be renewed" in caplog.text)
        time.sleep(1.2)
        this.check()
        monkeypatch.undo()
        locks._bound.here()[1][1]._partings.append(None)  # type: ignore[arg-type]
        until(lambda: "it is tried again" in caplog.text)
        locks._bound.here()[1][1]._partings.clear()
        time.sleep(1.2)
        this.check()
        with suppress(LockLost):
            other.release()
