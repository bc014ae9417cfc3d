"""An engine may be closed at any time, from any thread; its users connect again."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from redis_state import Engine, RecordMapping
from redis_state.aio import AsyncEngine
from tests.support.servers import Server

ROUNDS = 60


@pytest.fixture
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def all_at_once(*works: Callable[[], None]) -> list[BaseException]:
    failed = list[BaseException]()

    def told(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=told, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return failed


@pytest.mark.usefixtures("quick_switches")
def test_threads_close_an_engine_that_others_use(server: Server, prefix: str) -> None:
    engine = Engine.from_url(server.url, prefix=prefix)
    mapping = RecordMapping("things", ttl=60, engine=engine)

    def use() -> None:
        for _ in range(ROUNDS):
            mapping.increment("k", "n")

    def close() -> None:
        for _ in range(20 * ROUNDS):
            engine.close()

    assert all_at_once(use, use, use, close, close, close) == []
    assert mapping["k"]["n"] == 3 * ROUNDS


class Connections(deque[Any]):
    """Idle connections that let another thread come between a look at them and what follows from it."""

    def __init__(self, between: threading.Barrier) -> None:
        super().__init__([SimpleNamespace(close=lambda: None)])
        self.between = between

    def __len__(self) -> int:
        seen = super().__len__()
        with suppress(threading.BrokenBarrierError):
            self.between.wait(5)
        return seen


@pytest.mark.parametrize("kind", [Engine, AsyncEngine])
def test_another_thread_takes_the_last_connection_meanwhile(kind: type[Engine | AsyncEngine], server: Server) -> None:
    engine = kind.from_url(server.url)
    engine._idle = Connections(threading.Barrier(2))

    def close() -> None:
        ended = engine.close()
        if ended is not None:
            asyncio.run(ended)

    assert all_at_once(close, close) == []
