"""A text that is loaded when it is not there, once for all containers. Sends nothing."""

from __future__ import annotations

from typing import Any

from redis_state.cache.text.entry import LONGEST_TTL, CacheEntry, checked_ttl, mtime_words
from redis_state.cache.text.writes import TextOperations
from redis_state.durations import seconds
from redis_state.engine.op import Op, Plan, command
from redis_state.single_flight import LEASE, Computation, Found


def loading(
    texts: TextOperations,
    name: str,
    *,
    file_mtime_ns: int | None = None,
    ttl: float | None = None,
    stale_for: float = 0.0,
    negative_ttl: float = 0.0,
    lease: float = LEASE,
    timeout: float | None = None,
) -> Computation[str]:
    """Say how the text is read, and how it is written.

    It is put with ``ttl + stale_for``, a day at most; in the last ``stale_for`` seconds of its life it is stale.
    """
    checked_ttl(texts.ttl if ttl is None else ttl)
    lives = min(LONGEST_TTL, (texts.ttl if ttl is None else ttl) + seconds("stale_for", stale_for, least=0.0))
    mtime_words(name, file_mtime_ns)

    def seen(entry: CacheEntry | None, now: float) -> Found | None:
        if entry is None:
            return None
        return Found(entry.content, entry.expires_at is not None and entry.expires_at - now <= stale_for)

    def first() -> Plan[Found | None]:
        entry = yield from texts.fetch(name, file_mtime_ns=file_mtime_ns)
        return seen(entry, 0.0 if entry is None else entry.last_accessed)

    def peek() -> list[Op[Any]]:
        time = command(None, "TIME", read=lambda reply: int(reply[0]) + int(reply[1]) / 1e6)
        return [texts.peek(name, file_mtime_ns), time]

    def store(content: str) -> Plan[bool]:
        return texts.put_text(name, content, ttl=lives, file_mtime_ns=file_mtime_ns)

    return Computation(texts.keys, name, first, peek, lambda told: seen(*told), store, lease, negative_ttl, timeout)
