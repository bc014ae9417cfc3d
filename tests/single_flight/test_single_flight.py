"""One computes, the others wait: over processes, threads and tasks, and when the one dies."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_state import Engine, aio
from redis_state.cache import RedisTextCache, RedisWordTimingCache
from redis_state.errors import ComputeFailed
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server

_spawn = multiprocessing.get_context("spawn")


class Counter:
    """How often something ran, on the server."""

    def __init__(self, server: Server) -> None:
        self.client = server.client()

    def add(self) -> int:
        return int(self.client.incr("ran"))

    @property
    def value(self) -> int:
        return int(self.client.get("ran") or 0)


def waiting(counter: Counter, callers: int) -> None:
    """Wait until so many wait on the server."""
    until = time.monotonic() + 20
    while int(counter.client.info("clients")["blocked_clients"]) < callers and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture
def ran(server: Server, prefix: str) -> Any:
    counter = Counter(server)
    yield counter
    counter.client.delete("ran")
    counter.client.close()


@pytest.fixture
def timings(engine: Engine) -> RedisWordTimingCache:
    return RedisWordTimingCache(engine=engine)


def test_a_value_is_computed_once_and_then_read(timings: RedisWordTimingCache, ran: Counter) -> None:
    value = {"timings": [{"word": f"w{n}", "start": n / 7} for n in range(500)]}

    def compute() -> Any:
        ran.add()
        return value

    assert [timings.get_or_compute("t:v", compute) for _ in range(3)] == [value] * 3
    assert ran.value == 1
    assert timings.cache["t:v"] == value
    assert timings.cache.ttl("t:v") == pytest.approx(86400, abs=5)


def test_of_many_threads_one_computes(timings: RedisWordTimingCache, ran: Counter) -> None:
    def compute() -> int:
        time.sleep(0.2)
        return ran.add()

    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: timings.get_or_compute("k", compute), range(12)))
    assert got == [1] * 12


ROUNDS, CREW = 3, 16


def _worker(url: str, prefix: str, start: Any, answers: Any) -> None:
    with Engine.from_url(url, prefix=prefix) as engine:
        cache = RedisWordTimingCache(engine=engine)
        ended: list[float] = []

        def compute() -> str:
            time.sleep(0.3)
            ended.append(time.time())
            return "value"

        cache.cache.get("warm")
        for number in range(ROUNDS):
            start.wait(60)
            value = cache.get_or_compute(f"cold {number}", compute)
            answers.put((number, value, time.time(), list(ended)))
            ended.clear()


@pytest.mark.timing
def test_of_sixteen_processes_one_computes_and_the_others_have_it_at_once() -> None:
    start, answers = _spawn.Barrier(CREW), _spawn.Queue()
    with Server() as server, MachineLag() as machine_lag:
        crew = [_spawn.Process(target=_worker, args=(server.url, "rs", start, answers)) for _ in range(CREW)]
        for one in crew:
            one.start()
        found = [answers.get(timeout=90) for _ in range(CREW * ROUNDS)]
        for one in crew:
            one.join(10)
    longest = []
    for number in range(ROUNDS):
        of_round = [one for one in found if one[0] == number]
        ends = [end for *_, ended in of_round for end in ended]
        assert len(ends) == 1
        assert {value for _, value, _, _ in of_round} == {"value"}
        longest.append(max(at - ends[0] for _, _, at, _ in of_round))
    assert min(longest) < machine_lag.allowed(0.05), (longest, machine_lag.latest)


def _dying(url: str, prefix: str, begun: Any) -> None:
    def compute() -> str:
        begun.set()
        time.sleep(60)
        return "never"

    with Engine.from_url(url, prefix=prefix) as engine:
        RedisWordTimingCache(engine=engine).get_or_compute("k", compute, lease=3.0)


def test_when_the_computing_process_is_killed_exactly_one_other_takes_over(
    server: Server, prefix: str, timings: RedisWordTimingCache, ran: Counter
) -> None:
    begun = _spawn.Event()
    victim = _spawn.Process(target=_dying, args=(server.url, prefix, begun))
    victim.start()
    assert begun.wait(60)

    def compute() -> int:
        time.sleep(0.1)
        return ran.add()

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(timings.get_or_compute, "k", compute, lease=3.0) for _ in range(6)]
        time.sleep(3.5)  # longer than the lease, which is renewed
        assert not any(one.done() for one in waiting)
        assert ran.value == 0
        os.kill(victim.pid or 0, signal.SIGKILL)
        assert [one.result(20) for one in waiting] == [1] * 6
    victim.join(10)
    assert ran.value == 1


def test_an_error_reaches_those_who_wait_and_is_not_kept(timings: RedisWordTimingCache, ran: Counter) -> None:
    inside = threading.Event()

    def fail() -> Any:
        inside.set()
        ran.add()
        waiting(ran, 4)
        raise ZeroDivisionError("by nothing")

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(timings.get_or_compute, "k", fail)
        assert inside.wait(10)
        others = [pool.submit(timings.get_or_compute, "k", lambda: "computed") for _ in range(4)]
        with pytest.raises(ZeroDivisionError):
            first.result(10)
        for other in others:
            with pytest.raises(ComputeFailed, match="ZeroDivisionError: by nothing"):
                other.result(10)
    assert ran.value == 1
    assert timings.get_or_compute("k", lambda: "computed") == "computed"


def test_a_failure_is_remembered_where_that_is_asked_for(timings: RedisWordTimingCache, ran: Counter) -> None:
    def fail() -> Any:
        ran.add()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        timings.get_or_compute("k", fail, negative_ttl=0.4)
    for _ in range(3):
        with pytest.raises(ComputeFailed, match="ValueError: no"):
            timings.get_or_compute("k", fail, negative_ttl=0.4)
    assert ran.value == 1
    time.sleep(0.45)
    assert timings.get_or_compute("k", lambda: 5) == 5


def test_a_stale_value_is_served_while_one_computes_it_anew(
    timings: RedisWordTimingCache, ran: Counter, machine_lag: MachineLag
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def again() -> str:
        inside.set()
        assert go_on.wait(10)
        ran.add()
        return "new"

    assert timings.get_or_compute("k", lambda: "old", ttl=0.1, stale_for=30) == "old"
    time.sleep(0.15)
    with ThreadPoolExecutor(4) as pool:
        one = pool.submit(timings.get_or_compute, "k", again, ttl=60, stale_for=30)
        assert inside.wait(10)
        started = time.monotonic()
        others = [pool.submit(timings.get_or_compute, "k", again, ttl=60, stale_for=30) for _ in range(3)]
        assert [other.result(10) for other in others] == ["old"] * 3
        assert time.monotonic() - started < 2 + machine_lag.slack
        go_on.set()
        assert one.result(10) == "new"
    assert timings.get_or_compute("k", again, ttl=60, stale_for=30) == "new"
    assert ran.value == 1


def test_a_text_is_loaded_once(engine: Engine, ran: Counter) -> None:
    cache = RedisTextCache(engine=engine, budget=1_000_000)

    def load() -> str:
        time.sleep(0.1)
        return f"text {ran.add()}"

    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _: cache.get_or_load("k", load, file_mtime_ns=7), range(6)))
    assert got == ["text 1"] * 6
    assert cache.get_or_load("k", load, file_mtime_ns=8) == "text 2"  # the file is another one
    entry = cache.get("k", file_mtime_ns=8)
    assert entry is not None
    assert entry.content == "text 2"
    assert cache.check().drift == 0


def test_a_stale_text_is_served_while_one_loads_it_anew(engine: Engine) -> None:
    cache = RedisTextCache(engine=engine, budget=1_000_000)
    cache.get_or_load("k", lambda: "old", ttl=0.1, stale_for=30)
    time.sleep(0.15)
    inside, go_on = threading.Event(), threading.Event()

    def again() -> str:
        inside.set()
        assert go_on.wait(10)
        return "new"

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(cache.get_or_load, "k", again, stale_for=30)
        assert inside.wait(10)
        assert cache.get_or_load("k", again, stale_for=30) == "old"
        go_on.set()
        assert one.result(10) == "new"
    assert cache.get_or_load("k", again, stale_for=30) == "new"


def test_a_text_too_large_to_be_kept_is_returned(engine: Engine) -> None:
    cache = RedisTextCache(engine=engine, budget=10_000)
    assert len(cache.get_or_load("k", lambda: "x" * 20_000)) == 20_000
    assert cache.get("k") is None


@pytest.mark.parametrize("options", [{"stale_for": -1}, {"negative_ttl": float("nan")}, {"ttl": 0}])
def test_bad_times_are_refused_before_anything_runs(timings: RedisWordTimingCache, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        timings.get_or_compute("k", lambda: pytest.fail("it ran"), **options)


# --- asyncio ------------------------------------------------------------------------------------------


async def test_of_many_tasks_one_computes(server: Server, prefix: str, ran: Counter) -> None:
    async def compute() -> int:
        await asyncio.sleep(0.2)
        return ran.add()

    async with aio.AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        cache = aio.WordTimingCache(engine)
        got = await asyncio.gather(*(cache.get_or_compute("k", compute) for _ in range(12)))
        assert got == [1] * 12
        assert await cache.get_or_compute("k", lambda: 5) == 1


async def test_a_cancelled_task_leaves_the_work_to_another(
    server: Server, prefix: str, machine_lag: MachineLag
) -> None:
    begun = asyncio.Event()

    async def hang() -> str:
        begun.set()
        await asyncio.sleep(60)
        return "never"

    async with aio.AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        cache = aio.TextCache(engine, budget=1_000_000)
        first = asyncio.create_task(cache.get_or_load("k", hang))
        await begun.wait()
        second = asyncio.create_task(cache.get_or_load("k", lambda: "loaded"))
        await asyncio.sleep(0.1)
        first.cancel()
        started = asyncio.get_running_loop().time()
        assert await second == "loaded"
        assert asyncio.get_running_loop().time() - started < 2 + machine_lag.slack
        with pytest.raises(asyncio.CancelledError):
            await first
