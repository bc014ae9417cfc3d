"""The caches, awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis_state.aio.face import Bound, op, plan
from redis_state.aio.mapping import ValueMapping
from redis_state.cache import text, voice_access, word_timing
from redis_state.cache.text import CacheEntry, upkeep
from redis_state.cache.text.loading import loading
from redis_state.cache.text.steps import Texts
from redis_state.cache.upload_stats import NAMESPACE as UPLOAD_STATS
from redis_state.cache.upload_stats import TTL as UPLOAD_STATS_TTL
from redis_state.cache.upload_stats import Stats, WriteStats, stats_of
from redis_state.cache.voice_access import Voices
from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.flight import once_awaited

T = TypeVar("T")


class TextCache(Bound):
    """Texts within a budget, awaited. See ``RedisTextCache``."""

    _entries: Texts

    def __init__(self, engine: AsyncEngine, *, ttl: float = text.TTL, budget: int | None = None) -> None:
        self._engine = engine
        self._entries = Texts.of(engine, text.NAMESPACE, ttl, budget)

    get = plan(Texts.fetch)
    get_many = plan(Texts.fetch_many)
    put = plan(Texts.write)
    put_many = plan(Texts.write_many)
    drop = op(Texts.remove)
    pop = op(Texts.pop)
    contains = op(Texts.contains)
    ttl = plan(Texts.time_left)
    touch = op(Texts.touch)
    count = plan(Texts.count)
    keys = plan(Texts.names)
    clear = plan(upkeep.clear)
    resize = plan(upkeep.resize)
    stats = plan(upkeep.stats)
    check = plan(upkeep.check)
    repair = plan(upkeep.repair)

    async def put_entry(self, key: str, entry: CacheEntry) -> bool:
        """Write an entry with the times that it names, as ``text_cache.cache[key] = entry`` does."""
        return await self._engine.follow(self._entries.store(self._entries.wanted(key, entry)))

    async def get_or_load(self, key: str, loader: Callable[[], str | Awaitable[str]], **options: Any) -> str:
        """Return the text; load it if it is not there, once for all. See ``RedisTextCache.get_or_load``."""
        return await once_awaited(self._engine, loading(self._entries, key, **options), loader)


class WordTimingCache:
    """Values that are computed once, awaited. See ``RedisWordTimingCache``."""

    def __init__(self, engine: AsyncEngine, *, ttl: float = word_timing.TTL) -> None:
        self.cache = ValueMapping(engine, word_timing.NAMESPACE, ttl=ttl)

    async def get_or_compute(self, key: str, fn: Callable[[], T | Awaitable[T]], **options: Any) -> T:
        """Return the value; compute it if there is none, once for all. See ``RedisWordTimingCache.get_or_compute``."""
        values: Any = self.cache._entries
        return await once_awaited(self.cache._engine, word_timing.computing(values, key, **options), fn)


class VoiceAccessTracker(Bound):
    """Accesses to voices, awaited. See ``RedisVoiceAccessTracker``."""

    def __init__(self, engine: AsyncEngine, *, ttl: float = voice_access.TTL) -> None:
        self._engine = engine
        self._entries = Voices(engine.keys(voice_access.NAMESPACE), ttl)

    record_segment_access = op(Voices.record)
    get_voice_activity = op(Voices.activity)
    active_voices = plan(Voices.active)
    idle_since = plan(Voices.idle)


class UploadStats:
    """How far the writing of each file is, awaited. See ``RedisUploadStats``."""

    def __init__(self, engine: AsyncEngine, container_id: str | None = None, *, ttl: float = UPLOAD_STATS_TTL) -> None:
        self._engine = engine
        self._stats = Stats(engine.keys(UPLOAD_STATS), ttl, lambda: container_id or own_container_id())

    async def put(self, file_id: str, stats: WriteStats) -> None:
        """Write the statistics of a file."""
        await self._engine.run(self._stats.put(file_id, stats))

    async def get(self, file_id: str) -> WriteStats | None:
        """Read the statistics of a file; None when there are none."""
        found: WriteStats | None = stats_of(file_id, await self._engine.run(self._stats.get(file_id)))
        return found

    async def delete(self, file_id: str) -> bool:
        """Remove the statistics of a file; tell whether there were any."""
        return await self._engine.run(self._stats.remove(file_id))

    async def add_bytes(self, file_id: str, n: int, chunks: int = 1) -> WriteStats:
        """Count bytes and chunks, atomically; return the sums. A missing entry is created."""
        return await self._engine.run(self._stats.add(file_id, n, chunks))
