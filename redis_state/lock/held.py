"""``Lock``, ``Held`` and ``Locks``, blocking."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from threading import get_ident
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from redis_state.config import container_id as own_container_id
from redis_state.engine.default import Bound
from redis_state.engine.op import Op
from redis_state.engine.run import Engine
from redis_state.errors import CallError, LockLost, LockTimeout, RedisStateError, ServerFull, ServerRefused
from redis_state.keys import Keys
from redis_state.lock import steps
from redis_state.lock.keeper import Keeper, keeper
from redis_state.lock.steps import LEASE, LockInfo, LockKeys, Request, checked_seconds
from redis_state.lock.term import Hold, Lost

P = ParamSpec("P")
R = TypeVar("R")

OWN = -1.0  # the time-out that the lock was made with
LONGEST_WAIT = 10 * 366 * 86400.0


class Held(Hold):
    """A lock that is held. Pass it as ``fence=`` to the writes that it guards.

    Also a context manager, which releases it at the end.
    """

    lost: Lost

    def __init__(
        self, want: Request, lease: steps.Lease, free: Op[bool], engine: Engine, keeper: Keeper, *, auto_renew: bool
    ) -> None:
        super().__init__(want, lease, Lost(), auto_renew=auto_renew)
        self._free = free
        self._engine = engine
        self._keeper = keeper
        keeper.keep(self)

    def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over. One round trip."""
        self.check()
        renewed_now(self, self._engine)

    def release(self) -> None:
        """Free the lock and hand it to the one that waits longest. One round trip.

        ``LockLost`` when it was no longer ours; after that, and when it is said again, nothing happens.
        """
        if self._why:
            if self._forked:
                raise LockLost(self.name, self._why)
            return
        lost, ends = self.lost.is_set(), self.lost.ends
        self._ended("it was released")
        try:
            freed = self._engine.run(self._free)
        except BaseException:
            self._why, self.lost.ends = "", ends  # it can be said again
            raise
        finally:
            self._keeper.drop(self)
        if lost or not freed:
            self.lost.set()
            raise LockLost(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.release()
            return
        try:
            self.release()
        except RedisStateError as also:
            error.add_note(f"and the lock was not released: {also}")


def renewed_now(hold: Hold, engine: Engine) -> None:
    """Renew a lease on the caller's behalf."""
    renewal = hold.renewal()
    if not hold.renewed(renewal, engine.run_all(renewal.ops)[0]):
        keeper(engine).drop(hold)
        raise LockLost(hold.name)


class Lock:
    """A lock by name, for all containers. Not reentrant.

    Usable as ``with lock as held:``, as a decorator, and by ``acquire``. One object may be used by many
    threads; each acquisition is its own.
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
        self._inside: dict[int, Held] = {}  # by thread: who is in a `with` block
        self._at: tuple[Keys, LockKeys] | None = None

    def acquire(self, timeout: float | None = OWN) -> Held | None:
        """Hold the lock; None when it is not free within ``timeout`` seconds.

        0 is one attempt, None no limit; by default the lock's own ``timeout``. ``RuntimeError`` for a thread
        that would wait for itself for ever.
        """
        patience = self._patience(timeout)
        if patience is None:
            self._refuse_reentry()
        try:
            return self._take(patience)
        except LockTimeout:
            return None

    def __enter__(self) -> Held:
        self._refuse_reentry()
        held = self._inside[get_ident()] = self._take(self._timeout)
        return held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside.pop(get_ident()).__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Hold the lock while the function runs."""
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} gives back control while it runs: use a `with` block inside it")

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return guarded

    def _patience(self, timeout: float | None) -> float | None:
        return self._timeout if timeout == OWN else checked_timeout(self.name, timeout)

    def _refuse_reentry(self) -> None:
        if get_ident() in self._inside:
            raise RuntimeError(f"lock {self.name!r} is not reentrant, and this thread holds it in a `with` block")

    def _take(self, patience: float | None) -> Held:
        locks = self._locks
        engine = locks.engine
        keys = locks.keys
        if self._at is None or self._at[0] is not keys:
            self._at = keys, LockKeys.of(keys, self.name)
        want = Request(keys, self.name, self._lease, locks.container_id, self._note, self._max_hold, at=self._at[1])
        free = steps.release(want)  # made here, where nobody waits for it yet
        try:
            lease = engine.follow(steps.acquire(want, patience, kept=self._auto_renew))
            return Held(want, lease, free, engine, locks.keeper, auto_renew=self._auto_renew)
        except (LockTimeout, ServerFull, ServerRefused):
            raise
        except CallError:
            locks.keeper.give_back(engine, want)
            raise
        except BaseException:  # interrupted: it may stand in the queue, or hold the lock
            with suppress(RedisStateError):
                engine.run(steps.leave(want))
            raise

    def __repr__(self) -> str:
        return f"<Lock {self.name!r} of {self._locks.namespace!r}>"


class Locks(Bound):
    """The locks of one namespace."""

    keys: Keys
    keeper: Keeper

    def __init__(self, namespace: str, engine: Engine | None = None, container_id: str | None = None) -> None:
        super().__init__(engine)
        Keys(namespace)  # a wrong one is refused here
        self.namespace = namespace
        self._container_id = container_id

    @property
    def container_id(self) -> str:
        """Who holds what is acquired here."""
        return self._container_id or own_container_id()

    def _bind(self, engine: Engine) -> None:
        self.keys = engine.keys(self.namespace)
        self.keeper = keeper(engine)

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

        ``lease`` is how long it stays held when its holder dies; ``timeout`` how long a ``with`` block waits
        for it (None: no limit) before ``LockTimeout``; ``max_hold`` ends it although it is renewed;
        ``note`` is told by ``inspect``.
        """
        return Lock(self, name, lease=lease, timeout=timeout, auto_renew=auto_renew, max_hold=max_hold, note=note)

    def inspect(self, name: str) -> LockInfo | None:
        """See who holds a lock, since when, and how many wait; None when nobody holds it."""
        return self.engine.run(steps.inspect(self._keys(), name))

    def list(self) -> list[LockInfo]:
        """See all locks that are held now, sorted by name. Two round trips for up to 500."""
        return self.engine.follow(steps.held_locks(self._keys()))

    def _keys(self) -> Keys:
        _ = self.engine  # binds the keys to the engine in use
        return self.keys

    def __repr__(self) -> str:
        return f"<Locks of {self.namespace!r}, container {self.container_id!r}>"


def checked_timeout(name: str, timeout: float | None) -> float | None:
    """Refuse what is neither None nor 0 nor a time above it."""
    if timeout == 0 and not isinstance(timeout, bool):
        return 0.0
    return checked_seconds(name, "timeout", timeout, LONGEST_WAIT)
