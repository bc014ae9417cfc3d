"""A server whose clock jumps while a reply is lost: one effect, and no answer that the data belies."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from redis_state import Engine, NotApplied, OutcomeUnknown, RecordMapping
from redis_state.engine.inflight import RECORD_KEPT_MS
from redis_state.engine.registry import _source
from tests.support.clock import SteppedServer
from tests.support.proxy import Proxy

FAR = 3600.0  # seconds; a call's record lives for 900


@pytest.fixture
def proxy(stepped: SteppedServer) -> Iterator[Proxy]:
    with Proxy(stepped.socket_path) as between:
        yield between


class Counter:
    """A number in a record, an engine that adds to it through a proxy, and the truth."""

    def __init__(self, stepped: SteppedServer, engine: Engine, proxy: Proxy) -> None:
        self.stepped, self.engine, self.proxy = stepped, engine, proxy
        self.records = RecordMapping("clock", ttl=30 * 86400, engine=engine)
        self.records.increment("a", "n", 0)

    @property
    def value(self) -> int:
        with self.stepped.client() as client:
            return int(client.hget("rs:{clock}:r:a", "n") or 0)

    def add_without_answer(self, ran: bool = True) -> OutcomeUnknown:
        """Add 1; the server does, or the request never reaches it, and nothing is heard of it."""
        self.proxy.blackhole(only=("EVALSHA", "EVAL"), execute=ran)
        with pytest.raises(OutcomeUnknown) as unknown:
            self.records.increment("a", "n")
        self.proxy.blackhole(False)
        return unknown.value

    def told(self, unknown: OutcomeUnknown) -> Any:
        """What ``resolve`` says: it returns, or raises."""
        try:
            return self.engine.resolve(unknown)
        except (NotApplied, OutcomeUnknown) as error:
            return error


@pytest.fixture
def counter(stepped: SteppedServer, proxy: Proxy) -> Iterator[Counter]:
    with Engine.from_url(proxy.url, deadline=1.0, socket_timeout=0.2) as engine:
        yield Counter(stepped, engine, proxy)


def test_a_step_forward_between_two_copies_gives_no_second_effect(stepped: SteppedServer, proxy: Proxy) -> None:
    with Engine.from_url(proxy.url, deadline=30.0, socket_timeout=0.3) as engine:
        counter = Counter(stepped, engine, proxy)
        said: list[Any] = []

        def add() -> None:
            try:
                said.append(counter.records.increment("a", "n"))
            except OutcomeUnknown as unknown:
                said.append(unknown)

        proxy.blackhole(only=("EVALSHA", "EVAL"))
        adding = threading.Thread(target=add)
        adding.start()
        end = time.monotonic() + 20
        while not counter.value and time.monotonic() < end:
            time.sleep(0.01)
        stepped.step(FAR)
        proxy.blackhole(False)
        adding.join(40)
        assert counter.value == 1
        assert isinstance(said[0], OutcomeUnknown)
        assert "only the data tells" in str(said[0])
        assert isinstance(counter.told(said[0]), OutcomeUnknown)
        assert counter.records.increment("a", "n") == 2  # calls after it are well


def test_a_small_step_is_not_felt(counter: Counter, stepped: SteppedServer) -> None:
    stepped.step(20)
    assert counter.records.increment("a", "n") == 1
    stepped.step(-40)
    assert counter.records.increment("a", "n") == 2


@pytest.mark.parametrize("jump", [FAR, -FAR])
def test_a_step_alone_is_not_felt(counter: Counter, stepped: SteppedServer, jump: float) -> None:
    stepped.step(jump)
    assert [counter.records.increment("a", "n") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("learned", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("ran", [True, False])
@pytest.mark.parametrize(("wrong", "corrected"), [(-FAR, FAR), (0.0, FAR), (FAR, -FAR), (0.0, -FAR)])
def test_no_resolve_says_what_the_data_belies(
    counter: Counter, stepped: SteppedServer, wrong: float, corrected: float, ran: bool, learned: bool
) -> None:
    stepped.step(wrong)
    if learned:
        counter.records.increment("a", "n", 0)
    unknown = counter.add_without_answer(ran)
    stepped.step(corrected)
    told = counter.told(unknown)
    assert not (isinstance(told, NotApplied) and counter.value), told
    assert isinstance(told, NotApplied | OutcomeUnknown) or (told, counter.value) == (1, 1)


def test_soon_after_its_time_the_outcome_is_told(counter: Counter) -> None:
    assert counter.told(counter.add_without_answer()) == 1
    unknown = counter.add_without_answer(ran=False)
    counter.stepped.step(5)
    assert isinstance(counter.told(unknown), NotApplied)
    assert counter.value == 1


def test_how_long_absence_is_proof_follows_from_how_long_records_live() -> None:
    kept, early = (int(re.search(rf"{name} *= '?(\d+)", _source("lib/once"))[1]) for name in ("KEPT_MS", "EARLY_MS"))  # type: ignore[index]
    assert kept - early == RECORD_KEPT_MS
