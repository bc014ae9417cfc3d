"""The hit ratio of the text cache, beside an exact LRU and Redis' own."""

from __future__ import annotations

import bisect
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.server_memory import MB, allocated, used_memory
from redis_state.cache import RedisTextCache


def zipf(bench: Bench, small: bool) -> Iterator[str]:
    """A Zipf trace: our cache, an exact LRU of the same budget, and Redis' own allkeys-lru with the same memory."""
    requests, items, budget = (6000, 3000, 4 * MB) if small else (60_000, 20_000, 25 * MB)
    draw = random.Random(7)
    sizes = [draw.randrange(2000, 20_000) for _ in range(items)]
    trace = list(_zipf(draw, items, requests))
    cache = RedisTextCache(engine=bench.engine, budget=budget)
    cache.clear()
    cache.resize(budget)
    before = used_memory(bench.client)
    hits = 0
    for item in trace:
        if cache.get(f"item:{item}") is not None:
            hits += 1
        else:
            cache.put(f"item:{item}", "x" * sizes[item])
    taken = used_memory(bench.client) - before
    ours = hits / requests
    exact = _exact(trace, lambda item: _accounted(bench, f"item:{item}", sizes[item]), budget) / requests
    theirs = _allkeys_lru(bench, trace, sizes, taken) / requests
    cache.clear()
    yield "## Hit ratio on a Zipf trace"
    yield ""
    yield f"{requests:,} requests for {items:,} texts of 2 to 20 KB; a budget of {budget / MB:.0f} MB."
    yield ""
    yield "| | hit ratio |"
    yield "|---|---|"
    yield f"| text_cache | {ours:.4f} |"
    yield f"| exact LRU of the same budget, simulated | {exact:.4f} |"
    yield f"| Redis `allkeys-lru`, same memory | {theirs:.4f} |"


def _zipf(draw: random.Random, items: int, requests: int) -> Iterator[int]:
    sums = list(itertools.accumulate(1 / rank for rank in range(1, items + 1)))
    order = list(range(items))
    draw.shuffle(order)
    for _ in range(requests):
        yield order[bisect.bisect(sums, draw.random() * sums[-1])]


def _accounted(bench: Bench, name: str, size: int) -> int:
    allocator = str(bench.client.info("memory")["mem_allocator"]) if not _allocator else _allocator[0]
    if not _allocator:
        _allocator.append(allocator)
    return allocated(size + 18, allocator) + 4 * len(name) + (350 if allocator.startswith("jemalloc") else 305)


_allocator: list[str] = []


def _exact(trace: list[int], bytes_of: Callable[[int], int], budget: int) -> int:
    held: OrderedDict[int, int] = OrderedDict()
    total = hits = 0
    for item in trace:
        if item in held:
            held.move_to_end(item)
            hits += 1
            continue
        needed = bytes_of(item)
        while total + needed > budget:
            total -= held.popitem(last=False)[1]
        held[item] = needed
        total += needed
    return hits


def _allkeys_lru(bench: Bench, trace: list[int], sizes: list[int], taken: int) -> int:
    client = bench.client
    client.flushall()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", used_memory(client) + taken)
    hits = 0
    try:
        for item in trace:
            if client.get(f"item:{item}") is not None:
                hits += 1
            else:
                client.set(f"item:{item}", "x" * sizes[item], ex=86400)
    finally:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
    return hits
