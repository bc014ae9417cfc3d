"""Progress counts a set, whatever is marked in whatever order; completion is held by at most one, until confirmed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from redis_state import Engine, SegmentOutOfRange, UnknownSession
from redis_state.state import Progress, RedisProgressState

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from servers import Server, available

totals = st.integers(1, 9)
segments = st.integers(-1, 9)


class Marking(RuleBasedStateMachine):
    """One run, marked by two containers; the model is the set of its segments."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.states = [RedisProgressState(container_id=name, engine=self.engine) for name in ("c1", "c2")]
        self.total: int | None = None
        self.seen: set[int] = set()
        self.status = "processing"
        self.unconfirmed = False

    @initialize()
    def start(self) -> None:
        self.states[0].segment_progress.clear()
        self.states[0].confirm_completion("t")

    def expected(self, *, now: bool = False) -> Progress:
        assert self.total is not None
        return Progress(len(self.seen), self.total, self.status, now)

    @rule(total=totals, who=st.integers(0, 1))
    def begin(self, total: int, who: int) -> None:
        if self.total not in (None, total):
            with pytest.raises(ValueError, match="restart"):
                self.states[who].begin("t", total)
            return
        self.total = total
        assert self.states[who].begin("t", total) == self.expected()

    @rule(total=totals)
    def restart(self, total: int) -> None:
        self.total, self.seen, self.status, self.unconfirmed = total, set(), "processing", False
        assert self.states[0].begin("t", total, restart=True) == self.expected()

    @rule(segment=segments, who=st.integers(0, 1))
    def mark(self, segment: int, who: int) -> None:
        state = self.states[who]
        if self.total is None:
            with pytest.raises(UnknownSession):
                state.mark("t", segment)
        elif not 0 <= segment < self.total:
            with pytest.raises(SegmentOutOfRange):
                state.mark("t", segment)
        else:
            self.seen.add(segment)
            now = len(self.seen) == self.total and self.status == "processing"
            if now:
                self.status, self.unconfirmed = "completed", True
            assert state.mark("t", segment) == self.expected(now=now)

    @precondition(lambda self: self.total is not None and self.status == "processing")
    @rule()
    def mark_all(self) -> None:
        assert self.total is not None
        told = [self.states[segment % 2].mark("t", segment).completed_now for segment in range(self.total)]
        assert sum(told) == 1
        self.seen, self.status, self.unconfirmed = set(range(self.total)), "completed", True

    @precondition(lambda self: self.total is not None)
    @rule()
    def fail(self) -> None:
        self.status, self.unconfirmed = "failed", False
        assert self.states[0].fail("t", "x") == self.expected()

    @rule(who=st.integers(0, 1))
    def confirm(self, who: int) -> None:
        assert self.states[who].confirm_completion("t") is self.unconfirmed
        self.unconfirmed = False

    @rule()
    def claim_in_its_lease(self) -> None:
        assert self.states[1].claim_completion("t") is None

    @precondition(lambda self: self.unconfirmed)
    @rule()
    def claim_after_its_lease(self) -> None:
        """The lease ends: the test moves it into the past, which is all that time would do."""
        state = self.states[1]
        self.server.zadd(state.segment_progress.entries.keys.completions("t"), {"t": 1})
        assert state.pending_completions() == ["t"]
        assert state.claim_completion("t") == self.expected(now=True)
        assert state.claim_completion("t") is None

    server: Any

    @precondition(lambda self: self.total is not None)
    @rule(end=st.sampled_from(["delete", "pop"]))
    def remove(self, end: str) -> None:
        getattr(self.states[0].segment_progress, end)("t")
        self.states[0].confirm_completion("t")
        self.total, self.seen, self.status, self.unconfirmed = None, set(), "processing", False

    @precondition(lambda self: self.total is not None)
    @rule(title=st.text("ab", max_size=3))
    def write_beside(self, title: str) -> None:
        self.states[0].segment_progress["t"]["title"] = title

    @invariant()
    def equal(self) -> None:
        for state in self.states:
            assert state.get("t") == (None if self.total is None else self.expected())
        if self.total is not None:
            assert self.states[0].segment_progress["t"]["processed_segments"] == len(self.seen)


class Advancing(RuleBasedStateMachine):
    """One run, advanced; the model is a number kept between nothing and the total."""

    engine: Engine
    server: Any

    @initialize(total=totals)
    def start(self, total: int) -> None:
        self.state = RedisProgressState(engine=self.engine)
        self.total, self.count, self.told = total, 0, 0
        self.state.begin("a", total, restart=True)

    @rule(by=st.integers(-12, 12))
    def advance(self, by: int) -> None:
        if self.count < self.total:
            self.count = max(0, min(self.total, self.count + by))
        found = self.state.advance("a", by)
        self.told += found.completed_now
        assert found.processed == self.count
        assert self.told == (self.count == self.total)

    @invariant()
    def bounded(self) -> None:
        found = self.state.get("a")
        assert found is not None
        assert 0 <= found.processed == self.count <= self.total


@pytest.fixture(scope="module", params=sorted(available()))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


@pytest.mark.parametrize("machine", [Marking, Advancing])
def test_progress_equals_its_model(server: Server, machine: type[RuleBasedStateMachine]) -> None:
    with Engine.from_url(server.url) as engine, server.client() as client:
        bound = type("Machine", (machine,), {"engine": engine, "server": client})
        bounded = settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_machine(bound, settings=bounded)
