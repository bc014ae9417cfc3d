"""The text cache: a budget that holds, in order of use, for all containers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from redis_state import Engine
from redis_state.cache import CacheEntry, RedisTextCache
from redis_state.cache.text import maintenance
from redis_state.cache.text.reads import BESIDE, SMALL_IN_A_ROW
from redis_state.engine.op import Op, ScriptThenRead, command
from redis_state.errors import ConfigError, CorruptValue, EntryTooLarge
from tests.support.raw import raw
from tests.support.servers import Server, available

BUDGET = 100_000
MTIME = 1_700_000_000_123_456_789  # does not fit a double


@pytest.fixture
def cache(engine: Engine) -> RedisTextCache:
    return RedisTextCache(engine=engine, budget=BUDGET)


def well(cache: RedisTextCache) -> bool:
    """Tell whether the account is right, and within the budget."""
    found, said = cache.check(), cache.stats()
    return (found.drift, found.faults) == (0, 0) and found.bytes == said.bytes <= said.budget


def names(cache: RedisTextCache) -> set[str]:
    return set(cache.cache)


# --- reading and writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "a", "text", "Ünïcödé ☃", "x" * BESIDE, "y" * 50_000, "☃" * 5000])
def test_what_is_put_is_read(cache: RedisTextCache, content: str) -> None:
    assert cache.put("k", content) is True
    for _ in range(SMALL_IN_A_ROW + 2):  # beside the script at first, through it once texts are small
        entry = cache.get("k")
        assert entry is not None
        assert (entry.content, entry.size) == (content, len(content.encode()))


def test_an_entry_knows_its_times_and_its_readers(engine: Engine, cache: RedisTextCache) -> None:
    before = time.time()
    cache.put("k", "text", ttl=60, file_mtime_ns=MTIME)
    other = RedisTextCache(engine=engine, budget=BUDGET)  # of another container
    first, second, third = cache.get("k"), other.get("k"), cache.cache["k"]
    assert first is not None
    assert second is not None
    assert [first.access_count, second.access_count, third.access_count] == [1, 2, 3]
    assert before - 1 < first.created_at < first.last_accessed < second.last_accessed < third.last_accessed
    assert third.last_accessed < time.time() + 1
    assert first.file_mtime_ns == MTIME
    assert first.expires_at == pytest.approx(first.created_at + 60, abs=0.01)


def test_an_entry_that_was_never_read_was_used_when_it_was_put(cache: RedisTextCache, server: Server) -> None:
    with server.client() as client:
        before = client.time()
        cache.put("k", "old")
        cache.put_many({"k": "text", "j": "text"})
        after = client.time()
    began, ended = (seconds + micros / 1e6 for seconds, micros in (before, after))
    used = [entry.last_accessed for entry in cache.cache.values()]  # looking is no use
    assert len(used) == 2
    assert all(began <= at <= ended + 0.001 for at in used), (began, used, ended)


def test_absent_and_expired_entries_are_none(cache: RedisTextCache) -> None:
    assert cache.get("k") is None
    cache.put("k", "text", ttl=0.02)
    time.sleep(0.03)
    assert cache.get("k") is None
    assert cache.stats().misses == 1  # there was no account yet at the first one
    assert cache.stats().bytes == 0
    assert well(cache)


@pytest.mark.parametrize("asked", [MTIME + 1, MTIME - 1, MTIME + 10**9, 0, -5])
def test_an_entry_of_another_state_of_the_file_is_dropped(cache: RedisTextCache, asked: int) -> None:
    cache.put("k", "text", file_mtime_ns=MTIME)
    assert cache.get("k", file_mtime_ns=MTIME) is not None
    assert cache.get("k", file_mtime_ns=asked) is None
    assert cache.get("k") is None
    assert well(cache)


def test_an_entry_of_no_known_file_does_not_do_for_a_file(cache: RedisTextCache) -> None:
    cache.put("k", "text")
    assert cache.get("k", file_mtime_ns=MTIME) is None


def test_an_older_file_never_replaces_a_newer_one(cache: RedisTextCache) -> None:
    cache.put("k", "new", file_mtime_ns=MTIME)
    assert cache.put("k", "old", file_mtime_ns=MTIME - 1) is False
    entry = cache.get("k")
    assert entry is not None
    assert entry.content == "new"
    assert cache.put("k", "again", file_mtime_ns=MTIME) is True
    assert cache.put("k", "newer", file_mtime_ns=MTIME + 1) is True
    assert cache.put("k", "of no file") is True
    assert cache.stats().refused == 1


def test_an_expired_entry_of_a_newer_file_is_in_nobodys_way(cache: RedisTextCache) -> None:
    cache.put("k", "new", file_mtime_ns=MTIME, ttl=0.02)
    time.sleep(0.03)
    assert cache.put("k", "old", file_mtime_ns=MTIME - 1) is True


def test_drop_says_whether_there_was_one(cache: RedisTextCache) -> None:
    cache.put("k", "text")
    assert (cache.drop("k"), cache.drop("k")) == (True, False)
    assert well(cache)


def test_many_at_once(cache: RedisTextCache) -> None:
    assert cache.put_many({f"k{n}": f"text {n}" for n in range(150)}) == {f"k{n}": True for n in range(150)}
    found = cache.get_many(["k3", "none", "k140"])
    assert {key: entry.content for key, entry in found.items()} == {"k3": "text 3", "k140": "text 140"}
    assert well(cache)


def test_clear_keeps_the_counts_and_the_budget(cache: RedisTextCache) -> None:
    cache.put_many({f"k{n}": "text" for n in range(50)})
    cache.get("k1")
    cache.clear()
    said = cache.stats()
    assert (said.entries, said.bytes, said.hits, said.budget) == (0, 0, 1, BUDGET)
    assert cache.put("k", "text")
    assert well(cache)


@pytest.mark.parametrize("bad", [None, b"bytes", 5])
def test_only_text_is_taken(cache: RedisTextCache, bad: Any) -> None:
    with pytest.raises(TypeError, match="holds text"):
        cache.put("k", bad)
    with pytest.raises(TypeError, match="CacheEntry"):
        cache.cache["k"] = bad


@pytest.mark.parametrize("ttl", [0, -1, 86401, float("nan"), float("inf")])
def test_an_entry_lives_a_day_at_most(cache: RedisTextCache, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl="):
        cache.put("k", "text", ttl=ttl)


def test_text_that_utf8_cannot_hold_is_refused(cache: RedisTextCache) -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        cache.put("k", "\ud800")
    with pytest.raises(TypeError, match="st_mtime_ns"):
        cache.put("k", "text", file_mtime_ns=1.5)  # type: ignore[arg-type]


# --- the budget ---------------------------------------------------------------------------------------


def test_the_least_recently_used_entry_goes_first(cache: RedisTextCache) -> None:
    cache.put_many(dict.fromkeys("abc", "x" * 30000))
    cache.get("a")
    cache.put("d", "x" * 30_000)
    assert names(cache) == {"a", "c", "d"}
    assert cache.stats().evictions == 1
    assert well(cache)


def test_looking_at_all_entries_is_no_use_of_them(cache: RedisTextCache) -> None:
    cache.put_many(dict.fromkeys("abc", "x" * 30000))
    assert {name: entry.size for name, entry in cache.cache.items()} == dict.fromkeys("abc", 30_000)
    assert len(cache.cache) == 3
    assert "a" in cache.cache
    cache.put("d", "x" * 30_000)
    assert names(cache) == {"b", "c", "d"}


def test_an_entry_larger_than_the_budget_evicts_nothing(cache: RedisTextCache) -> None:
    cache.put_many({f"k{n}": "x" * 1000 for n in range(20)})
    before = cache.stats()
    with pytest.raises(EntryTooLarge) as caught:
        cache.put("big", "x" * BUDGET)
    assert caught.value.budget == BUDGET < caught.value.size
    after = cache.stats()
    assert (after.entries, after.bytes, after.evictions) == (before.entries, before.bytes, 0)
    assert after.refused == 1


def test_expired_entries_go_before_any_other(cache: RedisTextCache) -> None:
    cache.put("old", "x" * 30_000)
    cache.put("short", "x" * 30_000, ttl=0.02)
    cache.put("new", "x" * 30_000)
    time.sleep(0.03)
    cache.put("more", "x" * 30_000)
    assert names(cache) == {"old", "new", "more"}
    said = cache.stats()
    assert (said.expirations, said.evictions) == (1, 0)


def test_thousands_are_evicted_in_bounded_steps(engine: Engine) -> None:
    cache = RedisTextCache(engine=engine, budget=1_000_000)
    cache.put_many({f"k{n}": "x" for n in range(2500)})
    calls = engine.status().calls
    cache.put("big", "x" * 900_000)
    assert engine.status().calls - calls >= 2300 // 264
    assert well(cache)
    assert "big" in names(cache)


def test_the_budget_lies_with_the_data(engine: Engine, cache: RedisTextCache) -> None:
    cache.put("k", "text")
    other = RedisTextCache(engine=engine, budget=BUDGET * 2)
    with pytest.warns(RuntimeWarning, match=f"{BUDGET} bytes, as said elsewhere, not {BUDGET * 2}"):
        other.put("k", "text")
    other.put("k", "text")  # said once
    assert other.stats().budget == BUDGET


def test_who_named_no_budget_takes_the_one_there_is(engine: Engine, cache: RedisTextCache) -> None:
    cache.put("k", "text")
    other = RedisTextCache(engine=engine)
    other.put("k", "text")
    assert other.stats().budget == BUDGET


def test_resize_evicts_what_is_beyond_it_for_all(engine: Engine, cache: RedisTextCache) -> None:
    cache.put_many({f"k{n}": "x" * 500 for n in range(100)})
    cache.resize(20_000)
    assert cache.stats().budget == 20_000
    assert well(cache)
    assert "k99" in names(cache)
    assert "k0" not in names(cache)
    cache.put("k", "text")
    cache.resize(200_000)
    cache.put("large", "x" * 150_000)
    assert well(cache)


@pytest.mark.parametrize("budget", [0, 5, "1G", 1.5, True])
def test_a_budget_is_a_number_of_bytes(engine: Engine, cache: RedisTextCache, budget: Any) -> None:
    with pytest.raises(ConfigError, match="budget"):
        RedisTextCache(engine=engine, budget=budget).stats()
    with pytest.raises(ConfigError, match="budget"):
        cache.resize(budget)


def test_partitions_share_the_budget(server: Any, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix, partitions=4) as engine:
        cache = RedisTextCache(engine=engine, budget=400_000)
        cache.put_many({f"k{n}": "x" * 5000 for n in range(200)})
        assert well(cache)
        assert 60 <= len(cache.cache) <= 76
        assert cache.stats().budget == 400_000
        with pytest.raises(EntryTooLarge):
            cache.put("k", "x" * 100_000)
        cache.clear()
        assert len(cache.cache) == 0


# --- the mapping --------------------------------------------------------------------------------------


def test_the_mapping_takes_and_gives_entries(cache: RedisTextCache) -> None:
    now = time.time()
    cache.cache["k"] = CacheEntry(
        content="text", size=4, created_at=now, last_accessed=now, access_count=1, file_mtime_ns=7, expires_at=now + 60
    )
    entry = cache.cache["k"]
    assert (entry.content, entry.size, entry.file_mtime_ns, entry.access_count) == ("text", 4, 7, 2)
    assert entry.created_at == now
    assert entry.expires_at == pytest.approx(now + 60, abs=0.002)
    assert cache.cache.ttl("k") == pytest.approx(60, abs=1)
    assert cache.cache.touch("k", 10)
    assert cache.cache.ttl("k") == pytest.approx(10, abs=1)
    assert cache.cache.get("none", "default") == "default"
    with pytest.raises(KeyError):
        cache.cache["none"]
    with pytest.raises(KeyError):
        del cache.cache["none"]


def test_the_mapping_has_the_other_methods_of_a_dict(cache: RedisTextCache) -> None:
    mapping = cache.cache
    mapping.update({"a": CacheEntry("1"), "b": CacheEntry("2")})
    assert mapping.setdefault("a", CacheEntry("3")).content == "1"
    assert mapping.setdefault("c", CacheEntry("3")).content == "3"
    assert mapping.pop("c").content == "3"
    assert mapping.pop("c", None) is None
    name, entry = mapping.popitem()
    assert (name, entry.content) in {("a", "1"), ("b", "2")}
    assert len(mapping) == 1
    assert not mapping.touch("none")
    assert mapping.ttl("none") is None
    mapping.clear()
    assert dict(mapping) == {}
    assert well(cache)


def test_an_expired_entry_is_nowhere_to_be_seen(cache: RedisTextCache) -> None:
    cache.put("k", "text", ttl=0.02)
    time.sleep(0.03)
    assert "k" not in cache.cache
    assert cache.cache.ttl("k") is None
    assert cache.cache.touch("k") is False
    assert dict(cache.cache.items()) == {}
    assert cache.drop("k") is False
    assert well(cache)


def test_a_touch_moves_the_end(cache: RedisTextCache) -> None:
    cache.put("shorter", "text", ttl=60)
    cache.put("longer", "text", ttl=0.05)
    assert cache.cache.touch("shorter", 0.03)
    assert cache.cache.touch("longer", 60)
    time.sleep(0.06)
    cache.put("other", "text")
    assert names(cache) == {"longer", "other"}
    assert cache.stats().expirations == 1
    assert cache.get("longer") is not None


def test_a_put_removes_eight_that_are_expired(cache: RedisTextCache) -> None:
    cache.put("k", "text")
    one = cache.stats().bytes
    cache.put_many({f"{n}": "text" for n in range(8)}, ttl=0.03)
    time.sleep(0.05)
    cache.put("l", "text")
    assert cache.stats().bytes == 2 * one


def test_an_entry_that_is_over_already_is_not_there(cache: RedisTextCache) -> None:
    cache.put("k", "text")
    cache.cache["k"] = CacheEntry("new", expires_at=time.time() - 5)
    assert cache.get("k") is None
    assert well(cache)


# --- the account --------------------------------------------------------------------------------------


def test_check_finds_a_wrong_account_and_repair_mends_it(engine: Engine, cache: RedisTextCache, server: Any) -> None:
    cache.put_many({f"k{n}": "x" * 50 for n in range(150)})
    (shard,) = cache.cache.entries.keys.parts
    right = cache.stats().bytes
    packed = engine.run(maintenance.page(shard, 0)).packed
    engine.run(maintenance.REPAIR(shard, packed=packed, bytes=5, count=1))
    assert cache.check().drift == 5 - right
    assert cache.check().faults == 1
    assert cache.repair().drift == 0
    assert cache.stats().bytes == right
    assert well(cache)


@pytest.mark.parametrize(("key", "left"), [("texts", 99), ("metadata", 99), ("expiries", 99), ("lru", 0)])
def test_repair_drops_what_others_broke(cache: RedisTextCache, server: Any, key: str, left: int) -> None:
    cache.put_many({f"k{n}": "x" * 50 for n in range(100)})
    with server.client() as client:
        name = cache.cache.entries.keys.key(key, "k5")
        client.hdel(name, "k5") if key in ("texts", "metadata") else client.zrem(name, "k5")
    assert cache.check().faults > 0
    assert cache.repair().faults == 0
    assert well(cache)
    assert cache.get("k5") is None
    assert len(cache.cache) == left  # an entry without a place in the order cannot be told from what belongs to nothing


@pytest.mark.parametrize("key", ["texts", "metadata", "expiries", "lru"])
def test_a_pop_clears_what_is_left_of_an_entry(cache: RedisTextCache, server: Any, key: str) -> None:
    cache.put("k", "text")
    keys = cache.cache.entries.keys
    with server.client() as client:
        name = keys.key(key, "k")
        client.hdel(name, "k") if key in ("texts", "metadata") else client.zrem(name, "k")
        cache.cache.pop("k", None)
        left = [client.hexists(keys.key(kind, "k"), "k") for kind in ("texts", "metadata")]
        left += [client.zscore(keys.key(kind, "k"), "k") is not None for kind in ("lru", "expiries")]
    assert not any(left)


def test_repair_empties_a_shard_that_holds_what_belongs_to_nothing(cache: RedisTextCache, server: Any) -> None:
    cache.put("k", "text")
    with server.client() as client:
        client.hset(cache.cache.entries.keys.key("texts", "foreign"), "foreign", "bytes")
    assert cache.check().faults == 1
    assert cache.repair().faults == 0
    assert len(cache.cache) == 0


class Interrupted(Engine):
    """An engine on which somebody else gets in between a script and the command beside it, once."""

    meanwhile: Callable[[], object] | None = None

    def run(self, op: Op[Any]) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is None or not isinstance(op, ScriptThenRead) or op.script is None:
            return super().run(op)
        noted = super().run(raw(op))
        meanwhile()
        return op.read([noted, super().run(command(op.partition, *op.words, read=lambda blob: blob))])


@pytest.mark.parametrize("face", ["cache", "plan"])
@pytest.mark.parametrize("left", ["new" * 3000, None])
def test_a_text_that_changes_while_it_is_read_is_whole(
    server: Any, prefix: str, cache: RedisTextCache, face: str, left: str | None
) -> None:
    cache.put("k", "old" * 3000)
    with Interrupted.from_url(server.url, prefix=prefix) as engine:
        reader = RedisTextCache(engine=engine, budget=BUDGET)
        assert reader.get("other") is None
        engine.meanwhile = lambda: cache.put("k", left) if left else cache.drop("k")
        entry = reader.get("k") if face == "cache" else engine.follow(reader.cache.entries.fetch("k"))
        assert engine.meanwhile is None
    assert (entry and entry.content) == left


def test_bytes_of_others_are_no_text(cache: RedisTextCache, server: Any) -> None:
    cache.put("k", "text")
    with server.client(decode_responses=False) as client:
        key = cache.cache.entries.keys.key("texts", "k")
        client.hset(key, "k", client.hget(key, "k")[:8] + b"\xff\xfe")
    with pytest.raises(CorruptValue, match="UTF-8"):
        cache.get("k")


@pytest.mark.parametrize("kind", [*available()])
@pytest.mark.parametrize(("size", "entries"), [(1000, 5000), (3000, 3000), (20_000, 800), (300_000, 60)])
@pytest.mark.parametrize("name", [10, 40, 150])
def test_what_is_accounted_is_what_the_server_uses(kind: str, size: int, entries: int, name: int) -> None:
    with Server(available()[kind]) as server, Engine.from_url(server.url) as engine, server.client() as client:
        cache = RedisTextCache(engine=engine)
        cache.put("first", "x")
        before, accounted = client.info("memory")["used_memory"], cache.stats().bytes
        cache.put_many({f"{number:0{name}}": "x" * size for number in range(entries)})
        for _ in range(30):
            time.sleep(0.01)  # a table that has just doubled is moved over bit by bit
        used = client.info("memory")["used_memory"] - before
        assert cache.stats().bytes - accounted == pytest.approx(used, rel=0.1)
