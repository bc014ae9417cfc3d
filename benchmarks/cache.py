"""The text cache: what a hit and a put cost beside the bare commands, and whether that grows with the cache."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, cycle
from typing import Any

import redis

from benchmarks.bench import Bench
from benchmarks.harness import Case, Goal, Group
from redis_state import Engine
from redis_state.cache import RedisTextCache
from redis_state.engine.registry import lua_directory
from redis_state.engine.script import parse

SMALL, LARGE = 1000, 50_000  # bytes of a text
FEW = 1000
ROOM = 8 << 30
_HGET = """-- bench/hget: the least that a script can read.
--
-- Retry: no-writes.  Work: O(1).  allow-oom: yes.
-- Replies  {'hit', value}
local values = KEYS[1]
local name   = ARGV[1]

return { 'hit', redis.call('HGET', values, name) }
"""


def hit_small(bench: Bench) -> Group:
    """A hit of 1 KB, beside a bare connection's EVALSHA of one HGET."""
    cache = _cache(bench, 6)
    _fill(cache, FEW, SMALL)
    names = cycle([_name(n) for n in range(FEW)])
    bench.client.hset("bench:texts", mapping={_name(n): b"x" * SMALL for n in range(FEW)})
    sha = bench.client.script_load(parse("bench/hget", _HGET, _source).text)
    connection = _connection(bench)

    def bare() -> Any:
        connection.send_command("EVALSHA", sha, 1, "bench:texts", next(names))
        return connection.read_response(disable_decoding=True)

    return Group(
        "A hit of 1 KB",
        [
            Case("bare EVALSHA of one HGET", bare),
            Case("text_cache.get", lambda: cache.get(next(names))),
            Case("redis-py GET", lambda: bench.client.hget("bench:texts", next(names))),
        ],
        [Goal("text_cache.get", "bare EVALSHA of one HGET", 1.6)],
    )


def hit_large(bench: Bench) -> Group:
    """A hit of 50 KB, beside a bare connection's GET."""
    cache = _cache(bench, 7)
    _fill(cache, FEW, LARGE)
    names = cycle([_name(n) for n in range(FEW)])
    for n in range(FEW):
        bench.client.set(_name(n), b"x" * LARGE)
    connection = _connection(bench)

    def bare() -> Any:
        connection.send_command("GET", next(names))
        return connection.read_response(disable_decoding=True)

    return Group(
        "A hit of 50 KB",
        [
            Case("bare GET", bare),
            Case("text_cache.get", lambda: cache.get(next(names))),
            Case("redis-py GET", lambda: bench.client.get(next(names))),
        ],
        [Goal("text_cache.get", "bare GET", 1.5)],
    )


def growth(bench: Bench) -> Group:
    """The same in a cache of many entries and in one of a thousand."""
    many = bench.entries * 100
    cases = [case for db, entries in ((8, FEW), (9, many)) for case in _cases(bench, db, entries)]
    what = ("hit", "put over", "put and evict")
    goals = [Goal(f"{one}, {many:,} entries", f"{one}, {FEW:,} entries", 1.3) for one in what]
    return Group("The same in a small and in a large cache, 100 bytes each", cases, goals)


def _cases(bench: Bench, db: int, entries: int) -> list[Case]:
    roomy, full = _cache(bench, db), _cache(bench, db + 2)
    for cache in (roomy, full):
        _fill(cache, entries, 100)
    full.resize(full.stats().bytes)
    somewhere = (number * 7919 % entries for number in count())
    fresh, content, at = count(entries), "x" * 100, f"{entries:,} entries"
    return [
        Case(f"hit, {at}", lambda: roomy.get(_name(next(somewhere)))),
        Case(f"put over, {at}", lambda: roomy.put(_name(next(somewhere)), content)),
        Case(f"put and evict, {at}", lambda: full.put(_name(next(fresh)), content)),
    ]


def _cache(bench: Bench, db: int) -> RedisTextCache:
    engine = bench.closing.enter_context(Engine.from_url(f"{bench.url}?db={db}", deadline=60.0))
    return RedisTextCache(engine=engine, budget=ROOM)


def _fill(cache: RedisTextCache, entries: int, size: int) -> None:
    for start in range(0, entries, 10_000):
        cache.put_many({_name(n): "x" * size for n in range(start, min(entries, start + 10_000))})


def _name(number: int) -> str:
    return f"book:{number:010d}"


def _source(name: str) -> str:
    return (lua_directory() / f"{name}.lua").read_text(encoding="utf-8")


def _connection(bench: Bench) -> Any:
    connection: Any = redis.UnixDomainSocketConnection(path=bench.socket_path)  # type: ignore[abstract,no-untyped-call]
    bench.closing.callback(connection.disconnect)
    connection.connect()
    return connection


GROUPS: dict[str, Callable[[Bench], Group]] = {
    "cache-hit": hit_small,
    "cache-hit-large": hit_large,
    "cache-growth": growth,
}
