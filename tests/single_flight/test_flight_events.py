"""Events of single flights: who computed and who waited, on both faces."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from redis_state import AsyncEngine, ComputeFailed, ComputeTimeout, Engine, aio
from redis_state.cache import TextCache
from redis_state.events import Event, ValueAwaited, ValueComputed
from tests.support.servers import Server


def of_flights(heard: list[Event]) -> list[ValueComputed | ValueAwaited]:
    return [event for event in heard if isinstance(event, ValueComputed | ValueAwaited)]


def ends(heard: list[Event]) -> list[tuple[str, str]]:
    return sorted((type(event).__name__, event.how) for event in of_flights(heard))


def test_a_leader_and_its_waiter_are_told(engine: Engine) -> None:
    heard: list[Event] = []
    engine.on_event(heard.append)
    cache, leads = TextCache(engine=engine), threading.Event()

    def load() -> str:
        leads.set()
        time.sleep(0.2)
        return "text"

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cache.get_or_load, "k", load)
        assert leads.wait(10)
        waiter = pool.submit(cache.get_or_load, "k", load)
        assert leader.result() == waiter.result() == "text"
    assert cache.get_or_load("k", load) == "text"
    assert ends(heard) == [("ValueAwaited", "done"), ("ValueComputed", "done")]
    assert {(event.namespace, event.name) for event in of_flights(heard)} == {("text", "k")}
    assert all(0.01 < event.seconds < 10 for event in of_flights(heard))


def test_a_failure_is_told_to_both(engine: Engine) -> None:
    heard: list[Event] = []
    engine.on_event(heard.append)
    cache, leads = TextCache(engine=engine), threading.Event()

    def fail() -> str:
        leads.set()
        time.sleep(0.2)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cache.get_or_load, "k", fail)
        assert leads.wait(10)
        waiter = pool.submit(cache.get_or_load, "k", fail)
        assert isinstance(leader.exception(), ZeroDivisionError)
        assert isinstance(waiter.exception(), ComputeFailed)
    assert ends(heard) == [("ValueAwaited", "failed"), ("ValueComputed", "failed")]


async def test_a_leader_and_its_waiter_are_told_awaited(server: Server, prefix: str) -> None:
    heard: list[Event] = []
    async with AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        engine.on_event(heard.append)
        cache, leads = aio.TextCache(engine=engine), asyncio.Event()

        async def load() -> str:
            leads.set()
            await asyncio.sleep(0.2)
            return "text"

        leader = asyncio.create_task(cache.get_or_load("k", load))
        await leads.wait()
        assert await cache.get_or_load("k", load) == await leader == "text"
    assert ends(heard) == [("ValueAwaited", "done"), ("ValueComputed", "done")]


def test_a_waiter_whose_time_is_over_is_told(engine: Engine) -> None:
    heard: list[Event] = []
    engine.on_event(heard.append)
    cache, leads, waited = TextCache(engine=engine), threading.Event(), threading.Event()

    def load() -> str:
        leads.set()
        assert waited.wait(10)
        return "text"

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cache.get_or_load, "k", load)
        assert leads.wait(10)
        with pytest.raises(ComputeTimeout):
            cache.get_or_load("k", load, timeout=0.1)
        waited.set()
        leader.result()
    assert ends(heard) == [("ValueAwaited", "timed out"), ("ValueComputed", "done")]
