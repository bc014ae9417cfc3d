"""Threads that share an engine: each call has a connection for itself, however long another one waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_state import Engine
from redis_state.engine.op import Op, command
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations
from tests.support.servers import Server

RECORDS = RecordOperations(Keys("shared"), 60.0)
WAIT = 10.0  # seconds: nobody waits so long, for a push ends it


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@settings(max_examples=20, deadline=None)
@given(warm=st.integers(0, 3), waiting=st.integers(1, 3), calls=st.integers(1, 5))
def test_calls_go_on_while_others_wait(server: Server, warm: int, waiting: int, calls: int) -> None:
    """``warm`` calls at once leave as many connections behind, which are the ones to be mixed up."""
    with Engine.from_url(server.url, socket_timeout=2.0, deadline=5.0) as engine, server.client() as client:
        client.flushall()
        _together(lambda _: engine.run(_wait("warm", 0.02)), warm)
        heard: list[Any] = []
        waiters = _started(lambda place: heard.append((place, engine.run(_wait(f"key {place}", WAIT)))), waiting)
        give_up = monotonic() + 10.0
        while int(client.info("clients")["blocked_clients"]) < waiting:
            assert monotonic() < give_up, "they do not all wait on the server"
        assert [engine.run(RECORDS.increment("a", "n")) for _ in range(calls)] == list(range(1, calls + 1))
        for place in range(waiting):
            client.rpush(f"key {place}", place)
        for waiter in waiters:
            waiter.join()
        assert sorted(heard) == [(place, [f"key {place}".encode(), str(place).encode()]) for place in range(waiting)]


def _wait(key: str, seconds: float) -> Op[Any]:
    return command(None, "BLPOP", key, seconds, read=lambda reply: reply, blocks=seconds)


def _started(work: Any, times: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(times)]
    for thread in threads:
        thread.start()
    return threads


def _together(work: Any, times: int) -> None:
    for thread in _started(work, times):
        thread.join()
