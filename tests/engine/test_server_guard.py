"""What is checked of a server before it is used, and the server that caches may have of their own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import redis_state
from redis_state import AsyncEngine, Engine, UnsafeServer, aio
from redis_state.cache import (
    RedisTextCache,
    RedisUploadStats,
    RedisVoiceAccessTracker,
    RedisWordTimingCache,
    text_cache,
    upload_stats,
    voice_access_tracker,
    word_timing_cache,
)
from redis_state.config import Settings
from redis_state.engine.default import of_caches
from redis_state.engine.op import command
from redis_state.engine.server_check import HEADROOM, REST, Memory, read_memory, too_small
from redis_state.state import RedisProgressState, progress_state
from tests.support.servers import Server

PING = command(None, "PING", read=bool)
POLICIES = ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"]


@pytest.fixture
def policy(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield lambda name: client.config_set("maxmemory-policy", name)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("name", POLICIES)
def test_a_server_that_evicts_is_refused_where_that_is_wanted(server: Server, policy: Any, name: str) -> None:
    policy(name)
    with Engine.from_url(server.url, unsafe_server="error") as engine:
        for _ in range(2):
            with pytest.raises(UnsafeServer, match=f"maxmemory-policy {name}.*Set maxmemory-policy noeviction"):
                engine.run(PING)
        policy("noeviction")
        assert engine.run(PING)  # mended, it is used


def test_it_warns_once_by_default(server: Server, policy: Any) -> None:
    policy("allkeys-lru")
    with Engine.from_url(server.url) as engine:
        with pytest.warns(RuntimeWarning, match="throws away locks"):
            engine.run(PING)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine.close()
            assert engine.run(PING)  # on a new connection


def test_it_says_nothing_where_that_is_wanted(server: Server, policy: Any) -> None:
    policy("allkeys-lru")
    with Engine.from_url(server.url, unsafe_server="ignore") as engine:
        assert engine.run(PING)


async def test_the_asyncio_engine_checks_as_well(server: Server, policy: Any) -> None:
    policy("volatile-ttl")
    async with AsyncEngine.from_url(server.url, unsafe_server="error") as engine:
        with pytest.raises(UnsafeServer, match="volatile-ttl"):
            await engine.run(PING)


def test_a_budget_that_does_not_fit_is_refused(server: Server, policy: Any, prefix: str) -> None:
    with server.client() as client:
        client.config_set("maxmemory", 100 << 20)
    with Engine.from_url(server.url, unsafe_server="error", prefix=prefix) as engine:
        RedisTextCache(engine=engine, budget=50 << 20).put("k", "text")
        with pytest.raises(UnsafeServer, match=r"raise maxmemory, or set REDIS_STATE_TEXT_BUDGET to \d+"):
            RedisTextCache(engine=engine, budget=90 << 20).put("k", "text")
        assert engine.run(PING)  # all else goes on
    with Engine.from_url(server.url, prefix=f"{prefix}.2") as engine:
        with pytest.warns(RuntimeWarning, match="needs"):
            RedisTextCache(engine=engine, budget=90 << 20).put("k", "text")


def test_the_budget_that_is_named_fits() -> None:
    memory = Memory(maxmemory=1 << 30)
    assert too_small(memory, "it", int(((1 << 30) - REST) / HEADROOM)) is None
    assert too_small(memory, "it", 1 << 30)
    assert too_small(Memory(maxmemory=0), "it", 1 << 40) is None


def test_a_server_that_tells_nothing_is_taken_to_be_well() -> None:
    assert read_memory(PermissionError("NOPERM")) == Memory()
    assert read_memory(b"# Memory\r\nused_memory:5\r\n") == Memory()
    said = b"maxmemory:7\r\nmaxmemory_policy:allkeys-lfu\r\nmem_allocator:libc\r\n"
    assert read_memory(said) == Memory("libc", 7, "allkeys-lfu")


def test_the_environment_sets_it() -> None:
    settings = Settings.from_env({"REDIS_STATE_UNSAFE_SERVER": "error", "REDIS_STATE_TEXT_BUDGET": "5000000"})
    assert (settings.unsafe_server, settings.text_budget) == ("error", 5_000_000)
    assert Settings.from_env({}).unsafe_server == "warn"


def test_the_budget_of_the_settings_is_the_caches(server: Server, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix, text_budget=5_000_000) as engine:
        assert RedisTextCache(engine=engine).stats().budget == 5_000_000
        assert RedisTextCache(engine=engine, budget=6_000_000).stats().budget == 6_000_000


# --- a server of their own --------------------------------------------------------------------------------


@pytest.fixture
def apart(server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(server.binary) as other:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.setenv("REDIS_CACHE_URL", other.url)
        monkeypatch.setenv("REDIS_STATE_PREFIX", prefix)
        redis_state.configure()
        yield other
    monkeypatch.undo()
    redis_state.configure("redis://localhost")


def test_caches_may_have_a_server_of_their_own(server: Server, apart: Server) -> None:
    progress_state.begin("track", 5)
    text_cache.put("k", "text")
    word_timing_cache.cache["k"] = [1, 2]
    assert word_timing_cache.get_or_compute("l", lambda: 5) == 5
    voice_access_tracker.record_segment_access("t", "v", 1)
    upload_stats.add_bytes("f", 5)
    with server.client() as client, apart.client() as other:
        state = {key.split("{")[1].split("}")[0] for key in client.keys("*")}
        caches = {key.split("{")[1].split("}")[0] for key in other.keys("*")}
    assert state == {"progress"}
    assert caches == {"text", "word_timing", "voice_access", "upload_stats"}


def test_caches_that_are_given_an_engine_use_the_server_of_caches(server: Server, apart: Server) -> None:
    with Engine.from_env() as engine:
        progress = RedisProgressState(engine=engine)
        progress.begin("track", 5)
        RedisTextCache(engine=engine).put("k", "text")
        assert RedisWordTimingCache(engine=engine).get_or_compute("l", lambda: 5) == 5
        RedisVoiceAccessTracker(engine=engine).record_segment_access("t", "v", 1)
        RedisUploadStats(engine=engine).add_bytes("f", 5)
    with server.client() as client, apart.client() as other:
        assert {key.split("{")[1].split("}")[0] for key in client.keys("*")} == {"progress"}
        caches = {key.split("{")[1].split("}")[0] for key in other.keys("*")}
        assert caches == {"text", "word_timing", "voice_access", "upload_stats"}


async def test_awaited_caches_use_the_server_of_caches(server: Server, apart: Server) -> None:
    text_cache.put("k", "of the blocking half")
    async with AsyncEngine.from_env() as engine:
        await aio.ProgressState(engine).begin("track", 5)
        found = await aio.TextCache(engine).get("k")
        assert found is not None
        assert found.content == "of the blocking half"
        assert await aio.WordTimingCache(engine).get_or_compute("l", lambda: 5) == 5
        await aio.VoiceAccessTracker(engine).record_segment_access("t", "v", 1)
        await aio.UploadStats(engine).add_bytes("f", 5)
        assert engine.status().connections == of_caches(engine).status().connections == 1
    assert engine.status().connections == of_caches(engine).status().connections == 0, "they are closed together"
    with server.client() as client, apart.client() as other:
        assert {key.split("{")[1].split("}")[0] for key in client.keys("*")} == {"progress"}
        caches = {key.split("{")[1].split("}")[0] for key in other.keys("*")}
        assert caches == {"text", "word_timing", "voice_access", "upload_stats"}
    assert word_timing_cache.get_or_compute("l", lambda: 6) == 5


def test_without_it_they_share_one(server: Server, prefix: str) -> None:
    redis_state.configure(server.url, prefix=prefix)
    try:
        text_cache.put("k", "text")
        assert text_cache.cache.engine is redis_state.default_engine()
    finally:
        redis_state.configure("redis://localhost")
