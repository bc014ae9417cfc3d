"""Whatever arrives, in whatever order: an upload says and holds what a plain Python model of it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.machines.machine import TTL, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import NEAR
from property_tests.machines.test_claim_model import takers
from property_tests.machines.upload_world import CHUNK, KEYS, OWNER, QUOTA, UploadWorld
from property_tests.models.base import UNKNOWN, Refused
from property_tests.models.upload import Receipt
from redis_state import BegunAnew
from redis_state.state import RedisUploadState
from redis_state.state.upload import ChunkReceipt
from redis_state.state.upload_legacy import OverwritingUploads

numbers = st.integers(0, 4) | st.integers(-1, 12)
rooms = st.integers(1, QUOTA) | st.sampled_from([QUOTA - CHUNK, QUOTA - 3 * CHUNK])
sizes = st.one_of(st.just(CHUNK), st.integers(-1, CHUNK + 1))
sums = st.sampled_from([None, "a", "b"])
totals = st.integers(0, 90)
arrivals = st.lists(st.tuples(numbers, sizes, sums), min_size=1, max_size=4)


def receipts(told: Sequence[ChunkReceipt]) -> tuple[Receipt, ...]:
    return tuple(Receipt(*astuple(receipt)) for receipt in told)


class Uploads(UploadWorld):
    """What may happen to an upload and its assembly, and to another one of the same owner that takes room."""

    def stock(self) -> None:
        if not self.model.exists:
            self.create(20 if self.beside else None)
            self.arrive([(0, CHUNK, "a")])

    def older(self, seconds: float) -> None:
        super().older(seconds)
        self.dead = {name: ago + seconds for name, ago in self.dead.items()}
        for name in self.expired(seconds):
            if name == "o" or self.model.closed is None:
                self.dead[name] = seconds - self.snapshot.left("r")[name]
            if name == "o":
                self.beside = None
            else:
                self.model = self.model.remove(True)
                self.gone()

    # --- room -------------------------------------------------------------------------------------

    @rule(total=st.one_of(st.none(), totals))
    def create(self, total: int | None) -> None:
        data = {"upload_id": "u", "total_size": total, "chunk_size": CHUNK, "owner": OWNER, "title": "t"}
        if not self.model.exists and self.exceeds(total or 0, lambda: self.real.create_session(data)):
            return
        if self.same("create", (total,), lambda: bool(self.real.create_session(data))) is True:
            self.dead.pop("u", None)
            self.session += 1

    @rule()
    def another_looks(self) -> None:
        """Another container sees the upload, and goes on with it when it is perhaps another one."""
        there = self.late.get_session("u") is not None
        self.late_saw = self.session if there else None

    @precondition(lambda self: self.model.exists and self.late_saw not in (None, self.session))
    @rule(
        say=st.sampled_from(
            [
                lambda late: late.accept_chunk("u", 0, CHUNK),
                lambda late: late.declare_size("u", 20),
                lambda late: late.advance("u", 0, 1),
                lambda late: late.claim_assembly("u"),
            ]
        )
    )
    def another_is_late(self, say: Callable[[RedisUploadState], Any]) -> None:
        assert self.late.abort("u") is False
        with self.refused(BegunAnew):
            say(self.late)

    @rule(total=totals, who=takers)
    def create_whole(self, total: int, who: str) -> None:
        self.remove(chance=3)
        self.create(total)
        self.all_arrive(many=True, checksum=None)
        self.take(who)
        self.refusing = False

    @rule(size=rooms)
    def take_room(self, size: int) -> None:
        """Open another upload, or delete it."""
        data = {"upload_id": "o", "total_size": size, "owner": OWNER}
        if self.beside is not None:
            assert self.real.delete_session("o")
            self.beside = None
        elif not self.exceeds(size, lambda: self.real.create_session(data)):
            self.real.create_session(data)
            self.beside = size
            self.dead.pop("o", None)

    # --- what arrives -----------------------------------------------------------------------------

    @rule(chunks=arrivals)
    def arrive(self, chunks: list[tuple[int, int, str | None]]) -> None:
        after = self.model.accept(UNKNOWN, tuple(chunks))
        more = after.received - self.model.received if self.model.total is None else 0
        if not self.exceeds(more, lambda: self.real.accept_chunks("u", chunks)):
            said = self.same("accept", (tuple(chunks),), lambda: receipts(self.real.accept_chunks("u", chunks)))
            if not isinstance(said, Refused):
                self.renewed.add("u")

    @precondition(lambda self: self.model.chunks and not self.model.closed)
    @rule(place=st.integers(0, 12), checksum=sums, more=st.sampled_from([0, 0, 0, 1, -1]))
    def arrive_again(self, place: int, checksum: str | None, more: int) -> None:
        known = sorted(self.model.chunks)
        number = known[place % len(known)]
        self.arrive([(number, self.model.chunks[number][0] + more, checksum)])

    @rule(many=st.booleans(), checksum=sums)
    def all_arrive(self, many: bool, checksum: str | None) -> None:
        total = self.model.total
        chunks = [(n, min(CHUNK, (total or 0) - n * CHUNK), checksum) for n in range(self.model.needed or 0)]
        for some in [chunks] if many else [[chunk] for chunk in chunks]:
            if some:
                self.arrive(some)
        self.refusing = False

    @rule(total=totals, near_by=st.booleans())
    def declare(self, total: int, near_by: bool) -> None:
        model = self.model
        total = model.ends if near_by and model.ends is not None else total
        after = model.declare(UNKNOWN, total)
        more = total - model.received if model.total is None and after.total is not None else 0
        if not self.exceeds(more, lambda: self.real.declare_size("u", total)):
            self.same("declare", (total,), lambda: receipts([self.real.declare_size("u", total)])[0])

    # --- its end ----------------------------------------------------------------------------------

    def rests(self) -> bool:
        return super().rests() and self.model.exists and not self.model.closed

    @rule(chance=st.integers(0, 3))
    def abort(self, chance: int) -> None:
        if chance == 3 and self.same("abort", (), lambda: self.real.abort("u")) is True:
            self.dead["u"] = 0.0

    @precondition(lambda self: self.work.state == "taken" and not self.model.closed)
    @rule(how=st.sampled_from(["finish", "finish", "fail"]), aborted=st.booleans())
    def end_the_assembly(self, how: str, aborted: bool) -> None:
        """Say how it went, perhaps of an upload that was aborted just before."""
        if aborted:
            self.abort(chance=3)
        self.go_on(late=0, how=how, what=1)
        self.refusing = False

    @rule(chance=st.integers(0, 3))
    def remove(self, chance: int) -> None:
        if chance == 3:
            if self.same("remove", (), lambda: self.real.delete_session("u")) is True:
                self.gone()
            self.dead.pop("u", None)  # one that has died is forgotten, too

    @precondition(lambda self: self.model.chunks and not self.model.closed)
    @rule(title=st.sampled_from("xyz"))
    def overwrite(self, title: str) -> None:
        """Put it whole, as old code does, with counts that are not true any more."""
        old = {"title": title, "status": self.status, "bytes_received": 99, "chunks_received": 99, "total_size": 1}
        old |= {"notes": self.work.notes}
        self.engine.run(OverwritingUploads(KEYS, TTL, lambda: "me").put("u", old))
        assert self.other.sessions["u"]["title"] == title

    @rule()
    def count(self) -> None:
        """Count what is open and tell of the dead: after this nothing in the quota keys is of the dead."""
        counted = [bytes_ for bytes_ in (self.reserved, self.beside) if bytes_ is not None]
        assert self.real.usage(OWNER) == (len(counted), sum(counted))
        found = {session["upload_id"]: session for session in self.real.expired()}
        assert found.keys() == self.dead.keys()
        for name, session in found.items():
            assert session["owner"] == OWNER
            assert self.dead[name] - NEAR < self.snapshot.now - session["expired_at"] < self.dead[name] + TTL + NEAR
        open_ones = {"u"} if self.model.exists and not self.model.closed else set()
        open_ones |= {"o"} if self.beside is not None else set()
        quota_keys = Snapshot(self.client).of("open")
        assert (quota_keys[""].holds.keys() if quota_keys else set()) == open_ones


@everywhere
def test_an_upload_is_what_its_model_is(kind: str) -> None:
    run(Uploads, kind, examples=100)
