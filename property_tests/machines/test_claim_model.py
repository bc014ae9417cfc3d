"""Work that must run once, done by three who crash, come late and are overtaken, equals its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from property_tests.models.base import Call
from property_tests.models.claim import Claim as Model
from property_tests.models.claim import Taken
from redis_state import AlreadyClaimed
from redis_state.claim import operations
from redis_state.claim.policy import ClaimPolicy
from redis_state.claim.scripts import RECORD_SCRIPTS, ClaimScripts
from redis_state.keys import Keys
from redis_state.lock.operations import Request, inspect, leave, renew
from redis_state.mapping.record_operations import RecordOperations

LEASE, BACKOFF = 200.0, 150.0
MOST = 3
takers = st.sampled_from(["a", "b", "c"])
lateness = st.sampled_from([0, 0, 0, 1, 2, 3])  # how many have taken it since
ways = ["finish", "fail", "fail", "fail", "release", "release", "update", "update"]


class Working(Machine):
    """What takers of one piece of work may do. ``work`` is the model of the claim."""

    records: ClassVar[RecordOperations]
    policy: ClassVar[ClaimPolicy]
    scripts: ClassVar[ClaimScripts] = RECORD_SCRIPTS
    name: ClassVar[str]
    work: Model

    def start(self) -> None:
        self.given: list[tuple[str, int, int]] = []  # taker, token, attempt
        self.granted = 0  # the newest token that the server knows of the lock itself
        self.lease = self.rest = 0.0  # seconds that the lease, and the rest after a failure, last yet
        self.died = False  # the lease of the last taker ended

    def stock(self) -> None:
        self.take("a")

    def lost(self) -> None:
        """Forget all but the tokens: those who have one go on with it."""
        self.granted, self.lease, self.rest, self.died = 0, 0.0, 0.0, False
        self.work = self.work.wipe(None)

    def gone(self) -> None:
        """Let the record be gone: what tokens were seen is known of the lock alone."""
        work = replace(self.work, state=None, attempts=0, notes=None, result=None)
        self.work = work if work.newest is None else replace(work, newest=self.granted)

    def older(self, seconds: float) -> None:
        self.lease, self.rest = self.lease - seconds, self.rest - seconds
        if self.work.holder is not None and self.lease < 0:
            self.work = self.work.expire(None)
            self.died = True

    def want(self, who: str) -> Request:
        return Request(self.records.keys, self.name, LEASE, who, "note", owner=f"owner {who}")

    @rule(who=takers)
    def take(self, who: str) -> None:
        def taking() -> Taken:
            taken = self.engine.run(
                self.scripts.take(self.want(who), self.records, self.policy, {"status": self.policy.taken})
            )
            return Taken(taken.lease.fence, taken.attempt, taken.previous and taken.previous.get("notes"))

        if self.rests():
            with self.refused(AlreadyClaimed) as caught:
                taking()
            assert caught.value.holder is None
            assert near(caught.value.remaining, self.rest)
            return
        said = self.same("take", (who, MOST), taking)
        if isinstance(said, Taken):
            self.given.append((who, said.token, said.attempt))
            self.granted = said.token
            self.lease, self.rest, self.died = LEASE, 0.0, False

    def rests(self) -> bool:
        work = self.work
        return self.rest > 0 and work.state == "failed" and work.holder is None and work.attempts < MOST

    @precondition(lambda self: self.given)
    @rule(late=lateness, how=st.sampled_from(ways), what=st.integers(0, 9))
    def go_on(self, late: int, how: str, what: int) -> None:
        """Let the last taker, or one before, say how it goes."""
        who, token, attempt = self.given[max(0, len(self.given) - 1 - late)]
        want = self.want(who)
        before = self.work
        if how == "finish":
            op: Any = self.scripts.confirm(want, self.records, self.policy, token, what)
            said = self.same(how, (who, token, what), self.done(op))
        elif how == "fail":
            op = self.scripts.fail(want, self.records, self.policy, token, "error", attempt)
            said = self.same(how, (who, token), self.done(op))
        elif how == "release":
            op = self.scripts.release(want, self.records, self.policy, token, "why")
            said = self.same(how, (who, token), self.done(op))
        else:
            op = self.records.patch(self.name, {"notes": what}, fence=token)
            said = self.worked(how, (token, what), lambda: self.engine.run(op))
        if said is True and how != "update":
            self.died = False
            if how != "release":
                self.rest = self.policy.rest(attempt) if how == "fail" else 0.0
        assert said is not False or before.state is None

    @precondition(lambda self: self.work.state == "taken")
    @rule(who=takers)
    def fail_and_try_again(self, who: str) -> None:
        self.go_on(late=0, how="fail", what=0)
        self.time_passes(times=1)
        self.take(who)
        self.refusing = False

    def worked(self, verb: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """Do the same to the server and to ``work``."""
        return self.same(verb, args, act)

    def done(self, op: Any) -> Callable[[], bool]:
        return lambda: self.engine.run(op) is None

    @rule(who=takers)
    def abandon(self, who: str) -> None:
        """Give up a taking that was told to nobody."""
        self.worked("abandon", (who,), lambda: self.gave_up(who))

    def gave_up(self, who: str) -> None:
        self.engine.follow(operations.abandon(self.want(who), self.records, self.policy, self.scripts, "why"))

    @rule(who=takers)
    def renew(self, who: str) -> None:
        assert self.engine.run(renew(self.want(who), LEASE)) is (self.work.holder == who)
        if self.work.holder == who:
            assert self.engine.run(self.records.touch(self.name)) is (self.name in self.snapshot.of("r"))
            self.lease = LEASE
            self.renewed.add(self.name)

    @rule(who=takers)
    def leave(self, who: str) -> None:
        self.worked("leave", (who,), lambda: self.engine.run(leave(self.want(who))))

    @rule()
    def reopen(self) -> None:
        said = self.worked("reopen", (), lambda: self.engine.run(operations.reopen(self.records, self.name)))
        self.rest = 0.0 if said else self.rest

    def agrees(self, snapshot: Snapshot) -> None:
        info = self.observer.run(inspect(self.records.keys, self.name))
        assert (info and info.container) == self.work.holder
        if info is not None:
            assert (info.fence, info.note) == (self.given[-1][1], "note")
            assert near(info.remaining, self.lease)
        leases = snapshot.of("leases")[""].holds if "" in snapshot.of("leases") else {}
        assert leases.keys() == ({self.name} if self.work.holder or self.died else set())
        assert all(near(ends / 1000 - snapshot.now, self.lease) for ends in leases.values())
        record = snapshot.of("r").get(self.name)
        if record is not None:
            assert record.holds.get("@claim") == self.work.state
            assert int(record.holds.get("@attempts", 0)) == self.work.attempts
            if self.work.state == "taken":
                assert int(record.holds["@fence"]) == self.given[-1][1]
                assert "@retry_at" not in record.holds


class Claiming(Working):
    """A claim by itself: whatever happens to its record, the token decides."""

    indexed = "r"
    records = RecordOperations(Keys("claims"), TTL)
    policy = ClaimPolicy(MOST, BACKOFF, interrupted="released")
    name = "job"

    def start(self) -> None:
        super().start()
        self.model = Model()

    @property
    def work(self) -> Model:
        return self.model

    @work.setter
    def work(self, work: Model) -> None:
        self.model = work

    def older(self, seconds: float) -> None:
        super().older(seconds)
        if self.name in self.expired(seconds):
            self.gone()

    @rule()
    def remove(self) -> None:
        assert self.engine.run(self.records.remove(self.name)) is (self.model.state is not None)
        self.gone()

    def agrees(self, snapshot: Snapshot) -> None:
        super().agrees(snapshot)
        stalled = self.died and self.model.state == "taken"
        assert self.observer.follow(operations.stalled(self.records)) == ([self.name] if stalled else [])
        assert self.model.step(Call("look"), self.seen())

    def seen(self) -> tuple[str, Any] | None:
        found = self.observer.run(self.records.get(self.name))
        return found and (found.fields["status"], found.fields.get("notes"))


@everywhere
def test_a_claim_equals_its_model(kind: str) -> None:
    run(Claiming, kind, examples=70)
