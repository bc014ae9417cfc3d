"""Whatever arrives, in whatever order: an upload says and holds what a plain Python model of it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from looks import NEAR, numbers_of
from machines import TTL, Look, agreed, everywhere, run
from models.base import UNKNOWN, Call, Refused
from models.claim import Claim
from models.upload import Receipt
from models.upload import Upload as Model
from test_claim_model import BACKOFF, MOST, Working, takers

from redis_state import QuotaExceeded
from redis_state.keys import Keys
from redis_state.state import RedisUploadState
from redis_state.state.upload import ChunkReceipt
from redis_state.transfer.assembly import Assembly
from redis_state.transfer.legacy import Overwritten
from redis_state.transfer.records import Transfers

CHUNK = 8
QUOTA = 150  # bytes of an owner
KEYS = Keys("upload")
OWNER = "ann b"
numbers = st.integers(0, 4) | st.integers(-1, 12)
rooms = st.integers(1, QUOTA) | st.sampled_from([QUOTA - CHUNK, QUOTA - 3 * CHUNK])
sizes = st.one_of(st.just(CHUNK), st.integers(-1, CHUNK + 1))
sums = st.sampled_from([None, "a", "b"])
totals = st.integers(0, 90)
arrivals = st.lists(st.tuples(numbers, sizes, sums), min_size=1, max_size=4)


def receipts(told: Sequence[ChunkReceipt]) -> tuple[Receipt, ...]:
    return tuple(Receipt(*astuple(receipt)) for receipt in told)


class Uploads(Working):
    """An upload and its assembly, and another one of the same owner that takes room."""

    indexed = "r"
    companions = "bk"
    records = Transfers(KEYS, TTL, lambda: "me", [KEYS.bitmap, KEYS.checksums])
    terms = Assembly(MOST, BACKOFF)
    name = "u"

    def start(self) -> None:
        super().start()
        self.real = RedisUploadState("me", self.engine, TTL, max_bytes_per_owner=QUOTA)
        self.other = RedisUploadState("you", self.observer, TTL)
        self.model = Model(CHUNK)
        self.beside: int | None = None  # the size of the other upload
        self.dead: dict[str, float] = {}  # how long ago

    def lost(self) -> None:
        super().lost()
        self.model = self.model.wipe(None)
        self.beside, self.dead = None, {}

    @property
    def work(self) -> Claim:
        return self.model.work

    @work.setter
    def work(self, work: Claim) -> None:
        self.model = replace(self.model, work=work)

    def stock(self) -> None:
        if not self.model.exists:
            self.create(20 if self.beside else None)
            self.arrive([(0, CHUNK, "a")])

    def older(self, seconds: float) -> None:
        super().older(seconds)
        self.dead = {name: ago + seconds for name, ago in self.dead.items()}
        for name in self.expired(seconds):
            if name == "o" or self.model.closed is None:
                self.dead[name] = seconds - self.look.left("r")[name]
            if name == "o":
                self.beside = None
            else:
                self.model = self.model.remove(True)
                self.gone()

    def worked(self, verb: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """Do the same to both; a session that nobody has taken yet takes notes as well."""
        said, state = self.heard(act), self.work.state
        known = replace(self.work, state="taken" if self.model.exists else None) if verb == "update" else self.work
        after = agreed(known, Call(verb, args), said)
        self.work = replace(after, state=state) if verb == "update" else after
        return said

    # --- room -------------------------------------------------------------------------------------

    @property
    def reserved(self) -> int | None:
        """How many bytes it reserves; None: it is not counted."""
        model = self.model
        if not model.exists or model.closed or model.whole:
            return None
        return model.received if model.total is None else model.total

    @property
    def used(self) -> int:
        return (self.reserved or 0) + (self.beside or 0)

    def exceeds(self, more: int, act: Callable[[], Any]) -> bool:
        """Tell whether so many bytes more are too many; then that is said, and nothing changes."""
        if more <= 0 or self.used + more <= QUOTA:
            return False
        with pytest.raises(QuotaExceeded) as caught:
            act()
        assert (caught.value.used, caught.value.limit) == (self.used, QUOTA)
        return True

    @rule(total=st.one_of(st.none(), totals))
    def create(self, total: int | None) -> None:
        data = {"upload_id": "u", "total_size": total, "chunk_size": CHUNK, "owner": OWNER, "title": "t"}
        if not self.model.exists and self.exceeds(total or 0, lambda: self.real.create_session(data)):
            return
        if self.same("create", (total,), lambda: bool(self.real.create_session(data))) is True:
            self.dead.pop("u", None)

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
        if chance == 3 and self.same("remove", (), lambda: self.real.delete_session("u")) is True:
            self.dead.pop("u", None)
            self.gone()

    @precondition(lambda self: self.model.chunks and not self.model.closed)
    @rule(title=st.sampled_from("xyz"))
    def overwrite(self, title: str) -> None:
        """Put it whole, as old code does, with counts that are not true any more."""
        old = {"title": title, "status": self.status, "bytes_received": 99, "chunks_received": 99, "total_size": 1}
        old |= {"notes": self.work.notes}
        self.engine.run(Overwritten(KEYS, TTL, lambda: "me").put("u", old))
        assert self.other.sessions["u"]["title"] == title

    @property
    def status(self) -> str:
        model = self.model
        if model.closed or model.work.state == "taken":
            return model.closed or "assembling"
        return "complete" if model.whole else "uploading"

    @rule()
    def count(self) -> None:
        """Count what is open and tell of the dead: after this nothing in the books is of the dead."""
        counted = [bytes_ for bytes_ in (self.reserved, self.beside) if bytes_ is not None]
        assert self.real.usage(OWNER) == (len(counted), sum(counted))
        found = {session["upload_id"]: session for session in self.real.expired()}
        assert found.keys() == self.dead.keys()
        for name, session in found.items():
            assert session["owner"] == OWNER
            assert self.dead[name] - NEAR < self.look.now - session["expired_at"] < self.dead[name] + TTL + NEAR
        open_ones = {"u"} if self.model.exists and not self.model.closed else set()
        open_ones |= {"o"} if self.beside is not None else set()
        books = Look(self.client).of("s")
        assert (books[""].holds.keys() if books else set()) == open_ones

    def agrees(self, look: Look) -> None:
        super().agrees(look)
        model = self.model
        assert look.of("r").keys() == ({"u"} if model.exists else set()) | ({"o"} if self.beside is not None else set())
        books = {kind: seen.holds for kind in "oa" for seen in look.of(kind).values()}
        facts = [text.split(" ", 1) for text in books.get("o", {}).values()]
        counted = Counter(n=sum(bytes_ != "-" for bytes_, _ in facts), b=sum(int(b) for b, _ in facts if b != "-"))
        accounts = {f"{what}:{OWNER}": str(number) for what, number in counted.items() if number}
        assert books.get("a", {}) == accounts
        if not model.exists:
            return
        session = self.other.get_session("u")
        assert session is not None
        assert (session["bytes_received"], session["chunks_received"]) == (model.received, len(model.chunks))
        assert (session["total_size"], session["total_chunks"]) == (model.total, model.needed)
        assert session["status"] == self.status
        awaiting = model.whole and not model.closed and model.work.holder is None
        assert self.other.awaiting_assembly() == (["u"] if awaiting else [])
        bits, checks = look.of("b"), look.of("k")
        kept = {} if model.closed else model.chunks
        assert (numbers_of(bits["u"].holds) if bits else set()) == kept.keys()
        told = {str(number): checksum for number, (_, checksum) in kept.items() if checksum}
        assert (checks["u"].holds if checks else {}) == told
        if not model.closed:
            missing = tuple(number for gap in self.other.missing("u") for number in gap)
            assert model.step(Call("missing"), missing)


@everywhere
def test_an_upload_is_what_its_model_is(kind: str) -> None:
    run(Uploads, kind, examples=100)
