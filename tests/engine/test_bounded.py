"""Every public method ends by its deadline and one socket time-out, whatever the server does.

The server is frozen, drips, or takes no connection, and a timer interrupts all that waits. An operation with a
time-out of its own ends by that, and one socket time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, RedisStateError
from tests.support.drip import Silence
from tests.support.every_method import (
    AWAITED,
    BLOCKING,
    PREPARED,
    PREPARED_AWAITED,
    Method,
    classes_without_a_line,
    methods,
)
from tests.support.servers import Server

DEADLINE, SOCKET_TIMEOUT = 0.3, 0.2
LIMIT = DEADLINE + SOCKET_TIMEOUT + 2.5  # seconds; the machine may be busy
HOPELESS = 20.0  # seconds after which a call is taken to never end
SETTINGS: dict[str, Any] = {
    "deadline": DEADLINE,
    "socket_timeout": SOCKET_TIMEOUT,
    "connect_timeout": SOCKET_TIMEOUT,
}
HOW = ("frozen", "drips", "takes no connection")


@contextlib.contextmanager
def interrupted(silence: Silence) -> Iterator[None]:
    """Interrupt the main thread again and again, with a handler that does nothing; end the silence when it is hopeless.

    SIGALRM is left to the runner of the tests.
    """
    main, over, end = threading.get_ident(), threading.Event(), time.monotonic() + HOPELESS
    before = signal.signal(signal.SIGUSR1, lambda *_: None)

    def interrupt() -> None:
        while not over.wait(0.02):
            signal.pthread_kill(main, signal.SIGUSR1)
            if time.monotonic() > end:
                silence.end()
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        silence.end()


@pytest.fixture(params=HOW)
def silence(request: pytest.FixtureRequest) -> Iterator[Silence]:
    with Server(tcp=True) as server, Silence(server, request.param) as made:
        yield made


def subjects(silence: Silence, simple: dict[type, Any], prepared: dict[type, Any]) -> list[Method]:
    return [*methods(simple), *(methods(prepared) if silence.how != "takes no connection" else ())]


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    try:
        outcome = what()
    except Exception as error:
        outcome = error
    return time.monotonic() - began, outcome


def judge(outcomes: dict[Method, tuple[float, Any]], expected: list[Method]) -> None:
    """Each has ended, in time, with an error of ours or what it says without a server."""
    endless = [method.label for method in expected if method not in outcomes]
    assert not endless, "they never end"
    late = {method.label: took for method, (took, _) in outcomes.items() if took > LIMIT}
    assert not late
    wrong = {
        method.label: repr(outcome)
        for method, (_, outcome) in outcomes.items()
        if isinstance(outcome, BaseException) and not isinstance(outcome, RedisStateError)
    }
    assert not wrong
    answered = {
        method.label: repr(outcome)
        for method, (_, outcome) in outcomes.items()
        if not isinstance(outcome, Exception) and not method.is_local
    }
    assert not answered


def test_every_public_class_has_a_line() -> None:
    assert classes_without_a_line() == set()


def test_every_blocking_method_ends_in_time(silence: Silence) -> None:
    outcomes: dict[Method, tuple[float, Any]] = {}
    with Engine.from_url(silence.url, **SETTINGS) as engine:
        expected = subjects(silence, BLOCKING, PREPARED)
        things = {method: method.make(engine, f"{method.label}-name") for method in expected}

        def call(method: Method) -> None:
            outcomes[method] = timed(lambda: method.call(things[method]))

        in_main = {method.cls: method for method in expected if method.name in ("get", "acquire", "update", "run")}
        threads = [
            threading.Thread(target=call, args=(method,), daemon=True)
            for method in expected
            if method not in in_main.values()
        ]
        silence.begin()
        with interrupted(silence):
            for thread in threads:
                thread.start()
            for method in in_main.values():
                call(method)
            for thread in threads:
                thread.join(HOPELESS)
    judge(outcomes, expected)


def test_every_awaited_method_ends_in_time(silence: Silence) -> None:
    outcomes: dict[Method, tuple[float, Any]] = {}
    expected = subjects(silence, AWAITED, PREPARED_AWAITED)

    async def call(method: Method, thing: Any) -> None:
        began = time.monotonic()
        try:
            outcome = await method.awaited(thing)
        except Exception as error:
            outcome = error
        outcomes[method] = time.monotonic() - began, outcome

    async def main() -> None:
        async with AsyncEngine.from_url(silence.url, **SETTINGS, max_connections=8) as engine:
            things = {}
            for method in expected:
                thing = method.make(engine, f"{method.label}-name")
                things[method] = await thing if hasattr(thing, "__await__") else thing
            tasks = [asyncio.ensure_future(call(method, things[method])) for method in expected]
            silence.begin()
            with interrupted(silence):
                await asyncio.wait(tasks, timeout=HOPELESS)
            for task in tasks:
                task.cancel()

    asyncio.run(main())
    judge(outcomes, expected)
