"""An upload that comes in order is a number: how many bytes there are."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from redis_state import ChunkConflict, ChunkOutOfRange, OffsetConflict, QuotaExceeded, UnknownSession
from redis_state.state import RedisUploadState

QUOTA = 60  # bytes of an owner
totals = st.integers(0, 70)


class Offsets(Machine):
    """One upload that takes ranges, and numbered chunks until it has bytes."""

    indexed = "r"

    def start(self) -> None:
        self.real = RedisUploadState("me", self.engine, TTL, max_bytes_per_owner=QUOTA)
        self.other = RedisUploadState("you", self.observer, TTL)
        self.exists = False
        self.received, self.total = 0, None

    def stock(self) -> None:
        if not self.exists:
            self.create(None)

    def older(self, seconds: float) -> None:
        self.exists = self.exists and not self.expired(seconds)

    @property
    def whole(self) -> bool:
        return self.received == self.total

    @precondition(lambda self: not self.exists)
    @rule(total=st.none() | totals)
    def create(self, total: int | None) -> None:
        data = {"upload_id": "u", "total_size": total}
        if (total or 0) > QUOTA:
            with pytest.raises(QuotaExceeded):
                self.real.create_session(data)
        else:
            self.real.create_session(data)
            self.exists, self.received, self.total = True, 0, total

    @rule(back=st.sampled_from([0, 0, -1, 1, 5, 5]), length=st.integers(0, 3) | st.integers(0, 30) | st.none())
    def advance(self, back: int, length: int | None) -> None:
        """Send a range; None: all that the owner may have."""
        offset = max(0, self.received - back)
        length = max(0, QUOTA - offset) if length is None else length
        ends = offset + length
        if not self.exists:
            with self.refused(UnknownSession):
                self.real.advance("u", offset, length)
        elif offset > self.received or (offset != self.received and ends > self.received):
            with self.refused(OffsetConflict) as caught:
                self.real.advance("u", offset, length)
            assert caught.value.current == self.received
        elif self.total is not None and ends > self.total:
            with self.refused(ChunkOutOfRange):
                self.real.advance("u", offset, length)
        elif self.total is None and QUOTA < ends > self.received:
            with pytest.raises(QuotaExceeded):
                self.real.advance("u", offset, length)
        else:
            before = self.whole
            self.received = max(self.received, ends)
            found = self.real.advance("u", offset, length)
            told = self.received, self.whole, self.whole and not before
            assert (int(found), found.complete, found.completed_now) == told
            self.renewed.add("u")

    @rule(total=totals, fits=st.booleans())
    def declare(self, total: int, fits: bool) -> None:
        total = self.received if fits else total
        if not self.exists:
            with self.refused(UnknownSession):
                self.real.declare_size("u", total)
        elif self.total not in (None, total) or total < self.received:
            with self.refused(ChunkConflict):
                self.real.declare_size("u", total)
        elif self.total is None and QUOTA < total > self.received:
            with pytest.raises(QuotaExceeded):
                self.real.declare_size("u", total)
        else:
            new, self.total = self.total is None, total
            receipt = self.real.declare_size("u", total)
            assert (receipt.bytes_received, receipt.complete, receipt.completed_now) == (
                self.received,
                self.whole,
                self.whole and new,
            )

    @precondition(lambda self: self.exists)
    @rule()
    def a_chunk(self) -> None:
        with self.refused(ChunkConflict):
            self.real.accept_chunk("u", 0, 1)

    @rule(chance=st.integers(0, 3))
    def remove(self, chance: int) -> None:
        if chance == 3:
            assert self.real.delete_session("u") is self.exists
            self.exists = False

    @rule()
    def count(self) -> None:
        reserved = self.received if self.total is None else self.total
        assert self.real.usage() == ((1, reserved) if self.exists and not self.whole else (0, 0))

    def agrees(self, snapshot: Snapshot) -> None:
        session = self.other.get_session("u")
        assert (session is not None) == self.exists
        if session is not None:
            assert (session["bytes_received"], session["total_size"]) == (self.received, self.total)
            assert session["status"] == ("complete" if self.whole else "uploading")


@everywhere
def test_an_upload_in_order_is_a_number(kind: str) -> None:
    run(Offsets, kind, examples=24)
