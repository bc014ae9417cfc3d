"""However the steps of several callers fall between each other: one computes a value, and all have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count, repeat
from time import sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_state import Engine
from redis_state.cache import RedisWordTimingCache
from redis_state.errors import ComputeFailed
from tests.support.servers import Server

PAUSES = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.002, 0.005]), max_size=6)
_names = count()


class Dawdler(Engine):
    """An engine that waits before each round trip, as long as it is told."""

    pauses: Iterator[float] = repeat(0.0)

    def run(self, op: Any) -> Any:
        sleep(next(self.pauses))
        return super().run(op)

    def run_all(self, ops: Any, **options: Any) -> Any:
        sleep(next(self.pauses))
        return super().run_all(ops, **options)


class Failed(Exception):
    pass


@pytest.fixture(scope="module")
def callers() -> Iterator[list[RedisWordTimingCache]]:
    with Server() as server:
        engines = [Dawdler.from_url(server.url) for _ in range(3)]
        yield [RedisWordTimingCache(engine=engine) for engine in engines]
        for engine in engines:
            engine.close()


@settings(max_examples=250, deadline=None)
@given(pauses=st.lists(PAUSES, min_size=3, max_size=3), fails=st.booleans())
def test_of_all_callers_one_computes(
    callers: Sequence[RedisWordTimingCache], pauses: list[list[float]], fails: bool
) -> None:
    name = f"value {next(_names)}"
    computed: list[int] = []

    def call(place: int) -> Any:
        def compute() -> int:
            sleep(0.001)
            computed.append(place)
            if fails:
                raise Failed
            return place

        cache = callers[place]
        cache.cache.engine.pauses = chain(pauses[place], repeat(0.0))  # type: ignore[attr-defined]
        try:
            return cache.get_or_compute(name, compute, negative_ttl=60.0)
        except (Failed, ComputeFailed) as error:
            return type(error)

    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(call, range(3)))
    assert len(computed) == 1
    if fails:
        assert got == [Failed if place in computed else ComputeFailed for place in range(3)]
    else:
        assert got == computed * 3
