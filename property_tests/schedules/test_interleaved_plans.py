"""Operations of several round trips, run step by step in any order: each has the outcome of one that ran alone.

Nothing here is left to chance but the order: one engine runs now a step of this plan, now a step of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_state import Engine
from redis_state.cache import RedisTextCache
from redis_state.cache.text import maintenance
from redis_state.cache.text.writes import TextOperations
from redis_state.engine.op import Op, Pause, command
from redis_state.keys import Keys
from redis_state.lock import operations as lock
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.value_operations import ValueOperations
from tests.support.servers import Server

orders = st.lists(st.integers(0, 2), max_size=30)
several = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Server() as server, Engine.from_url(server.url) as made:
        yield made


def interleaved(engine: Engine, plans: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """Run plans to their ends, the next step always of the plan that ``order`` says. Return what they return."""
    results: dict[int, Any] = {}
    waiting = {place: next(plan) for place, plan in enumerate(plans)}
    turns = iter(order)
    while waiting:
        place = next(turns, min(waiting))
        if place not in waiting:
            continue
        step = waiting.pop(place)
        try:
            waiting[place] = plans[place].send(None if isinstance(step, Pause) else _run(engine, step))
        except StopIteration as end:
            results[place] = end.value
    return [results[place] for place in range(len(plans))]


def _run(engine: Engine, step: Any) -> Any:
    return engine.run(step) if isinstance(step, Op) else engine.run_all(step)


@several
@given(order=orders)
def test_no_mutation_is_lost(engine: Engine, order: list[int]) -> None:
    records = RecordOperations(Keys("plans"), 60.0)
    engine.run(records.put("a", {"n": 0}))

    def add(fields: dict[str, Any]) -> None:
        fields["n"] += 1

    results = interleaved(engine, [records.mutate("a", add) for _ in range(3)], order)
    assert sorted(fields["n"] for fields, _ in results) == [1, 2, 3]


@several
@given(order=orders)
def test_one_of_several_sets_the_default(engine: Engine, order: list[int]) -> None:
    values = ValueOperations(Keys("plans"), 60.0)
    engine.run(values.remove("a"))
    results = interleaved(engine, [values.set_default("a", number) for number in range(3)], order)
    assert set(results) == {engine.run(values.get("a"))}


@several
@given(order=orders)
def test_each_entry_is_taken_by_one(engine: Engine, order: list[int]) -> None:
    values = ValueOperations(Keys("plans"), 60.0)
    engine.run_all([values.put(name, 1) for name in "ab"])
    results = interleaved(engine, [values.pop_any() for _ in range(3)], order)
    assert sorted(found[0] for found in results if found) == ["a", "b"]


def test_the_wake_up_of_one_who_leaves_reaches_the_next(engine: Engine) -> None:
    keys = Keys("plans")
    holder, leaver, patient = (lock.Request(keys, "a", 60.0, "c1") for _ in range(3))
    engine.run_all([lock.attempt(want, 60.0, queue=True) for want in (holder, leaver, patient)])
    engine.run(lock.release(holder))
    take = command(keys, "LPOP", keys.key("wake", "a"), read=bool)
    assert engine.run(take)  # as the leaver does, who then has no time to try the lock
    engine.run(lock.leave(leaver))
    assert engine.run(take)


@several
@given(order=orders, sizes=st.tuples(st.integers(0, 9000), st.integers(0, 9000)))
def test_an_account_is_mended_while_others_write(engine: Engine, order: list[int], sizes: tuple[int, int]) -> None:
    cache = RedisTextCache(engine=engine, budget=10**6)
    texts = cache.cache.entries
    cache.put_many({"a": "x" * 500, "b": "y"})
    _spoil(engine, texts)
    writes = [texts.put_text(name, "z" * size) for name, size in zip("ac", sizes, strict=True)]
    interleaved(engine, [maintenance.repair(texts), *writes], order)
    found = cache.check()
    assert (found.drift, found.faults, found.entries) == (0, 0, 3)
    cache.clear()


def _spoil(engine: Engine, texts: TextOperations) -> None:
    """Account 1000 bytes that are nobody's."""
    (shard,) = texts.keys.parts
    found = engine.run(maintenance.page(shard, 0))
    engine.run(maintenance.REPAIR(shard, packed=found.packed, bytes=found.bytes + 1000, count=found.entries))
