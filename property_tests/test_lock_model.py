"""A lock equals its model: who holds it, who waits, which tokens were given, and which fenced writes are accepted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from redis_state import Engine, StaleToken
from redis_state.keys import Keys
from redis_state.lock import steps
from redis_state.lock.steps import Granted, Request, Waiting
from redis_state.mapping.records import Records

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from servers import Server, available

KEYS = Keys("model")
RECORDS = Records(KEYS, 600.0)
owners = st.sampled_from(["a", "b", "c", "d"])


class Locking(RuleBasedStateMachine):
    """Four owners and one lock. Leases are long, and end when the model says so."""

    engine: Engine
    client: redis.Redis

    @initialize()
    def start(self) -> None:
        self.client.flushall()
        self.holder: str | None = None
        self.waiting: set[str] = set()
        self.gone: set[str] = set()
        self.woken = False
        self.tokens: list[int] = []  # in the order of granting
        self.known = True  # the server knows the last one
        self.written = 0  # the newest token of the record

    def want(self, owner: str) -> Request:
        return Request(KEYS, "lock", 600.0, f"container {owner}", "note", owner=owner)

    def freed(self) -> None:
        self.holder = None
        self.woken = self.woken or bool(self.waiting)

    @rule(owner=owners, queue=st.booleans())
    def attempt(self, owner: str, queue: bool) -> None:
        op = steps.attempt(self.want(owner), 600.0, queue=queue)
        if owner in self.gone:
            assert self.engine.run(op) is None
            self.woken = self.woken or (self.holder is None and bool(self.waiting))
            return
        answer = self.engine.run(op)
        if self.holder is None:
            assert isinstance(answer, Granted)
            assert not self.tokens or answer.fence > self.tokens[-1]
            self.tokens.append(answer.fence)
            self.holder, self.known = owner, True
            self.waiting.discard(owner)
        else:
            assert isinstance(answer, Waiting)
            assert answer.holder == f"container {self.holder}"
            assert 590 < answer.remaining <= 600
            (self.waiting.add if queue else self.waiting.discard)(owner)

    @rule(owner=owners)
    def renew(self, owner: str) -> None:
        assert self.engine.run(steps.renew(self.want(owner), 600.0)) == (owner == self.holder)

    @rule(owner=owners)
    def release(self, owner: str) -> None:
        assert self.engine.run(steps.release(self.want(owner))) == (owner == self.holder)
        if owner == self.holder:
            self.freed()

    @rule(owner=owners)
    def leave(self, owner: str) -> None:
        self.engine.run(steps.leave(self.want(owner)))
        self.waiting.discard(owner)
        self.gone.add(owner)
        if self.holder in (owner, None):
            self.freed()

    @rule()
    def take_the_wake_up(self) -> None:
        assert (self.client.lpop(KEYS.wake("lock")) is not None) == self.woken
        self.woken = False

    @rule()
    def the_lease_ends(self) -> None:
        self.client.delete(KEYS.lock("lock"))
        self.holder = None

    @rule()
    def the_server_forgets_everything(self) -> None:
        self.client.flushall()
        self.holder, self.waiting, self.gone, self.woken = None, set(), set(), False
        self.known, self.written = False, 0

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        if not self.tokens:
            return
        token = data.draw(st.sampled_from(self.tokens))
        newest = max(self.written, self.tokens[-1] if self.known else 0)
        op = RECORDS.put("lock", {"by": token}, fence=token)
        if token < newest:
            with pytest.raises(StaleToken) as caught:
                self.engine.run(op)
            assert (caught.value.token, caught.value.newest) == (token, newest)
        else:
            self.engine.run(op)
            self.written = token

    @invariant()
    def what_others_see(self) -> None:
        info = self.engine.run(steps.inspect(KEYS, "lock"))
        assert (info and info.holder) == self.holder
        if info is not None:
            assert (info.fence, info.waiters) == (self.tokens[-1], len(self.waiting))
        names = [found.name for found in self.engine.follow(steps.held_locks(KEYS))]
        assert names == (["lock"] if self.holder else [])

    @invariant()
    def nothing_lives_forever(self) -> None:
        assert all(self.client.pttl(key) > 0 for key in self.client.keys("rs:{model}*"))  # type: ignore[operator,union-attr]


@pytest.fixture(scope="module", params=sorted(available()))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


def test_a_lock_equals_its_model(server: Server) -> None:
    with Engine.from_url(server.url) as engine, server.client() as client:
        bound: Any = type("Machine", (Locking,), {"engine": engine, "client": client})
        bounded = settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_machine(bound, settings=bounded)
