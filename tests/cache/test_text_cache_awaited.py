"""The caches on asyncio: the same operations, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from redis_state import aio
from redis_state.cache import CacheEntry, WriteStats
from redis_state.errors import EntryTooLarge
from tests.support.servers import Server


@pytest.fixture
async def waiting(server: Server, prefix: str) -> AsyncIterator[aio.AsyncEngine]:
    async with aio.AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        yield engine


async def test_texts(waiting: aio.AsyncEngine) -> None:
    cache = aio.TextCache(waiting, budget=100_000)
    assert await cache.put("k", "text", file_mtime_ns=7) is True
    assert await cache.put("k", "old", file_mtime_ns=6) is False
    for size in (5, 20_000):
        await cache.put(f"{size}", "x" * size)
        for _ in range(10):
            found = await cache.get(f"{size}")
            assert found is not None
            assert found.content == "x" * size
    assert await cache.put_many({"a": "1", "b": "2"}) == {"a": True, "b": True}
    assert set(await cache.get_many(["a", "b", "none"])) == {"a", "b"}
    assert await cache.cache.contains("a")
    assert await cache.cache.touch("a", 10)
    assert await cache.cache.ttl("a") == pytest.approx(10, abs=1)
    assert await cache.drop("a") is True
    assert await cache.cache.pop("a", None) is None
    assert await cache.cache.put("e", CacheEntry("entry", access_count=3))
    entry = await cache.get("e")
    assert entry is not None
    assert entry.access_count == 4
    assert await cache.cache.count() == len(await cache.cache.keys()) == 5
    with pytest.raises(EntryTooLarge):
        await cache.put("big", "x" * 100_000)
    await cache.resize(5000)
    assert (await cache.stats()).budget == 5000
    assert (await cache.check()).drift == (await cache.repair()).drift == 0
    await cache.clear()
    assert await cache.get("k") is None


async def test_voices(waiting: aio.AsyncEngine) -> None:
    tracker = aio.VoiceAccessTracker(waiting)
    assert await tracker.record_segment_access("t", "v", 1) == 1
    activity = await tracker.get_voice_activity("t", "v")
    assert activity is not None
    assert activity.unique_segments == 1
    assert await tracker.active_voices("t") == ["v"]
    assert await tracker.idle_since(0) == [("t", "v")]


async def test_upload_stats(waiting: aio.AsyncEngine) -> None:
    stats = aio.UploadStats(waiting)
    await stats.file_stats.put("f", WriteStats("f", path="/x"))
    assert await stats.add_bytes("f", 5) == WriteStats("f", path="/x", bytes_written=5, chunks_written=1)
    assert (await stats.file_stats.get("f")) == WriteStats("f", path="/x", bytes_written=5, chunks_written=1)
    assert await stats.file_stats.delete("f") is True
    assert await stats.file_stats.get("f") is None
