"""What moves is not cut: large values over a slow link, both ways, on both faces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, OutcomeUnknown, ServerUnavailable, ValueMapping, aio
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server

RATE = 2_000_000  # bytes a second
LARGE = os.urandom(1_600_000)
STALL = 0.3  # seconds; a third of what LARGE takes
SETTINGS: dict[str, Any] = {"socket_timeout": STALL, "deadline": 20.0}


class SlowLink:
    """Carries bytes to a server and back at ``RATE``; ``url`` is where it begins. Stands still while ``stands``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.rate = RATE
        self.stands = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server.port or 0))
                self._open += client, server
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(8192):
                while self.stands.is_set():
                    time.sleep(0.01)
                target.sendall(data)
                time.sleep(len(data) / self.rate if len(data) > 1000 else 0.0)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.stands.clear()
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(tcp=True) as running:
        yield running


@pytest.fixture
def link(server: Server) -> Iterator[SlowLink]:
    made = SlowLink(server)
    yield made
    made.close()


def test_large_values_arrive_both_ways(link: SlowLink) -> None:
    with Engine.from_url(link.url, **SETTINGS) as engine:
        values = ValueMapping("v", ttl=60, engine=engine)
        values["a"] = LARGE
        assert values["a"] == LARGE
        assert values.get_many(["a", "b"]) == {"a": LARGE}
        assert engine.status().replies_lost == 0


def test_large_values_arrive_both_ways_awaited(link: SlowLink) -> None:
    async def use() -> None:
        async with AsyncEngine.from_url(link.url, **SETTINGS) as engine:
            values = aio.ValueMapping(engine, "v", ttl=60)
            await values.put("a", LARGE)
            assert await values.get("a") == LARGE
            assert await values.get_many(["a", "b"]) == {"a": LARGE}
            assert engine.status().replies_lost == 0

    asyncio.run(use())


def test_what_stands_still_is_cut_before_the_deadline(link: SlowLink) -> None:
    with Engine.from_url(link.url, **SETTINGS) as engine:
        values = ValueMapping("v", ttl=60, engine=engine)
        values["a"] = LARGE
        threading.Timer(0.3, link.stands.set).start()
        threading.Timer(1.5, link.stands.clear).start()
        assert values["a"] == LARGE
        assert engine.status().replies_lost > 0


@pytest.mark.parametrize("way", ["put", "get"])
def test_a_call_over_a_slow_link_ends_by_its_deadline(link: SlowLink, way: str, machine_lag: MachineLag) -> None:
    with Engine.from_url(link.url, **SETTINGS) as engine:
        ValueMapping("v", ttl=60, engine=engine)["a"] = LARGE
    link.rate = 200_000
    with Engine.from_url(link.url, socket_timeout=STALL, deadline=1.0) as hasty:
        values = ValueMapping("v", ttl=60, engine=hasty)
        began = time.monotonic()
        with pytest.raises((OutcomeUnknown, ServerUnavailable)):
            values.put("b", LARGE) if way == "put" else values.get("a")
        assert time.monotonic() - began < 4.0 + machine_lag.slack


def test_a_popped_value_is_fetched_with_a_longer_deadline(link: SlowLink, server: Server) -> None:
    with Engine.from_url(server.url) as direct, Engine.from_url(link.url, socket_timeout=STALL, deadline=0.2) as hasty:
        ValueMapping("v", ttl=60, engine=direct)["job"] = LARGE
        with pytest.raises(OutcomeUnknown) as unknown:
            ValueMapping("v", ttl=60, engine=hasty).pop("job")
        time.sleep(STALL + 0.3)
        raised = None
        try:
            hasty.resolve(unknown.value)
        except OutcomeUnknown as error:
            raised = error
        assert raised is unknown.value
        assert hasty.resolve(unknown.value, deadline=30.0) == LARGE

    async def awaited() -> Any:
        async with AsyncEngine.from_url(link.url, socket_timeout=STALL, deadline=0.2) as engine:
            return await engine.resolve(unknown.value, deadline=30.0)

    assert asyncio.run(awaited()) == LARGE
