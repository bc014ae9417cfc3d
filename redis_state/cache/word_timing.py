"""Word timings: values up to megabytes, compressed, computed once for all containers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis_state.engine.default import default_cache_engine
from redis_state.engine.op import Op, Plan, command, do_all
from redis_state.engine.run import Engine
from redis_state.flight import LEASE, Found, Work, checked, once
from redis_state.mapping import ValueMapping
from redis_state.mapping.entries import milliseconds
from redis_state.mapping.values import Values

T = TypeVar("T")

NAMESPACE = "word_timing"
TTL = 86400.0  # seconds


def computing(
    values: Values,
    name: str,
    *,
    ttl: float | None = None,
    stale_for: float = 0.0,
    negative_ttl: float = 0.0,
    lease: float = LEASE,
) -> Work[Any]:
    """Say how the value is read, and how it is written.

    It is put with ``ttl + stale_for``; in the last ``stale_for`` seconds of its life it is stale.
    """
    lives = (values.ttl if ttl is None else ttl) + checked("stale_for", stale_for)
    milliseconds(lives)

    def peek() -> list[Op[Any]]:
        left: Op[Any] = command("PTTL", values.entry(name), read=int)
        return [values.get(name), left] if stale_for else [values.get(name)]

    def found(told: Sequence[Any]) -> Found | None:
        value, *left = told
        return None if value is None else Found(value, bool(left) and left[0] <= stale_for * 1000)

    def first() -> Plan[Found | None]:
        return found((yield from do_all(peek())))

    def store(value: Any) -> Plan[Any]:
        return do_all([values.put(name, value, ttl=lives)])

    return Work(values.keys, name, first, peek, found, store, lease, negative_ttl)


class TimingMapping(ValueMapping):
    """The cache as a dict."""

    _default = staticmethod(default_cache_engine)

    @property
    def entries(self) -> Values:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine
        return self._entries


class RedisWordTimingCache:
    """What was computed once and is needed by all: ``cache`` is a mapping of opaque values, a day each."""

    def __init__(self, container_id: str | None = None, engine: Engine | None = None, ttl: float | None = None) -> None:
        self.container_id = container_id
        self.cache = TimingMapping(NAMESPACE, ttl=TTL if ttl is None else ttl, engine=engine)

    def get_or_compute(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
    ) -> T:
        """Return the value; compute it if there is none. Of many callers, in all containers, one computes.

        The others wait and get its value. If it dies, another one takes over, ``lease`` seconds later at
        the most. When ``fn`` raises, its caller gets that exception, who waited ``ComputeFailed``; for
        ``negative_ttl`` seconds so does who comes later. With ``stale_for``, a value whose ``ttl`` is over
        is served for so long: one caller computes it anew, the others get the old one at once.
        """
        mapping = self.cache
        work = computing(mapping.entries, key, ttl=ttl, stale_for=stale_for, negative_ttl=negative_ttl, lease=lease)
        return once(mapping.engine, work, fn)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<RedisWordTimingCache {self.cache!r}>"


word_timing_cache = RedisWordTimingCache()
