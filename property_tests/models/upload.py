"""One upload: a set of chunks, and an assembly that is a claim of what is whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from property_tests.models.base import EMPTY, NO, NOTHING, YES, Call, Model, Refused, Table
from property_tests.models.claim import Claim

MOST = 2**23  # chunks


class Receipt(NamedTuple):
    """What was said of a chunk, and of the upload with it."""

    outcome: str
    bytes: int
    chunks: int
    needed: int | None
    complete: bool
    completed_now: bool

    def __repr__(self) -> str:
        state = " complete, now" if self.completed_now else " complete" if self.complete else ""
        return f"{self.outcome}: {self.bytes} bytes in {self.chunks}/{self.needed or '?'}{state}"


UNKNOWN_SESSION = Refused("UnknownSession")


@dataclass(frozen=True)
class Upload(Model):
    """``chunks``: number -> size and checksum. ``total`` is None while the size is not known."""

    chunk: int
    exists: bool = False
    total: int | None = None
    chunks: Table = EMPTY
    closed: str | None = None  # stored or aborted
    work: Claim = field(default_factory=Claim)

    @property
    def received(self) -> int:
        return sum(size for size, _ in self.chunks.values())

    @property
    def whole(self) -> bool:
        return self.received == self.total

    @property
    def ends(self) -> int | None:
        """Where it ends, by its size or by its short chunk."""
        short = [self.chunk * number + size for number, (size, _) in self.chunks.items() if size < self.chunk]
        return self.total if self.total is not None else short[0] if short else None

    @property
    def needed(self) -> int | None:
        return None if self.total is None else -(-self.total // self.chunk)

    # --- what arrives -----------------------------------------------------------------------------

    def create(self, said: Any, total: int | None = None) -> Upload | bool:
        if self.exists:
            return said == Refused("ValueError") and self
        return said == YES and Upload(self.chunk, True, total, work=self.work)

    def accept(self, said: Any, arrived: tuple[tuple[int, int, str | None], ...]) -> Upload | bool:
        """All or none; says a receipt for each, or why the first bad one is refused."""
        if (closed := self._closed()) is not None:
            return said == closed and self
        after, outcomes = self, []
        for number, size, checksum in arrived:
            outcome = after._judge(number, size, checksum)
            if outcome not in ("accepted", "duplicate"):
                return said == Refused(outcome) and self
            outcomes.append(outcome)
            if outcome == "accepted":
                after = replace(after, chunks=after.chunks.having(number, (size, checksum)))
        completes = after.whole and not self.whole
        last = len(outcomes) - 1 - outcomes[::-1].index("accepted") if completes else -1
        facts = (after.received, len(after.chunks), self.needed, after.whole)
        receipts = tuple(Receipt(outcome, *facts, place == last) for place, outcome in enumerate(outcomes))
        return said == receipts and after

    def declare(self, said: Any, total: int) -> Upload | bool:
        """Says a receipt, as of an accepted chunk."""
        if (closed := self._closed()) is not None:
            return said == closed and self
        least = self.chunk * (max(self.chunks) + 1) if self.chunks else 0
        if total != self.ends if self.ends is not None else total < least:
            return said == Refused("ChunkConflict") and self
        after = replace(self, total=total)
        now = after.whole and not self.whole
        receipt = Receipt("accepted", after.received, len(after.chunks), after.needed, after.whole, now)
        return said == receipt and after

    def _judge(self, number: int, size: int, checksum: str | None) -> str:
        ends = self.ends
        if not 0 <= number < (MOST if ends is None else -(-ends // self.chunk)):
            return "ChunkOutOfRange"
        if number in self.chunks:
            had_size, had = self.chunks[number]
            return "duplicate" if size == had_size and (not had or not checksum or had == checksum) else "ChunkConflict"
        if ends is None and 0 < size < self.chunk and number > max(self.chunks, default=-1):
            return "accepted"
        expected = self.chunk if ends is None else min(self.chunk, ends - self.chunk * number)
        return "accepted" if size == expected else "ChunkSizeMismatch"

    def _closed(self) -> Refused | None:
        if not self.exists:
            return UNKNOWN_SESSION
        return Refused("UploadClosed", (self.closed,)) if self.closed else None

    # --- its end ----------------------------------------------------------------------------------

    def abort(self, said: Any) -> Upload | bool:
        """Whoever assembles it has lost its claim."""
        if not self.exists or self.closed:
            return said == NO and self
        work = self.work if self.work.holder is None else replace(self.work, holder=None, newest=None)
        return said == YES and replace(self, closed="aborted", work=work)

    def remove(self, said: Any) -> Upload | bool:
        if not self.exists:
            return said == NO and self
        work = replace(self.work, state=None, attempts=0, notes=None, result=None)
        return said == YES and Upload(self.chunk, work=work)

    def take(self, said: Any, owner: str, most: int = 5) -> Upload | bool:
        """Take the assembly."""
        if not self.exists:
            return said == UNKNOWN_SESSION and self
        if self.closed == "aborted":
            return said == Refused("UploadClosed", ("aborted",)) and self
        if not self.closed and not self.whole:
            return said == Refused("UploadIncomplete", (self.received, self.total)) and self
        return self._worked(self.work.take(said, owner, most))

    def finish(self, said: Any, owner: str, token: int, result: Any) -> Upload | bool:
        return self._ends_assembly(said, Call("finish", (owner, token, result)), "stored")

    def fail(self, said: Any, owner: str, token: int) -> Upload | bool:
        return self._ends_assembly(said, Call("fail", (owner, token)), self.closed)

    def release(self, said: Any, owner: str, token: int) -> Upload | bool:
        return self._ends_assembly(said, Call("release", (owner, token)), self.closed)

    def _ends_assembly(self, said: Any, call: Call, closed: str | None) -> Upload | bool:
        """One that was made anew is another: nobody has taken it."""
        if not self.exists or self.work.state is None:
            return said == UNKNOWN_SESSION and self
        if self.closed == "aborted":
            return said == Refused("UploadClosed", ("aborted",)) and self
        after = self._worked(self.work.step(call, said))
        return after and replace(after, closed=closed if after.work.state == "done" else self.closed)

    def leave(self, said: Any, owner: str) -> Upload | bool:
        return self._worked(self.work.leave(said, owner))

    def expire(self, said: Any) -> Upload | bool:
        """The lease of the assembly ends."""
        return self._worked(self.work.expire(said))

    def _worked(self, work: Claim | bool | None) -> Upload | bool:
        return bool(work) and replace(self, work=work)

    # --- what is seen -----------------------------------------------------------------------------

    def look(self, said: Any) -> Upload | bool:
        """Says bytes, chunks, and size; None when there is none."""
        return said == ((self.received, len(self.chunks), self.total) if self.exists else None) and self

    def missing(self, said: Any) -> Upload | bool:
        """Says the numbers of the chunks that have not arrived."""
        if not self.exists:
            return said == UNKNOWN_SESSION and self
        if self.whole:
            return said == () and self
        there = () if self.closed else self.chunks  # of one that was aborted they are forgotten
        count = max(there, default=-1) + 1 if self.needed is None else self.needed
        return said == tuple(number for number in range(count) if number not in there) and self

    def wipe(self, said: Any) -> Upload | bool:
        return said == NOTHING and Upload(self.chunk, work=Claim(told=self.work.told))
