"""A value that is computed once: what callers get, when it is computed, and what is told of how that ended."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from redis_state import ComputeFailed
from redis_state.cache import RedisWordTimingCache
from redis_state.cache.word_timing import computing
from redis_state.lock.operations import Lease
from redis_state.single_flight.operations import Failed, Flight, Waits

names = st.sampled_from(["a", "b:c"])
NEWS_LIVE = 10.0  # seconds
NEGATIVE = 200.0


class Flights(Machine):
    """Values with what they have left; failures that are remembered; and the news."""

    indexed = "v"

    def start(self) -> None:
        self.real = RedisWordTimingCache(engine=self.engine, ttl=TTL)
        self.other = RedisWordTimingCache(engine=self.observer, ttl=TTL)
        self.values: dict[str, tuple[int, float]] = {}
        self.failures: dict[str, tuple[str, float]] = {}
        self.news: dict[str, tuple[str, str]] = {}

    def older(self, seconds: float) -> None:
        for held in (self.values, self.failures):
            for name, (what, left) in list(held.items()):
                held[name] = what, left - seconds  # type: ignore[index]
                if left < seconds:
                    del held[name]
        self.news = {}

    @rule(
        name=names,
        number=st.integers(0, 99),
        fails=st.booleans(),
        stale_for=st.sampled_from([0.0, 800.0]),
        negative_ttl=st.sampled_from([0.0, NEGATIVE, NEGATIVE]),
    )
    def get_or_compute(self, name: str, number: int, fails: bool, stale_for: float, negative_ttl: float) -> None:
        computed = []

        def compute() -> int:
            computed.append(name)
            if fails:
                raise RuntimeError(f"no {number}")
            return number

        def get() -> int:
            return self.real.get_or_compute(name, compute, stale_for=stale_for, negative_ttl=negative_ttl)

        value, left = self.values.get(name, (None, 0.0))
        failure = self.failures.get(name, (None, 0.0))[0]
        if value is not None and (left > stale_for or failure is not None):
            assert get() == value
            self.refusing = True
        elif failure is not None:
            with self.refused(ComputeFailed) as caught:
                get()
            assert caught.value.error == failure
        elif fails:
            with pytest.raises(RuntimeError, match=f"no {number}"):
                get()
            self.told(name, f"RuntimeError: no {number}", negative_ttl)
        else:
            assert get() == number
            self.values[name] = number, TTL + stale_for
            self.told(name, "", 0.0)
        assert bool(computed) is (not self.refusing)

    @precondition(lambda self: self.failures.keys() != {"a", "b:c"})
    @rule(name=names, how=st.sampled_from(["done", "failed", "unkept"]), why=st.sampled_from("xy"), waits=st.booleans())
    def others(self, name: str, how: str, why: str, waits: bool) -> None:
        """Let another caller compute it, while one more waits, or none does."""
        work = computing(self.real.cache.entries, name, negative_ttl=NEGATIVE)
        leads, follows = (Flight(self.engine, work, None) for _ in range(2))
        if name in self.failures:
            assert self.engine.run(leads._lead(waits=True)) == Failed(self.failures[name][0])
            return
        assert isinstance(self.engine.run(leads._lead(waits=True)), Lease)
        assert isinstance(self.engine.run(follows._lead(waits=waits)), Waits)
        self.engine.run(leads.end(how, why))
        self.told(name, why, NEGATIVE if how == "failed" else 0.0)
        if waits:
            self.news[name] = how, why

    def told(self, name: str, error: str, kept: float) -> None:
        if kept:
            self.failures[name] = error, kept

    @rule(name=names, number=st.integers(0, 99))
    def put(self, name: str, number: int) -> None:
        self.real.cache[name] = number
        self.values[name] = number, TTL

    @rule(name=names)
    def delete(self, name: str) -> None:
        assert self.real.cache.delete(name) is (self.values.pop(name, None) is not None)

    def agrees(self, snapshot: Snapshot) -> None:
        assert {name: self.other.cache[name] for name in snapshot.of("v")} == {
            name: value for name, (value, _) in self.values.items()
        }
        assert all(near(seen.left, self.values[name][1]) for name, seen in snapshot.of("v").items())
        failures = snapshot.of("y")
        assert {name: seen.holds for name, seen in failures.items()} == {
            name: error for name, (error, _) in self.failures.items()
        }
        assert all(near(seen.left, self.failures[name][1]) for name, seen in failures.items())
        assert not snapshot.of("l"), "the lock was released"
        assert not snapshot.of("f"), "no name leaves a token"
        assert not snapshot.of("t"), "no caller waits any more"
        if self.timely:
            news = {name: [tuple(fields) for _, fields in seen.holds] for name, seen in snapshot.of("n").items()}
            assert news == {name: [told] for name, told in self.news.items()}
            assert all((seen.left or 0) <= NEWS_LIVE for seen in snapshot.of("n").values())


@everywhere
def test_flights_equal_their_model(kind: str) -> None:
    run(Flights, kind, examples=25)
