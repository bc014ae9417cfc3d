"""A lock equals its model: who holds it, who waits, which tokens were given, and which fenced writes are accepted."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from property_tests.models.lock import LOST
from property_tests.models.lock import Lock as Model
from redis_state.keys import Keys
from redis_state.lock import operations as ops
from redis_state.lock.operations import Granted, Request, Waiting
from redis_state.mapping.record_operations import RecordOperations

KEYS = Keys("model")
RECORDS = RecordOperations(KEYS, TTL)
LEASES = st.sampled_from([200.0, 600.0])
QUEUED_MS = 200_000
HOUR_US = 3_600_000_000
owners = st.sampled_from(["a", "b", "c", "d"])


class Locking(Machine):
    """Four owners, one lock, and a record that is written under its tokens."""

    indexed = "r"

    def start(self) -> None:
        self.behind = True
        self.lost()

    def lost(self) -> None:
        """Forget all but the tokens; those of a time that is yet to come are not outlived by a lost key."""
        if self.behind:
            self.model = Model()
            self.tokens: list[int] = []  # in the order of granting
        self.model, self.behind = self.model.wipe(None), False
        self.granted = 0  # the newest token that the server knows of the lock itself
        self.lease = 0.0
        self.waiting: set[str] = set()
        self.gone: set[str] = set()
        self.woken = False

    def older(self, seconds: float) -> None:
        """Let leases end; a place in the queue, a wake-up and the mark of who left last no longer than a step."""
        self.lease -= seconds
        if self.lease < 0:
            self.model = self.model.expire(None)
        self.waiting, self.gone, self.woken = set(), set(), False
        if self.expired(seconds):
            self.model = replace(self.model, newest=self.granted)

    @precondition(lambda self: self.granted)
    @rule()
    def the_clock_steps_back(self) -> None:
        """All tokens that were given are now of a time that is yet to come."""
        for key, field in (
            (KEYS.key("fence", "lock"), "fence"),
            (KEYS.key("lock", "lock"), "fence"),
            (KEYS.key("entry", "lock"), "@fence"),
        ):
            if self.client.hexists(key, field):
                self.client.hincrby(key, field, HOUR_US)
        self.tokens = [token + HOUR_US for token in self.tokens]
        model = self.model
        self.granted = self.granted and self.granted + HOUR_US
        newest = model.newest and model.newest + HOUR_US
        self.model = replace(model, newest=newest, told=model.told + HOUR_US)
        self.behind = True

    def want(self, owner: str) -> Request:
        return Request(KEYS, "lock", TTL, owner, "note", owner=owner)

    def freed(self) -> None:
        self.woken = self.woken or bool(self.waiting)

    @rule(owner=owners, queue=st.booleans(), lease=LEASES)
    def attempt(self, owner: str, queue: bool, lease: float) -> None:
        with patch.object(ops, "QUEUE_MS", QUEUED_MS):
            op = ops.attempt(self.want(owner), lease, queue=queue)
        if owner in self.gone:
            assert self.engine.run(op) is None
            if self.model.holder is None:
                self.freed()
            return
        answer = self.engine.run(op)
        token = answer.fence if isinstance(answer, Granted) else None
        if token is not None:
            assert near(answer.now, self.snapshot.now)
            self.tokens.append(token)
            self.granted, self.lease = token, lease
            self.waiting.discard(owner)
        else:
            assert isinstance(answer, Waiting)
            assert answer.holder == self.model.holder
            assert near(answer.remaining, self.lease)
            (self.waiting.add if queue else self.waiting.discard)(owner)
        self.same("acquire", (owner,), lambda: token)

    @rule(several=st.lists(owners, min_size=2, max_size=4))
    def contend(self, several: list[str]) -> None:
        for owner in several:
            self.attempt(owner, queue=True, lease=600.0)
        self.refusing = False

    @precondition(lambda self: self.model.holder)
    @rule(owner=owners)
    def hand_over(self, owner: str) -> None:
        self.release(self.model.holder)
        self.attempt(owner, queue=True, lease=200.0)

    @precondition(lambda self: self.model.holder and self.waiting and self.gone - {self.model.holder})
    @rule()
    def a_wake_up_reaches_one_that_left(self) -> None:
        """It is sent again, to those who wait."""
        left = min(self.gone - {self.model.holder})
        self.release(self.model.holder)
        self.take_the_wake_up()
        self.attempt(left, queue=True, lease=200.0)

    @rule(owner=owners, lease=LEASES)
    def renew(self, owner: str, lease: float) -> None:
        if self.same("renew", (owner,), lambda: self.engine.run(ops.renew(self.want(owner), lease)) or LOST) is True:
            self.lease = lease

    @rule(owner=owners)
    def release(self, owner: str) -> None:
        if self.same("release", (owner,), lambda: self.engine.run(ops.release(self.want(owner))) or LOST) is True:
            self.freed()

    @rule(owner=st.just("a") | owners)
    def leave(self, owner: str) -> None:
        self.waiting.discard(owner)
        self.gone.add(owner)
        if self.model.holder in (owner, None):
            self.freed()
        self.same("leave", (owner,), lambda: self.engine.run(ops.leave(self.want(owner))))

    @rule()
    def take_the_wake_up(self) -> None:
        found = self.client.lpop(KEYS.key("wake", "lock")) is not None
        assert found == self.woken or not self.timely
        self.woken = False

    @precondition(lambda self: self.tokens)
    @rule(late=st.integers(0, 3))
    def write(self, late: int) -> None:
        token = self.tokens[max(0, len(self.tokens) - 1 - late)]
        write = RECORDS.put("lock", {"by": token}, fence=token)
        self.same("write", (token,), lambda: bool(self.engine.run(write)))

    def agrees(self, snapshot: Snapshot) -> None:
        holder = self.model.holder
        info = self.observer.run(ops.inspect(KEYS, "lock"))
        assert (info and info.holder) == holder
        assert {found.name for found in self.observer.follow(ops.held_locks(KEYS))} == ({"lock"} if holder else set())
        queue = snapshot.of("q")["lock"].holds if "lock" in snapshot.of("q") else {}
        waiting = {owner for owner, until in queue.items() if until > 0}
        assert (waiting, queue.keys() - waiting) == (self.waiting, self.gone)
        assert snapshot.left("w").keys() == ({"lock"} if self.woken else set()) or not self.timely
        if info is None:
            return
        assert (info.fence, info.waiters) == (self.tokens[-1], len(self.waiting))
        assert (info.container, info.note) == (holder, "note")
        assert near(info.remaining, self.lease)
        assert near(snapshot.of("leases")[""].holds["lock"] / 1000 - snapshot.now, self.lease)
        assert near(snapshot.left("f")["lock"], 86400 + self.lease), "the token outlives the lease by a day"


@everywhere
def test_a_lock_equals_its_model(kind: str) -> None:
    run(Locking, kind, examples=70)
