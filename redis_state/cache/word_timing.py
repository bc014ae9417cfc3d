"""Word timings: values up to megabytes, compressed, computed once for all containers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis_state.durations import seconds, ttl_ms
from redis_state.engine.binding import Binding
from redis_state.engine.default import default_cache_engine, of_caches
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.engine.op import Op, Plan, command, do_all
from redis_state.mapping import ValueMapping
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.value_operations import ValueOperations
from redis_state.single_flight import LEASE, Computation, Found, single_flight

T = TypeVar("T")

NAMESPACE = "word_timing"
TTL = 86400.0  # seconds


def computing(
    values: ValueOperations,
    name: str,
    *,
    ttl: float | None = None,
    stale_for: float = 0.0,
    negative_ttl: float = 0.0,
    lease: float = LEASE,
    timeout: float | None = None,
) -> Computation[Any]:
    """Say how the value is read, and how it is written.

    It is put with ``ttl + stale_for``; in the last ``stale_for`` seconds of its life it is stale.
    """
    lives = (values.ttl if ttl is None else ttl) + seconds("stale_for", stale_for, least=0.0)
    ttl_ms(lives)

    def peek() -> list[Op[Any]]:
        left: Op[Any] = command(values.keys, "PTTL", values.entry(name), name=name, read=int)
        return [values.get(name), left] if stale_for else [values.get(name)]

    def found(told: Sequence[Any]) -> Found | None:
        value, *left = told
        return None if value is None else Found(value, bool(left) and left[0] <= stale_for * 1000)

    def first() -> Plan[Found | None]:
        return found((yield from do_all(peek())))

    def store(value: Any) -> Plan[Any]:
        return do_all([values.put(name, value, ttl=lives)])

    return Computation(values.keys, name, first, peek, found, store, lease, negative_ttl, timeout)


class WordTimingCache:
    """Values that are computed once for all containers: ``cache`` is a mapping of opaque values, a day each."""

    def __init__(
        self, container_id: str | Engine | None = None, engine: Engine | None = None, ttl: float | None = None
    ) -> None:
        self.container_id, engine = given(self, Engine, container_id, engine)
        made = Namespace(ValueOperations, NAMESPACE, TTL if ttl is None else ttl)
        self._bound = Binding(of_caches(engine), made, default_cache_engine)
        self.cache: ValueMapping = ValueMapping._of(self._bound, made)

    def get_or_compute(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
        timeout: float | None = None,
    ) -> T:
        """Return the value; compute it if there is none. Of many callers, in all containers, one computes.

        The other callers wait and get its value. If its caller dies, another one takes over, ``lease`` seconds later
        at the most. When ``fn`` raises, its caller gets that exception, the waiters ``ComputeFailed``; for
        ``negative_ttl`` seconds later callers, too. With ``stale_for``, a value whose ``ttl`` is over is served for so
        long: one caller computes it anew, the others get the old one at once. A result that cannot be kept (None, a
        type that is not supported, ``ServerFull``, no server) is returned, and the reason is in the log once; a waiter
        computes for itself then. ``timeout`` is how many seconds a caller waits for another one (None: no limit), then
        ``ComputeTimeout``. ``RuntimeError`` when ``fn`` asks for its own value.
        """
        engine, values = self._bound.here()
        work = computing(
            values,
            key,
            ttl=ttl,
            stale_for=stale_for,
            negative_ttl=negative_ttl,
            lease=lease,
            timeout=timeout,
        )
        return single_flight(engine, work, fn)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<WordTimingCache {self.cache!r}>"


RedisWordTimingCache = WordTimingCache  # its first name, which stays
word_timing_cache = WordTimingCache()
