"""Values that are computed once for all containers, awaited. See ``redis_state.cache.word_timing``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from redis_state.aio.mapping import ValueMapping
from redis_state.aio.shared import Shared
from redis_state.cache import word_timing
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.keys import Keys
from redis_state.mapping.value_operations import ValueOperations
from redis_state.single_flight import LEASE, single_flight_async

T = TypeVar("T")


class TimingMapping(ValueMapping):
    """The cache as a mapping."""

    def __init__(self, engine: AsyncEngine | None, ttl: float) -> None:
        ValueOperations(Keys(word_timing.NAMESPACE), ttl)  # a wrong TTL is refused here
        made = AsyncBinding(
            engine, lambda engine: ValueOperations(engine.keys(word_timing.NAMESPACE), ttl), caches=True
        )
        Shared.__init__(self, made)


class WordTimingCache:
    """Values that are computed once and needed by all, awaited: ``cache`` is a mapping of opaque values, a day each."""

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
    ) -> None:
        self.container_id, engine = given(self, AsyncEngine, container_id, engine)
        self.cache = TimingMapping(engine, word_timing.TTL if ttl is None else ttl)

    @overload
    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], Awaitable[T]],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
        timeout: float | None = None,
    ) -> T: ...

    @overload
    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
        timeout: float | None = None,
    ) -> T: ...

    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], Any],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
        timeout: float | None = None,
    ) -> Any:
        """Return the value; compute it if there is none. Of many callers, in all containers, one computes.

        ``fn`` may return an awaitable. The other callers wait and get its value. If its caller dies, another one takes
        over, ``lease`` seconds later at the most. When ``fn`` raises, its caller gets that exception, the waiters
        ``ComputeFailed``; for ``negative_ttl`` seconds later callers, too. With ``stale_for``, a value whose ``ttl`` is
        over is served for so long: one caller computes it anew, the others get the old one at once. A result that
        cannot be kept (None, a type that is not supported, ``ServerFull``, no server) is returned, and the reason
        is in the log once; a waiter computes for itself then. ``timeout`` is how many seconds a caller waits for
        another one (None: no limit), then ``ComputeTimeout``. ``RuntimeError`` when ``fn`` asks for its own value.
        """
        engine, values = self.cache._bound.here()
        work = word_timing.computing(
            values, key, ttl=ttl, stale_for=stale_for, negative_ttl=negative_ttl, lease=lease, timeout=timeout
        )
        return await single_flight_async(engine, work, fn)

    def __repr__(self) -> str:
        return "<WordTimingCache, awaited>"


word_timing_cache = WordTimingCache()
