"""Calls while the server's clock is stepped: at most one effect, and never an answer that the data belies.

A copy is sent and its reply is heard, or lost, and then it may arrive again late; before each of these the clock may
jump by up to an hour, and connections learn it anew. One thing alone is left out: a clock that runs ahead until a
record is gone, and is then set back, so that a copy finds its time come again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from property_tests.servers import STRESS
from redis_state import Engine, NotApplied, OutcomeUnknown
from redis_state.engine.inflight import ConnectionState, InFlight, Next
from redis_state.engine.op import Broken
from redis_state.engine.registry import all_scripts
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations
from tests.support.clock import SteppedServer, steppable, why_not
from tests.support.servers import available

DEADLINE = 10.0
KEPT = 900.0  # seconds that a record lives
RECORDS = RecordOperations(Keys("clock", prefix="t"), 40 * 86400.0)
JUMPS = (0.0, 0.0, 20.0, -400.0, 1200.0, -1200.0, 3600.0, -3600.0)  # seconds
stories = st.lists(
    st.tuples(st.sampled_from(JUMPS), st.sampled_from(["lost", "lost", "lost", "heard", "late", "learn", "resolve"])),
    min_size=2,
    max_size=6,
)


@pytest.fixture(scope="module", params=[*available()])
def server(request: pytest.FixtureRequest) -> Iterator[SteppedServer]:
    if reason := why_not(available()[request.param]):
        pytest.skip(reason)
    with SteppedServer(steppable()[request.param]) as running:
        yield running


class World:
    """A server, one call that adds 1 there, and what was said of it."""

    def __init__(self, server: SteppedServer, engine: Engine) -> None:
        self.server, self.engine = server, engine
        self.state = ConnectionState()
        self.call = InFlight(RECORDS.increment("a", "n"), deque())
        self.copies: list[bytes] = []
        self.outcome: Any = None
        self.acted_at: float | None = None
        self.learn()
        self.deadline = time.monotonic() + DEADLINE

    def now(self) -> float:
        with self.server.client() as client:
            seconds, micros = client.time()
        return seconds + micros / 1e6

    def learn(self) -> None:
        self.state.clock = self.now() - time.monotonic()

    def step(self, seconds: float) -> None:
        if seconds < 0 and self.acted_at is not None:
            assume(self.now() < self.acted_at + KEPT)
        self.server.step(seconds)

    def say(self, payload: bytes) -> Any:
        with self.server.client(decode_responses=False) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_packed_command([payload])
                return connection.read_response()
            finally:
                client.connection_pool.release(connection)
                self.look()

    def look(self) -> None:
        count = self.count()
        assert count <= 1, "one call had two effects"
        if count and self.acted_at is None:
            self.acted_at = self.now()

    def count(self) -> int:
        with self.server.client() as client:
            return int(client.hget("t:{clock}:r:a", "n") or 0)

    def send(self, heard: bool) -> None:
        copy = self.call.encode(self.state, self.deadline)
        if not heard:  # what was answered has arrived, and is not delivered again
            self.copies.append(copy)
        reply = self.say(copy)
        replies = [reply if heard else Broken(redis.ConnectionError("lost"))]
        if self.call.on_replies(replies, self.state, time.monotonic()) is Next.DONE:
            self.settle(self.call.outcome)

    def resolve(self) -> None:
        """Give up, as at the deadline, and ask what became of it."""
        self.call.give_up(self.state, None, DEADLINE)
        outcome = self.call.outcome
        if isinstance(outcome, OutcomeUnknown):
            try:
                outcome = self.engine.resolve(outcome)
            except (OutcomeUnknown, NotApplied) as said:
                outcome = said
        self.settle(outcome)

    def settle(self, outcome: Any) -> None:
        self.outcome = outcome
        self.check()

    def check(self) -> None:
        if isinstance(self.outcome, NotApplied):
            assert self.count() == 0, f"it was said not to have run: {self.outcome}"
        elif not isinstance(self.outcome, OutcomeUnknown):
            assert (self.outcome, self.count()) == (1, 1)


@given(stories)
@settings(
    max_examples=max(60, int(200 * STRESS)), deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
def play(server: SteppedServer, engine: Engine, story: list[tuple[float, str]]) -> None:
    server.set_clock(0.0)
    with server.client() as client:
        client.flushdb()
    world = World(server, engine)
    for jump, what in story:
        if jump:
            world.step(jump)
        if what == "late":
            for copy in world.copies:
                world.say(copy)
            if world.outcome is not None:
                world.check()
        elif what == "learn":
            world.learn()
        elif world.outcome is None and what in ("lost", "heard"):
            world.send(what == "heard")
        elif world.outcome is None and what == "resolve":
            world.resolve()
    if world.outcome is None:
        world.resolve()


def test_whatever_the_clock_does_a_call_acts_once_and_what_is_said_of_it_is_true(server: SteppedServer) -> None:
    with Engine.from_url(server.url, prefix="t") as engine, server.client() as client:
        for script in all_scripts():
            client.script_load(script.text)
        play(server, engine)
