"""What a function made is never thrown away, and no caller waits for ever."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_state import Engine, aio
from redis_state.cache import RedisTextCache, RedisWordTimingCache
from redis_state.engine.op import command
from redis_state.errors import ComputeFailed, ComputeTimeout
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server

BUDGET = 1_000_000


class Own:
    """A class of the application, which no cache keeps."""


@pytest.fixture
def timings(engine: Engine) -> RedisWordTimingCache:
    return RedisWordTimingCache(engine=engine)


@pytest.fixture
def texts(engine: Engine) -> RedisTextCache:
    return RedisTextCache(engine=engine, budget=BUDGET)


@pytest.fixture(params=["blocking", "asyncio"])
def get(request: pytest.FixtureRequest, server: Server, prefix: str) -> Iterator[Callable[..., Any]]:
    """Get a value, or with ``text=True`` a text, on either face."""
    if request.param == "blocking":
        with Engine.from_url(server.url, prefix=prefix, unsafe_server="ignore") as engine:
            timings, texts = RedisWordTimingCache(engine=engine), RedisTextCache(engine=engine, budget=BUDGET)
            yield lambda *args, text=False, **options: (texts.get_or_load if text else timings.get_or_compute)(
                *args, **options
            )
        return

    with asyncio.Runner() as runner:
        waiting = aio.AsyncEngine.from_url(server.url, prefix=prefix, unsafe_server="ignore")
        both = aio.WordTimingCache(waiting).get_or_compute, aio.TextCache(waiting, budget=BUDGET).get_or_load
        yield lambda *args, text=False, **options: runner.run(both[text](*args, **options))
        runner.run(waiting.close())


@pytest.fixture
def full(server: Server) -> Iterator[None]:
    """Let the server be at its memory limit."""
    with server.client() as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


class Logged:
    """What was said in the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "redis_state")
        self._caplog = caplog

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.name == "redis_state.single_flight"]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    return Logged(caplog)


# --- what cannot be kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "reason"), [(None, "None"), (Own(), "Own"), ([{"a": Own()}], "Own")])
def test_a_result_that_cannot_be_kept_is_returned(
    get: Callable[..., Any], logged: Logged, value: Any, reason: str
) -> None:
    ran: list[int] = []

    def compute() -> Any:
        ran.append(1)
        return value

    for calls in (1, 2, 3):
        assert get("k", compute) is value
        assert len(ran) == calls, "one call runs it once"
    (said,) = logged.texts
    assert "returned and not kept" in said
    assert reason in said
    assert get("k", lambda: 5) == 5, "the name is free"


def test_a_text_that_is_none_is_returned(get: Callable[..., Any], logged: Logged) -> None:
    assert get("k", lambda: b"bytes", text=True) == b"bytes"
    assert get("large", lambda: "x" * 2 * BUDGET, text=True) == "x" * 2 * BUDGET
    assert ["TypeError" in logged.texts[0], "EntryTooLarge" in logged.texts[1]] == [True, True]


def test_who_waits_for_what_cannot_be_kept_computes_for_itself(timings: RedisWordTimingCache) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def first() -> Any:
        inside.set()
        assert go_on.wait(20)
        return Own()

    with ThreadPoolExecutor(5) as pool:
        one = pool.submit(timings.get_or_compute, "k", first)
        assert inside.wait(20)
        others = [pool.submit(timings.get_or_compute, "k", lambda n=n: n) for n in range(4)]
        _blocked(timings.cache.engine, 4)
        go_on.set()
        assert isinstance(one.result(20), Own)
        assert [other.result(20) for other in others] == [0, 1, 2, 3]


def _blocked(engine: Engine, callers: int) -> None:
    def count(info: bytes) -> int:
        return int(info.split(b"blocked_clients:")[1].split()[0])

    until = time.monotonic() + 20
    while engine.run(command(None, "INFO", "clients", read=count)) < callers and time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.parametrize("text", [False, True])
def test_a_full_server_costs_no_result(get: Callable[..., Any], full: None, logged: Logged, text: bool) -> None:
    ran: list[int] = []

    def compute() -> str:
        ran.append(1)
        return "computed"

    for calls in (1, 2, 3):
        assert get("k", compute, text=text) == "computed"
        assert len(ran) == calls
    (said,) = logged.texts
    assert "ServerFull" in said


def test_a_server_that_fills_while_one_computes_costs_no_result(server: Server, get: Callable[..., Any]) -> None:
    with server.client() as admin:

        def compute() -> str:
            admin.config_set("maxmemory", 1)
            return "computed"

        try:
            assert get("k", compute) == "computed"
        finally:
            admin.config_set("maxmemory", 0)
    assert get("k", lambda: "next") == "next", "the lock is free: what ends something runs on a full server"


@pytest.mark.parametrize("face", ["blocking", "asyncio"])
def test_a_user_who_may_not_ask_for_the_memory_keeps_texts(server: Server, prefix: str, face: str) -> None:
    ran: list[int] = []

    def load() -> str:
        ran.append(1)
        return "text"

    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-info")
        try:
            if face == "blocking":
                with Engine.from_url(server.url, prefix=prefix) as engine:
                    cache = RedisTextCache(engine=engine, budget=BUDGET)
                    assert [cache.get_or_load("k", load) for _ in range(3)] == ["text"] * 3
                    assert cache.put("other", "text")
            else:
                asyncio.run(_keeps(server.url, prefix, load))
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+info")
    assert ran == [1]


async def _keeps(url: str, prefix: str, load: Callable[[], str]) -> None:
    async with aio.AsyncEngine.from_url(url, prefix=prefix) as engine:
        cache = aio.TextCache(engine, budget=BUDGET)
        assert [await cache.get_or_load("k", load) for _ in range(3)] == ["text"] * 3
        assert await cache.put("other", "text")


def test_what_is_told_of_an_error_is_short(timings: RedisWordTimingCache) -> None:
    def fail() -> Any:
        raise ValueError("x" * 1_000_000)

    with pytest.raises(ValueError, match="xxx"):
        timings.get_or_compute("k", fail, negative_ttl=60)
    with pytest.raises(ComputeFailed) as caught:
        timings.get_or_compute("k", fail, negative_ttl=60)
    assert len(caught.value.error) == 1024


# --- time-outs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("timeout", [0, 0.3, 1.5])
def test_a_caller_waits_as_long_as_it_says(
    get: Callable[..., Any],
    timings: RedisWordTimingCache,
    texts: RedisTextCache,
    text: bool,
    timeout: float,
    machine_lag: MachineLag,
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        assert go_on.wait(30)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(texts.get_or_load if text else timings.get_or_compute, "k", slow)
        assert inside.wait(20)
        began = time.monotonic()
        with pytest.raises(ComputeTimeout, match="computes it") as caught:
            get("k", lambda: "never", text=text, timeout=timeout)
        assert timeout <= time.monotonic() - began < timeout + 1.0 + machine_lag.slack
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.timeout, bool(caught.value.holder)) == (timeout, True)
        go_on.set()
        assert one.result(20) == "slow"
    assert get("k", lambda: "never", text=text, timeout=timeout) == "slow"


def test_a_time_out_is_for_waiting_and_not_for_computing(get: Callable[..., Any]) -> None:
    def slow() -> str:
        time.sleep(0.4)
        return "slow"

    assert get("k", slow, timeout=0.2) == "slow"


def test_a_caller_with_a_time_out_does_not_wait_for_a_frozen_server(
    server: Server, get: Callable[..., Any], machine_lag: MachineLag
) -> None:
    get("warm", lambda: 1)
    server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(ComputeTimeout, match="no server answered"):
            get("k", lambda: "never", timeout=0.5)
        # the time-out, one of a socket, and the machine
        assert time.monotonic() - began < 0.5 + 1.0 + 1.0 + machine_lag.slack
    finally:
        server.resume()


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_time_out_is_a_number_of_seconds(get: Callable[..., Any], timeout: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="timeout"):
        get("k", lambda: pytest.fail("it ran"), timeout=timeout)


# --- a computation that asks for itself ---------------------------------------------------------------------


@pytest.mark.parametrize("text", [False, True])
def test_a_computation_that_asks_for_itself_is_refused(
    timings: RedisWordTimingCache, texts: RedisTextCache, text: bool
) -> None:
    get: Callable[..., Any] = texts.get_or_load if text else timings.get_or_compute
    with pytest.raises(RuntimeError, match=r"'k' asks for itself \('k' -> 'k'\)"):
        get("k", lambda: get("k", lambda: "inner", timeout=20))
    assert get("k", lambda: "free again") == "free again"


def test_a_circle_of_several_values_is_refused(timings: RedisWordTimingCache, texts: RedisTextCache) -> None:
    def book() -> Any:
        return timings.get_or_compute("chapter", chapter)

    def chapter() -> Any:
        return texts.get_or_load("page", page)

    def page() -> Any:
        return timings.get_or_compute("book", book, timeout=20)

    with pytest.raises(RuntimeError, match="'book' -> 'chapter' -> 'page' -> 'book'"):
        timings.get_or_compute("book", book)
    assert timings.get_or_compute("book", lambda: texts.get_or_load("page", lambda: "no circle")) == "no circle"


def test_a_value_that_is_stale_may_be_used_to_compute_it_anew(timings: RedisWordTimingCache) -> None:
    def compute() -> int:
        return timings.get_or_compute("k", lambda: 0, ttl=0.05, stale_for=60) + 1

    assert timings.get_or_compute("k", lambda: 1, ttl=0.05, stale_for=60) == 1
    time.sleep(0.1)
    assert timings.get_or_compute("k", compute, ttl=0.05, stale_for=60) == 2


def test_a_thread_with_the_context_of_a_computation_is_a_part_of_it(timings: RedisWordTimingCache) -> None:
    def compute() -> Any:
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(context.run, timings.get_or_compute, "k", lambda: "inner").result(20)

    with pytest.raises(RuntimeError, match="asks for itself"):
        timings.get_or_compute("k", compute)


async def test_an_awaited_circle_is_refused_also_by_child_tasks(server: Server, prefix: str) -> None:
    async with aio.AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        cache = aio.WordTimingCache(engine)

        async def itself() -> Any:
            return await cache.get_or_compute("a", itself)

        async def by_a_child() -> Any:
            return (await asyncio.gather(cache.get_or_compute("b", by_a_child)))[0]

        async def by_a_detour() -> Any:
            return await cache.get_or_compute("d", lambda: cache.get_or_compute("c", by_a_detour))

        for name, compute in (("a", itself), ("b", by_a_child), ("c", by_a_detour)):
            with pytest.raises(RuntimeError, match="asks for itself"):
                await asyncio.wait_for(cache.get_or_compute(name, compute), 20)


async def test_a_task_that_outlives_its_computation_may_ask_for_the_value(server: Server, prefix: str) -> None:
    async with aio.AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        cache = aio.WordTimingCache(engine)
        later: list[asyncio.Task[Any]] = []
        over = asyncio.Event()

        async def refresh() -> Any:
            await over.wait()
            await cache.cache.delete("k")
            return await cache.get_or_compute("k", lambda: "new")

        async def compute() -> str:
            later.append(asyncio.create_task(refresh()))
            return "old"

        assert await cache.get_or_compute("k", compute) == "old"
        over.set()
        assert await later[0] == "new"


def test_two_servers_of_one_url_are_not_one_place() -> None:
    with Engine.from_url("embedded://") as one, Engine.from_url("embedded://") as another:
        here, there = RedisWordTimingCache(engine=one), RedisWordTimingCache(engine=another)
        assert here.get_or_compute("k", lambda: there.get_or_compute("k", lambda: "there")) == "there"


def test_a_wait_that_is_cut_goes_on(get: Callable[..., Any], engine: Engine, server: Server) -> None:
    """A connection may break at any time, also while its caller waits for what another one computes."""
    timings, began, end = RedisWordTimingCache(engine=engine), threading.Event(), threading.Event()

    def slowly() -> str:
        began.set()
        end.wait(10)
        return "computed"

    def cut() -> None:
        with server.client() as admin:
            for _ in range(5):
                time.sleep(0.1)
                admin.client_kill_filter(_type="normal", skipme=True)
        end.set()

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(timings.get_or_compute, "k", slowly)
        assert began.wait(10)
        pool.submit(cut)
        assert get("k", lambda: "computed here") == "computed"
        assert leader.result() == "computed"
