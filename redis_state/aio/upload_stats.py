"""Statistics of the files that are being uploaded, awaited. See ``redis_state.cache.upload_stats``."""

from __future__ import annotations

from typing import Any, TypeVar

from redis_state.aio.shared import Shared
from redis_state.cache.upload_stats import NAMESPACE, TTL, Stats, WriteStats, stats_of
from redis_state.config import container_id as own_container_id
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.keys import Keys

T = TypeVar("T")


class StatsMapping(Shared[WriteStats, WriteStats]):
    """The statistics as a mapping: file id -> ``WriteStats``."""

    def __init__(self, engine: AsyncEngine | None, ttl: float, container_id: str | None) -> None:
        def made(keys: Keys) -> Stats:
            return Stats(keys, ttl, lambda: container_id or own_container_id())

        made(Keys(NAMESPACE))  # a wrong TTL is refused here
        bound = AsyncBinding(engine, lambda engine: made(engine.keys(NAMESPACE)), caches=True)
        super().__init__(bound)
        self._stats: AsyncBinding[Stats] = bound

    async def put(self, key: str, value: WriteStats, *, ttl: float | None = None) -> None:
        """Write the statistics of a file."""
        engine, stats = self._stats.here()
        await engine.run(stats.put(key, value, ttl=ttl))

    async def delete(self, key: str) -> bool:
        """Remove the statistics of a file; tell whether there were any."""
        return await self._stats.run(Stats.remove, key)

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Renew an entry's time, or give it another; False when there is none."""
        return await self._stats.run(Stats.touch, key, ttl)

    def _out(self, key: str, found: Any) -> Any:
        return stats_of(key, found)


class UploadStats:
    """How far the writing of each file is, awaited: ``file_stats`` maps ids to ``WriteStats``, two hours after each
    write."""

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
    ) -> None:
        self.container_id, engine = given(self, AsyncEngine, container_id, engine)
        self.file_stats = StatsMapping(engine, TTL if ttl is None else ttl, self.container_id)

    async def add_bytes(self, file_id: str, n: int, chunks: int = 1) -> WriteStats:
        """Count ``n`` bytes in ``chunks`` chunks, atomically; return the sums. A missing entry is created."""
        return await self.file_stats._stats.run(Stats.add, file_id, n, chunks)

    def __repr__(self) -> str:
        return "<UploadStats, awaited>"


upload_stats = UploadStats()
