"""An object on the default engine goes from one engine to the next as a whole, whatever other threads do."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator

import pytest

import redis_state
from redis_state import Engine, RecordMapping
from redis_state.engine.binding import Binding
from redis_state.keys import Keys
from tests.support.servers import Server


@pytest.fixture
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    redis_state.configure("redis://localhost")


@pytest.mark.usefixtures("quick_switches")
def test_configure_in_another_thread_parts_no_engine_from_its_keys(server: Server, prefix: str) -> None:
    mapping = RecordMapping("things", ttl=60)
    prefixes = [f"{prefix}-{name}" for name in "ab"]
    redis_state.configure(server.url, prefix=prefixes[0])
    over, counted, apart = threading.Event(), [0] * 3, list[tuple[str, str]]()

    def count(me: int) -> None:
        while not over.is_set():
            for _ in range(200):
                engine, entries = mapping._bound.here()
                if engine.settings.prefix != entries.keys.prefix:
                    apart.append((engine.settings.prefix, entries.keys.prefix))
            mapping.increment("k", "n")
            counted[me] += 1

    threads = [threading.Thread(target=count, args=(me,)) for me in range(len(counted))]
    for thread in threads:
        thread.start()
    try:
        for turn in range(60):
            redis_state.configure(server.url, prefix=prefixes[turn % 2])
            over.wait(0.01)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert apart == []
    assert all(counted), "a thread ended before its time"
    added = 0
    for one in prefixes:
        engine = Engine.from_url(server.url, prefix=one)
        added += RecordMapping("things", ttl=60, engine=engine)["k"]["n"]
    assert added == sum(counted)


def keys_of(engine: Engine) -> Keys:
    return engine.keys("things")


def test_threads_that_come_first_at_once_share_what_is_made(server: Server) -> None:
    meeting = threading.Barrier(4)

    def make(_: Engine) -> object:
        meeting.wait(20)
        return object()

    bound, found = Binding(Engine.from_url(server.url), make), list[object]()
    threads = [threading.Thread(target=lambda: found.append(bound.here()[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert all(made is found[0] for made in found)
    assert bound.here()[1] is found[0]


@pytest.mark.usefixtures("quick_switches")
def test_a_binding_goes_to_another_process_without_its_engine(server: Server, prefix: str) -> None:
    redis_state.configure(server.url, prefix=prefix)
    bound = Binding(None, keys_of)
    engine, keys = bound.here()
    there = pickle.loads(pickle.dumps(bound)).here()
    assert there[0] is engine
    assert (there[1].namespace, there[1].prefix) == (keys.namespace, keys.prefix)
