"""``Lock``, ``Held`` and ``Locks``, for asyncio.

A waiter that is cancelled leaves the queue before the cancellation goes on, and what it was granted
in the same moment is handed on.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.errors import LockLost, LockTimeout, RedisStateError, ServerFull, ServerRefused
from redis_state.lock import steps
from redis_state.lock.held import OWN, checked_timeout
from redis_state.lock.keeper import awaited_keeper
from redis_state.lock.steps import LEASE, LockInfo, Request, checked_seconds
from redis_state.lock.term import AwaitedLost, Hold

P = ParamSpec("P")
R = TypeVar("R")

FAREWELL = 1.0  # seconds that a cancelled waiter takes to leave the queue, at the most; longer ones go on behind it


class Held(Hold):
    """A lock that is held. Pass it as ``fence=`` to the writes that it guards."""

    lost: AwaitedLost

    def __init__(self, want: Request, lease: steps.Lease, engine: AsyncEngine, *, auto_renew: bool) -> None:
        super().__init__(want, lease, AwaitedLost(), auto_renew=auto_renew)
        self._engine = engine
        awaited_keeper().keep(self, engine)

    async def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over."""
        self.check()
        await renewed_now(self, self._engine)

    async def release(self) -> None:
        """Free the lock and hand it on. ``LockLost`` when it was no longer ours; said again, nothing happens."""
        if self._why:
            if self._forked:
                raise LockLost(self.name, self._why)
            return
        lost, ends = self.lost.is_set(), self.lost.ends
        awaited_keeper().drop(self)
        self._ended("it was released")
        try:
            freed = await to_its_end(self._engine.run(steps.release(self._want)))
        except RedisStateError:
            self._why, self.lost.ends = "", ends  # it can be said again
            raise
        if lost or not freed:
            self.lost.set()
            raise LockLost(self.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            await self.release()
            return
        try:
            await self.release()
        except RedisStateError as also:
            error.add_note(f"and the lock was not released: {also}")


async def renewed_now(hold: Hold, engine: AsyncEngine) -> None:
    """Renew a lease on the caller's behalf."""
    renewal = hold.renewal()
    if not hold.renewed(renewal, (await engine.run_all(renewal.ops))[0]):
        awaited_keeper().drop(hold)
        raise LockLost(hold.name)


async def to_its_end(work: Awaitable[R]) -> R:
    """Await something that must not stop half way; a cancellation comes when it is done."""
    task = awaited_keeper().spawn(work)
    return await asyncio.shield(task)


async def farewell(engine: AsyncEngine, want: Request) -> None:
    """Give up an acquisition, whatever became of it."""

    async def leave() -> None:
        with suppress(RedisStateError):
            await engine.run(steps.leave(want))

    await asyncio.wait({awaited_keeper().spawn(leave())}, timeout=FAREWELL)


class Lock:
    """A lock by name, for all containers, awaited. Not reentrant.

    Usable as ``async with lock as held:``, as a decorator of coroutine functions, and by ``acquire``.
    """

    def __init__(
        self,
        locks: Locks,
        name: str,
        *,
        lease: float = LEASE,
        timeout: float | None = None,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> None:
        checked_seconds(name, "lease", lease)
        checked_seconds(name, "max_hold", max_hold)
        self.name = name
        self._locks = locks
        self._lease = lease
        self._timeout = checked_timeout(name, timeout)
        self._auto_renew = auto_renew
        self._max_hold = max_hold
        self._note = note or ""
        self._inside: dict[asyncio.Task[Any] | None, Held] = {}

    async def acquire(self, timeout: float | None = OWN) -> Held | None:
        """Hold the lock; None when it is not free within ``timeout`` seconds. See the blocking one."""
        patience = self._timeout if timeout == OWN else checked_timeout(self.name, timeout)
        if patience is None:
            self._refuse_reentry()
        try:
            return await self._take(patience)
        except LockTimeout:
            return None

    async def __aenter__(self) -> Held:
        self._refuse_reentry()
        held = self._inside[asyncio.current_task()] = await self._take(self._timeout)
        return held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inside.pop(asyncio.current_task()).__aexit__(kind, error, trace)

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """Hold the lock while the coroutine function runs."""
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function; redis_state.lock has locks for those")

        @wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            async with self:
                return await function(*args, **kwargs)

        return guarded

    def _refuse_reentry(self) -> None:
        if asyncio.current_task() in self._inside:
            raise RuntimeError(f"lock {self.name!r} is not reentrant, and this task holds it in a `with` block")

    async def _take(self, patience: float | None) -> Held:
        locks = self._locks
        engine = locks.engine
        want = Request(locks.keys, self.name, self._lease, locks.container_id, self._note, self._max_hold)
        try:
            lease = await engine.follow(steps.acquire(want, patience, kept=self._auto_renew))
            return Held(want, lease, engine, auto_renew=self._auto_renew)
        except (LockTimeout, ServerFull, ServerRefused):
            raise
        except BaseException:
            await farewell(engine, want)
            raise

    def __repr__(self) -> str:
        return f"<Lock {self.name!r} of {self._locks.namespace!r}>"


class Locks:
    """The locks of one namespace, awaited."""

    def __init__(self, engine: AsyncEngine, namespace: str, container_id: str | None = None) -> None:
        self.engine = engine
        self.namespace = namespace
        self.keys = engine.keys(namespace)
        self._container_id = container_id

    @property
    def container_id(self) -> str:
        """Who holds what is acquired here."""
        return self._container_id or own_container_id()

    def lock(
        self,
        name: str,
        *,
        lease: float = LEASE,
        timeout: float | None = None,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> Lock:
        """Return the lock of this name. Times are seconds; sends nothing yet. See ``redis_state.lock.Locks``."""
        return Lock(self, name, lease=lease, timeout=timeout, auto_renew=auto_renew, max_hold=max_hold, note=note)

    async def inspect(self, name: str) -> LockInfo | None:
        """See who holds a lock, since when, and how many wait; None when nobody holds it."""
        return await self.engine.run(steps.inspect(self.keys, name))

    async def list(self) -> list[LockInfo]:
        """See all locks that are held now, sorted by name."""
        return await self.engine.follow(steps.held_locks(self.keys))
