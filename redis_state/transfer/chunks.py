"""What arrives of an upload: numbered chunks in any order, or one range behind the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from redis_state.engine.op import Op, Plan, Word, raises
from redis_state.engine.registry import script
from redis_state.errors import (
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    OffsetConflict,
    UnknownSession,
    UploadClosed,
)
from redis_state.transfer.records import NO_LIMIT, Transfers, with_room
from redis_state.transfer.sessions import UNLIMITED, Limits, exceeded, session_slots, whole

ACCEPT = script("upload/accept")
ADVANCE = script("upload/advance")
DECLARE = script("upload/declare")

MOST_AT_ONCE = 500  # chunks that one script counts
LONGEST_CHECKSUM = 512

Chunk = tuple[int, int] | tuple[int, int, str | None]


@dataclass(frozen=True, slots=True)
class ChunkReceipt:
    """What became of a chunk, and what the upload has with it.

    ``completed_now`` is True in one answer: the one to the chunk that made the upload complete.
    """

    outcome: Literal["accepted", "duplicate"]
    bytes_received: int
    chunks_received: int
    total_chunks: int | None  # None while the size is not declared
    complete: bool
    completed_now: bool


class Offset(int):
    """How many bytes an upload has: where the next range begins. ``completed_now`` is True in one answer."""

    complete: bool
    completed_now: bool

    @classmethod
    def of(cls, word: str, received: int) -> Offset:
        offset = cls(received)
        offset.complete, offset.completed_now = word != "received", word == "completed"
        return offset

    def __reduce__(self) -> tuple[Any, ...]:
        word = "completed" if self.completed_now else "complete" if self.complete else "received"
        return Offset.of, (word, int(self))


def accept_all(
    records: Transfers, name: str, chunks: Sequence[Chunk], limits: Limits = UNLIMITED
) -> Plan[list[ChunkReceipt]]:
    """Count chunks, each once: 500 at a time, of which all are counted or none."""
    steps = range(0, len(chunks), MOST_AT_ONCE)
    ops = [accept(records, name, chunks[at : at + MOST_AT_ONCE], limits) for at in steps]
    receipts: list[ChunkReceipt] = []
    for op in ops:
        receipts += yield from with_room(records, op)
    return receipts


def accept(
    records: Transfers, name: str, chunks: Sequence[Chunk], limits: Limits = UNLIMITED
) -> Op[list[ChunkReceipt]]:
    """Count at most 500 chunks, each once; all or none."""
    words = [word for chunk in chunks for word in _words(name, chunk)]
    call = ACCEPT(**session_slots(records, name), **_books(records, name), most=limits.bytes, chunks=words)

    def counted(word: str) -> Any:
        def receipts(received: int, count: int, needed: int, outcomes: Sequence[bytes]) -> list[ChunkReceipt]:
            told = [outcome.decode() for outcome in outcomes]
            # The chunk that made it whole is the last one of this batch that was not there before.
            last = len(told) - 1 - told[::-1].index("accepted") if word == "completed" else -1
            total = None if needed < 0 else needed
            facts = (received, count, total, word != "received")
            return [ChunkReceipt(outcome, *facts, place == last) for place, outcome in enumerate(told)]  # type: ignore[arg-type]

        return receipts

    def refused(why: bytes, place: int, expected: int) -> NoReturn:
        number, size = chunks[place][:2]
        if why == b"range":
            raise ChunkOutOfRange(name, number, expected)
        if why == b"size":
            raise ChunkSizeMismatch(name, number, size, expected)
        if why == b"conflict":
            raise ChunkConflict(name, number, f"chunk {number} was accepted before, with another size or checksum")
        raise ChunkConflict(name, number, "it is filled by offsets, and takes no numbered chunks")

    return call.meaning(
        received=counted("received"),
        completed=counted("completed"),
        complete=counted("complete"),
        unknown=raises(UnknownSession, name),
        closed=_closed(name),
        refused=refused,
        quota=exceeded,
    )


def advance(records: Transfers, name: str, offset: int, length: int, limits: Limits = UNLIMITED) -> Op[Offset]:
    """Count a range behind all others. ``OffsetConflict`` when it begins elsewhere, unless it is a repetition."""
    offset, length = whole(name, "offset", offset, 0), whole(name, "length", length, 0)
    ends = whole(name, "offset + length", offset + length, 0)
    slots = session_slots(records, name)
    del slots["seen"], slots["sums"]
    call = ADVANCE(**slots, **_books(records, name), most=limits.bytes, offset=offset, ends=ends)

    def at(word: str) -> Any:
        return lambda received, _, __: Offset.of(word, received)

    return call.meaning(
        received=at("received"),
        completed=at("completed"),
        complete=at("complete"),
        unknown=raises(UnknownSession, name),
        closed=_closed(name),
        conflict=raises(OffsetConflict, name, offset),
        chunked=raises(ChunkConflict, name, None, "it is filled by numbered chunks, and takes no offsets"),
        beyond=raises(ChunkOutOfRange, name, range(offset, ends)),
        quota=exceeded,
    )


def declare(records: Transfers, name: str, total_size: int, limits: Limits = UNLIMITED) -> Op[ChunkReceipt]:
    """Say how large an upload is. Again with the same size: nothing changes; ``ChunkConflict`` with another one."""
    total_size = whole(name, "total_size", total_size, 0)
    call = DECLARE(**session_slots(records, name), **_books(records, name), most=limits.bytes, total=total_size)

    def declared(word: str) -> Any:
        def receipt(received: int, count: int, needed: int) -> ChunkReceipt:
            total = None if needed < 0 else needed
            return ChunkReceipt("accepted", received, count, total, word != "received", word == "completed")

        return receipt

    def contradicted(least: int, most: int) -> NoReturn:
        can = f"{least}" if least == most else f"{least} to {most}"
        raise ChunkConflict(name, None, f"by what was received it has {can} bytes, not {total_size}")

    return call.meaning(
        received=declared("received"),
        completed=declared("completed"),
        complete=declared("complete"),
        unknown=raises(UnknownSession, name),
        closed=_closed(name),
        other=lambda total: raises(
            ChunkConflict, name, None, f"declared with {total} bytes before, not {total_size}"
        )(),
        contradicted=contradicted,
        quota=exceeded,
    )


def _books(records: Transfers, name: str) -> dict[str, str]:
    books = records.keys.books(name)
    del books["dead"]
    return books


def _words(name: str, chunk: Iterable[Any]) -> tuple[Word, Word, Word]:
    """Return number, size and checksum as they are sent."""
    number, size, *more = chunk
    checksum = more[0] if more else None
    if any(not isinstance(given, int) or isinstance(given, bool) for given in (number, size)):
        raise TypeError(f"{name!r}: chunk {number!r} of size {size!r}: two whole numbers")
    if checksum is not None and not isinstance(checksum, str):
        raise TypeError(f"{name!r}: chunk {number}: a checksum is a text, not {type(checksum).__name__}")
    if checksum is not None and not 0 < len(checksum) <= LONGEST_CHECKSUM:
        raise ValueError(f"{name!r}: chunk {number}: a checksum has 1 to {LONGEST_CHECKSUM} characters")
    bound = NO_LIMIT + 1
    return max(-1, min(bound, int(number))), max(-1, min(bound, int(size))), checksum or ""


def _closed(name: str) -> Any:
    return lambda state: raises(UploadClosed, name, state.decode())()
