"""What the application's signal handlers do inside our calls, and what is left of a call that they end."""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  # what is imported at the first look-up, and left half done by an interrupt
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, OutcomeUnknown, ServerUnavailable
from redis_state.cache import RedisWordTimingCache
from redis_state.engine._place import greet
from redis_state.engine.op import command
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server

PING = command(None, "PING", read=bytes)


class Own(TimeoutError):
    """The application's own; an OSError, like what sockets raise."""


@pytest.fixture
def stalled() -> Iterator[Server]:
    with Server(tcp=True) as server:
        yield server
        server.resume()


@pytest.fixture
def alarm() -> Iterator[Callable[..., None]]:
    """Have a signal handler called after so many seconds, and then again and again."""

    def arm(handler: Callable[..., Any], after: float, again: float = 0.0) -> None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, after, again)

    before = signal.getsignal(signal.SIGALRM)
    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def too_late(*_: object) -> None:
    raise Own("the application's own")


@pytest.mark.parametrize("kind", [Own, ConnectionResetError, BlockingIOError, InterruptedError, ZeroDivisionError])
@pytest.mark.parametrize("connected", [True, False])
def test_what_a_signal_handler_raises_in_a_call_reaches_the_caller(
    stalled: Server, alarm: Callable[..., None], kind: type[Exception], connected: bool, machine_lag: MachineLag
) -> None:
    def handler(*_: object) -> None:
        raise kind("the application's own")

    with Engine.from_url(stalled.url, deadline=5.0) as engine:
        if connected:
            engine.run(PING)
        stalled.pause()
        alarm(handler, 0.1)
        began = time.monotonic()
        with pytest.raises(kind, match="own"):
            engine.run(PING)
        assert time.monotonic() - began < 4.0 + machine_lag.slack
        stalled.resume()
        assert engine.run(PING) == b"PONG"
        assert engine.status().connections == 1


@pytest.mark.parametrize("kind", [Own, ValueError])
def test_what_a_signal_handler_raises_while_a_value_is_stored_reaches_the_caller(
    stalled: Server, alarm: Callable[..., None], kind: type[Exception]
) -> None:
    def handler(*_: object) -> None:
        raise kind("the application's own")

    def computed() -> str:
        stalled.pause()
        alarm(handler, 0.3)
        return "value"

    with Engine.from_url(stalled.url, deadline=2.0) as engine:
        with pytest.raises(kind, match="own"):
            RedisWordTimingCache(engine=engine).get_or_compute("k", computed)


def test_what_a_signal_handler_raises_in_a_large_reply_reaches_the_caller(
    stalled: Server, alarm: Callable[..., None]
) -> None:
    with Engine.from_url(stalled.url, deadline=5.0) as engine, stalled.client() as admin:
        admin.set("large", "x" * 50_000_000)
        alarm(too_late, 0.01)
        with pytest.raises(Own):
            for _ in range(200):
                engine.run(command(None, "GET", "large", read=len))
        assert engine.run(PING) == b"PONG"


def test_what_a_signal_handler_raises_in_an_awaited_call_reaches_the_caller(
    stalled: Server, alarm: Callable[..., None], machine_lag: MachineLag
) -> None:
    async def ask() -> None:
        async with AsyncEngine.from_url(stalled.url, deadline=5.0) as engine:
            await engine.run(PING)
            stalled.pause()
            alarm(too_late, 0.1)
            await engine.run(PING)

    began = time.monotonic()
    with pytest.raises(Own):
        asyncio.run(ask())
    assert time.monotonic() - began < 4.0 + machine_lag.slack


def test_signals_that_come_again_and_again_prolong_no_call(
    stalled: Server, alarm: Callable[..., None], machine_lag: MachineLag
) -> None:
    with Engine.from_url(stalled.url, deadline=0.3, socket_timeout=0.2) as engine:
        engine.run(PING)
        stalled.pause()
        alarm(lambda *_: None, 0.01, 0.01)
        began = time.monotonic()
        with pytest.raises(ServerUnavailable):
            engine.run(PING)
        assert time.monotonic() - began < 3.0 + machine_lag.slack


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # raised in a hook of the collector's
@pytest.mark.parametrize("pause", [0.0003, 0.0007, 0.002])
def test_interrupted_calls_leave_no_connections_behind(
    stalled: Server, alarm: Callable[..., None], pause: float
) -> None:
    gc.collect()  # what earlier tests left is not finalized in here, where a handler raises
    with Engine.from_url(stalled.url) as engine, stalled.client() as admin:
        done, interrupted, end = 0, 0, time.monotonic() + 2.0
        with suppress(Own):  # at the very end
            while time.monotonic() < end:
                try:
                    while time.monotonic() < end:
                        alarm(too_late, pause)  # anew: what a handler raises in a finalizer is lost
                        for _ in range(50):
                            engine.run(PING)
                            done += 1
                except Own:
                    interrupted += 1
        for _ in range(2):  # the first one may be interrupted itself
            with suppress(Own):
                signal.setitimer(signal.ITIMER_REAL, 0)
        gc.collect()  # an interrupt may leave a connection to the collector
        assert interrupted > 20
        assert engine.run(PING) == b"PONG"
        status = engine.status()
        assert status.connections == 1
        assert status.calls >= done
        assert len(engine._states) <= 2  # of some hundred; the last one may stand in a traceback yet
        left = time.monotonic() + 5.0
        while (held := len(admin.client_list())) > 2 and time.monotonic() < left:
            time.sleep(0.01)
        assert held == 2


def test_an_engine_is_closed_from_a_later_loop(stalled: Server) -> None:
    engine = AsyncEngine.from_url(stalled.url)

    async def several() -> None:
        await asyncio.gather(*(engine.run(PING) for _ in range(3)))

    with stalled.client() as admin:
        asyncio.run(several())
        asyncio.run(engine.close())
        left = time.monotonic() + 5.0
        while (held := len(admin.client_list())) > 1 and time.monotonic() < left:
            time.sleep(0.01)
        assert held == 1
        asyncio.run(several())
        asyncio.run(several())
        asyncio.run(engine.close())
        assert engine.status().connections == 0


def test_a_call_that_waits_for_a_place_ends_by_its_deadline(stalled: Server, machine_lag: MachineLag) -> None:
    async def several() -> tuple[float, list[Any]]:
        async with AsyncEngine.from_url(stalled.url, deadline=0.4, socket_timeout=0.2, max_connections=2) as engine:
            await engine.run(PING)
            stalled.pause()
            began = time.monotonic()
            outcomes = await asyncio.gather(*(engine.run(PING) for _ in range(30)), return_exceptions=True)
            return time.monotonic() - began, outcomes

    took, outcomes = asyncio.run(several())
    assert {type(outcome) for outcome in outcomes} == {ServerUnavailable}
    assert any("max_connections" in str(outcome) for outcome in outcomes)
    assert took < 2.5 + machine_lag.slack


def test_of_many_operations_only_the_first_write_waits_for_a_silent_server(
    stalled: Server, machine_lag: MachineLag
) -> None:
    with Engine.from_url(stalled.url, deadline=0.3, socket_timeout=0.2) as engine:
        engine.run(PING)
        stalled.pause()
        began = time.monotonic()
        outcomes = engine.run_all([PING] * 5000, return_exceptions=True)
        assert time.monotonic() - began < 2.5 + machine_lag.slack
        assert {type(outcome) for outcome in outcomes} == {ServerUnavailable}
        assert "not sent" in str(outcomes[-1])


def test_a_late_answer_can_be_waited_for_longer(stalled: Server) -> None:
    with Engine.from_url(stalled.url, deadline=0.3, socket_timeout=0.2) as engine:
        stalled.pause()
        with pytest.raises(OutcomeUnknown) as unknown:
            raise OutcomeUnknown("text", command(None, "GET", "a", read=lambda reply: reply))
        began = time.monotonic()
        threading.Timer(1.0, stalled.resume).start()
        assert engine.resolve(unknown.value, deadline=20.0) is None
        assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("host", ["a" * 70, "name.invalid", "..."])
def test_a_host_without_an_address_is_told(host: str) -> None:
    with (
        Engine.from_url(f"redis://{host}", deadline=0.3) as engine,
        pytest.raises(ServerUnavailable, match="no answer from a server"),
    ):
        engine.run(PING)


def test_a_frozen_embedded_server_prolongs_no_call(machine_lag: MachineLag) -> None:
    with Engine.from_url("embedded://", deadline=0.4, socket_timeout=0.2) as engine:
        engine.run(PING)
        assert engine._embedded is not None
        pid = engine._embedded.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            took = []

            def ask() -> None:
                began = time.monotonic()
                with pytest.raises(ServerUnavailable):
                    engine.run(PING)
                took.append(time.monotonic() - began)

            threads = [threading.Thread(target=ask) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert len(took) == 6
        assert max(took) < 3.0 + machine_lag.slack
        assert engine.run(PING) == b"PONG"


def test_an_alarm_comes_through_the_greeting_of_an_embedded_server(alarm: Callable[..., None], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()

        def ring(*_: object) -> None:
            raise Own

        alarm(ring, 0.05)
        with pytest.raises(Own):
            greet(tmp_path / "socket")
