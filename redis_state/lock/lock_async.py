"""``Lock``, ``Held`` and ``Locks``, for asyncio.

A waiter that is cancelled leaves the queue before the cancellation goes on, and what it was granted
in the same moment is handed on.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from redis_state.config import container_id as own_container_id
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.errors import LockTimeout, RedisStateError
from redis_state.keys import Keys, text_of
from redis_state.lock import operations, own, waiting
from redis_state.lock.batch import Parting
from redis_state.lock.block import AsyncBlock, Exit, entered, entering
from redis_state.lock.lease import LeaseHolder, noting
from redis_state.lock.lost import AsyncLost
from redis_state.lock.operations import LEASE, LockInfo, Request
from redis_state.lock.options import OWN, Options
from redis_state.lock.renewal_async import async_renewer

P = ParamSpec("P")
R = TypeVar("R")

ABANDON_TIMEOUT_S = 1.0  # that a cancelled waiter takes to leave the queue, at the most; longer ones go on behind it


class Held(LeaseHolder):
    """A lock that is held. Pass it as ``fence=`` to the writes that it guards. Keep it: see the blocking one."""

    lost: AsyncLost

    def __init__(self, request: Request, lease: operations.Lease, engine: AsyncEngine, *, auto_renew: bool) -> None:
        super().__init__(request, lease, AsyncLost(), auto_renew=auto_renew)
        self._engine = engine
        async_renewer().keep(self, engine)

    async def renew(self, lease: float | None = None) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over.

        ``lease``: seconds that it lasts from now, and with each later renewal; by default as before.
        """
        self.check()
        if lease is not None:
            self.ask_for(lease)
        with self._renewing() as renewal:
            renewal.answers = await self._engine.run_all(renewal.ops)

    async def extend(self, seconds: float) -> None:
        """Let the lease last so many seconds longer than what is left of it. ``LockLost`` when it is over."""
        self.check()
        await self.renew(self.longer_by(seconds))

    async def release(self) -> None:
        """Free the lock and hand it on. ``LockLost`` when it was no longer ours; said again, nothing happens."""
        if self._why and self._is_over():
            return
        was_lost, ends = self.lost.is_set(), self.lost.ends
        try:
            self._ended("it was released")
            freed = await shielded(self._engine.run(operations.release(self._request)))
        except RedisStateError:
            self._not_ended(ends)
            raise
        except BaseException:
            self._renewer.drop(self)
            raise
        self._released(ours=freed and not was_lost)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with noting(error, "the lock was not released"):
            await self.release()


async def shielded(work: Awaitable[R]) -> R:
    """Await something that must not stop half way; a cancellation comes when it is done."""
    task = async_renewer().spawn(work)
    return await asyncio.shield(task)


async def give_up(engine: AsyncEngine, request: Request, error: BaseException) -> None:
    """Give up an acquisition that ended with an error: now, or later when no server answers."""
    when, renewer = waiting.left_behind(error), async_renewer()
    if when == "nothing":
        return
    parting = renewer.spawn(renewer.part(Parting.of(engine, request)))
    if when == "now":
        await asyncio.wait({parting}, timeout=ABANDON_TIMEOUT_S)


class Lock:
    """A lock by name, for all containers, awaited. Not reentrant.

    Usable as ``async with lock as held:``, as a decorator of coroutine functions, and by ``acquire``. Each block
    releases what it entered, also where it is left in another task than the one that entered it.
    """

    def __init__(self, locks: Locks, name: str, options: Options) -> None:
        self.name = name
        self._locks = locks
        self._options = options
        self._entered: list[Held] = []

    async def acquire(self, timeout: float | None = OWN, *, blocking: bool = True) -> Held | None:
        """Hold the lock; None when it is not free within ``timeout`` seconds. See the blocking one."""
        try:
            return await self._take(self._options.timeout_for(timeout, blocking))
        except LockTimeout:
            return None

    async def __aenter__(self) -> Held:
        block = entering(self)
        return entered(self, await self._take(self._options.timeout), block)  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None: ...

    else:
        __aexit__ = Exit(AsyncBlock)

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """Hold the lock while the coroutine function runs."""
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function; redis_state.lock has locks for those")

        @wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            async with self:
                return await function(*args, **kwargs)

        return guarded

    async def _take(self, timeout: float | None) -> Held:
        locks, options = self._locks, self._options
        engine, keys = locks._bound.here()
        request = options.request(keys, self.name, locks.container_id)
        try:
            kept, events = options.auto_renew, engine.events
            plan = waiting.acquire(request, timeout, kept=kept, whose=own.whose_async, events=events)
            return Held(request, await engine.follow(plan), engine, auto_renew=kept)
        except BaseException as error:
            await give_up(engine, request, error)
            raise

    def __repr__(self) -> str:
        return f"<Lock {self.name!r} of {self._locks.namespace!r}>"


class Locks:
    """The locks of one namespace, awaited."""

    def __init__(
        self,
        namespace: str | AsyncEngine,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
    ) -> None:
        self.namespace, self._container_id, engine = given(self, AsyncEngine, namespace, container_id, engine)
        Keys(self.namespace)  # a wrong one is refused here
        self._bound = AsyncBinding(engine, lambda engine: engine.keys(self.namespace))

    @property
    def container_id(self) -> str:
        """The holder of what is acquired here."""
        return self._container_id or own_container_id()

    @property
    def engine(self) -> AsyncEngine:
        """The engine in use."""
        return self._bound.here()[0]

    @property
    def keys(self) -> Keys:
        """The keys of these locks."""
        return self._bound.here()[1]

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
        """Return the lock of this name. Times are seconds; sends nothing yet.

        ``lease`` is how long it stays held when its holder dies; ``timeout`` how long an ``async with`` block waits
        for it (None: no limit) before ``LockTimeout``; ``max_hold`` ends it although it is renewed;
        ``note`` is told by ``inspect``.
        """
        name = text_of(name)
        return Lock(self, name, Options(name, lease, timeout, auto_renew, max_hold, note))

    async def inspect(self, name: str) -> LockInfo | None:
        """See who holds a lock, since when, and how many wait; None when it is free."""
        return await self._bound.run(operations.inspect, name)

    async def list(self) -> list[LockInfo]:
        """See all locks that are held now, sorted by name. Two round trips for up to 500."""
        return await self._bound.follow(operations.held_locks)

    def __repr__(self) -> str:
        return f"<Locks of {self.namespace!r}, container {self.container_id!r}, awaited>"
