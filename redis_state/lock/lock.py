"""``Lock``, ``Held`` and ``Locks``, blocking."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from redis_state.clock import monotonic
from redis_state.config import container_id as own_container_id
from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.engine.op import Op
from redis_state.errors import LockTimeout, RedisStateError
from redis_state.keys import Keys, text_of
from redis_state.lock import operations, own, waiting
from redis_state.lock.block import Block, Exit, entered, entering
from redis_state.lock.lease import LeaseHolder, noting
from redis_state.lock.lost import Lost
from redis_state.lock.operations import LEASE, LockInfo, Request
from redis_state.lock.options import OWN, Options
from redis_state.lock.renewal import Renewer, renewer

P = ParamSpec("P")
R = TypeVar("R")

ABANDON_TIMEOUT_S = 1.0  # for an interrupted waiter to leave the queue; what takes longer is done later


class Held(LeaseHolder):
    """A lock that is held. Pass it as ``fence=`` to the writes that it guards.

    Also a context manager, which releases it at the end. Keep it for as long as the lock is to be held: dropped
    without being released, a lock that is renewed is freed, with a warning in the log.
    """

    lost: Lost

    def __init__(
        self,
        request: Request,
        lease: operations.Lease,
        free: Op[bool],
        engine: Engine,
        renewer: Renewer,
        *,
        auto_renew: bool,
    ) -> None:
        super().__init__(request, lease, Lost(), auto_renew=auto_renew)
        self._free = free
        self._engine = engine
        renewer.keep(self)

    def renew(self, lease: float | None = None) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over. One round trip.

        ``lease``: seconds that it lasts from now, and with each later renewal; by default as before.
        """
        self.check()
        if lease is not None:
            self.ask_for(lease)
        with self._renewing() as renewal:
            renewal.answers = self._engine.run_all(renewal.ops)

    def extend(self, seconds: float) -> None:
        """Let the lease last so many seconds longer than what is left of it. ``LockLost`` when it is over."""
        self.check()
        self.renew(self.longer_by(seconds))

    def release(self) -> None:
        """Free the lock and hand it to the one that waits longest. One round trip, in any thread.

        ``LockLost`` when it was no longer ours; after that, and when it is said again, nothing happens.
        """
        if self._why and self._is_over():
            return
        was_lost, ends = self.lost.is_set(), self.lost.ends
        try:  # without a context manager, which each release would make
            self._ended("it was released")
            freed = self._engine.run(self._free)
        except BaseException:
            self._not_ended(ends)
            raise
        self._released(ours=freed and not was_lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.release()
            return
        with noting(error, "the lock was not released"):
            self.release()


class Lock:
    """A lock by name, for all containers. Not reentrant.

    Usable as ``with lock as held:``, as a decorator, and by ``acquire``. One object may be used by many
    threads; each acquisition is its own, and each block releases what it entered, also where it is left in another
    thread than the one that entered it. A block whose end an interrupt skips lets go of the lock.
    """

    def __init__(self, locks: Locks, name: str, options: Options) -> None:
        self.name = name
        self._locks = locks
        self._options = options
        self._entered: list[Held] = []  # by hand, without a block that keeps it

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_entered": []}  # who is inside is so in this process

    def acquire(self, timeout: float | None = OWN, *, blocking: bool = True) -> Held | None:
        """Hold the lock; None when it is not free within ``timeout`` seconds.

        0 is one attempt (so is ``blocking=False``), None and -1 no limit; by default the lock's own ``timeout``. A
        server that does not answer counts as a lock that is not free: None comes by then plus one ``socket_timeout``
        (of one attempt: a second and that). ``RuntimeError`` for a thread that would wait for itself for ever.
        """
        try:
            return self._take(self._options.timeout_for(timeout, blocking))
        except LockTimeout:
            return None

    def __enter__(self) -> Held:
        block = entering(self)
        return entered(self, self._take(self._options.timeout), block)  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None: ...

    else:
        __exit__ = Exit(Block)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Hold the lock while the function runs."""
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__qualname__} gives back control while it runs: use a `with` block inside it")

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return guarded

    def _take(self, timeout: float | None) -> Held:
        locks, options = self._locks, self._options
        engine, (keys, renewer) = locks._bound.here()
        request = options.request(keys, self.name, locks.container_id)
        free = operations.release(request)  # made here, where no caller waits for it yet
        try:
            kept, events = options.auto_renew, engine.events
            lease = engine.follow(waiting.acquire(request, timeout, kept=kept, whose=own.whose, events=events))
            return Held(request, lease, free, engine, renewer, auto_renew=kept)
        except BaseException as error:
            give_up(engine, request, error)
            raise

    def __repr__(self) -> str:
        return f"<Lock {self.name!r} of {self._locks.namespace!r}>"


def give_up(engine: Engine, request: Request, error: BaseException) -> None:
    """Give up an acquisition that ended with an error: now, or later when no server answers."""
    when = waiting.left_behind(error)
    if when == "now":
        op = operations.leave(request)
        op.until = monotonic() + ABANDON_TIMEOUT_S
        try:
            engine.run(op)
        except RedisStateError:
            when = "later"
    if when == "later":
        renewer(engine).release_later(engine, request)


def _keys_and_renewer(namespace: str, engine: Engine) -> tuple[Keys, Renewer]:
    return engine.keys(namespace), renewer(engine)


class Locks:
    """The locks of one namespace."""

    def __init__(
        self,
        namespace: str | Engine,
        container_id: str | Engine | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.namespace, self._container_id, engine = given(self, Engine, namespace, container_id, engine)
        Keys(self.namespace)  # a wrong one is refused here
        self._bound = Binding(engine, partial(_keys_and_renewer, self.namespace))

    @property
    def container_id(self) -> str:
        """The holder of what is acquired here."""
        return self._container_id or own_container_id()

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._bound.here()[0]

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
        name = text_of(name)
        return Lock(self, name, Options(name, lease, timeout, auto_renew, max_hold, note))

    def inspect(self, name: str) -> LockInfo | None:
        """See who holds a lock, since when, and how many wait; None when it is free."""
        engine, (keys, _) = self._bound.here()
        return engine.run(operations.inspect(keys, name))

    def list(self) -> list[LockInfo]:
        """See all locks that are held now, sorted by name. Two round trips for up to 500."""
        engine, (keys, _) = self._bound.here()
        return engine.follow(operations.held_locks(keys))

    @property
    def keys(self) -> Keys:
        """The keys of these locks."""
        return self._bound.here()[1][0]

    def __repr__(self) -> str:
        return f"<Locks of {self.namespace!r}, container {self.container_id!r}>"
