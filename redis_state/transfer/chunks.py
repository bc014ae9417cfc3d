"""Arrivals of an upload: numbered chunks in any order, or one range behind the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NoReturn

from redis_state.engine.op import Op, Plan, Word
from redis_state.engine.operation import Meaning, Operation, ScriptOp, operation, raises
from redis_state.errors import (
    BegunAnew,
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    OffsetConflict,
    UnknownSession,
    UploadClosed,
)
from redis_state.keys import text_of
from redis_state.transfer.fields import LARGEST, whole
from redis_state.transfer.quota import UNLIMITED, Limits, exceeded, with_room
from redis_state.transfer.records import TransferOperations

MOST_AT_ONCE = 500  # chunks that one script counts
LONGEST_CHECKSUM = 512

Chunk = tuple[int, int] | tuple[int, int, str | None]


@dataclass(frozen=True, slots=True)
class ChunkReceipt:
    """Outcome of a chunk, and the state of the upload with it.

    ``completed_now`` is True in one answer: the one to the chunk that made the upload complete.
    """

    outcome: Literal["accepted", "duplicate"]
    bytes_received: int
    chunks_received: int
    total_chunks: int | None  # None while the size is not declared
    complete: bool
    completed_now: bool


class Offset(int):
    """Bytes that an upload has: where the next range begins. ``completed_now`` is True in one answer."""

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


# --- what replies mean: of a call that is about the records, which remember what they saw ----------------


def closed(call: ScriptOp[Any], state: bytes) -> NoReturn:
    """Raise ``UploadClosed``."""
    raise UploadClosed(call["name"], state.decode())


def _counted(word: str) -> Meaning:
    def receipts(
        call: ScriptOp[Any], received: int, count: int, needed: int, generation: bytes, outcomes: Sequence[bytes]
    ) -> list[ChunkReceipt]:
        records, _ = call.about
        records.heard(call["name"], generation)
        told = [outcome.decode() for outcome in outcomes]
        # The chunk that made it whole is the last one of this batch that was not there before.
        last = len(told) - 1 - told[::-1].index("accepted") if word == "completed" else -1
        total = None if needed < 0 else needed
        facts = (received, count, total, word != "received")
        return [ChunkReceipt(outcome, *facts, place == last) for place, outcome in enumerate(told)]  # type: ignore[arg-type]

    return receipts


def _refused(call: ScriptOp[Any], why: bytes, place: int, expected: int) -> NoReturn:
    name, (_, chunks) = call["name"], call.about
    number, size = chunks[place][:2]
    if why == b"range":
        raise ChunkOutOfRange(name, number, expected)
    if why == b"size":
        raise ChunkSizeMismatch(name, number, size, expected)
    if why == b"conflict":
        raise ChunkConflict(name, number, f"chunk {number} was accepted before, with another size or checksum")
    raise ChunkConflict(name, number, "it is filled by offsets, and takes no numbered chunks")


def _at(word: str) -> Meaning:
    def offset(call: ScriptOp[Any], received: int, _: int, __: int, generation: bytes) -> Offset:
        call.about.heard(call["name"], generation)
        return Offset.of(word, received)

    return offset


def _conflict(call: ScriptOp[Any], current: int) -> NoReturn:
    raise OffsetConflict(call["name"], call["offset"], current)


def _chunked(call: ScriptOp[Any]) -> NoReturn:
    raise ChunkConflict(call["name"], None, "it is filled by numbered chunks, and takes no offsets")


def _beyond(call: ScriptOp[Any], total: int) -> NoReturn:
    raise ChunkOutOfRange(call["name"], range(call["offset"], call["ends"]), total)


def _declared(word: str) -> Meaning:
    def receipt(call: ScriptOp[Any], received: int, count: int, needed: int, generation: bytes) -> ChunkReceipt:
        call.about.heard(call["name"], generation)
        total = None if needed < 0 else needed
        return ChunkReceipt("accepted", received, count, total, word != "received", word == "completed")

    return receipt


def _other(call: ScriptOp[Any], total: int) -> NoReturn:
    raise ChunkConflict(call["name"], None, f"declared with {total} bytes before, not {call['total']}")


def _contradicted(call: ScriptOp[Any], least: int, most: int) -> NoReturn:
    can = f"{least}" if least == most else f"{least} to {most}"
    raise ChunkConflict(call["name"], None, f"by what was received it has {can} bytes, not {call['total']}")


def _arriving(script: str, counted: Callable[[str], Meaning], **more: Meaning) -> Operation:
    """Bind a script about what arrives: its three counts differ by their tag."""
    counts = {word: counted(word) for word in ("received", "completed", "complete")}
    refusals: dict[str, Meaning] = {"unknown": raises(UnknownSession), "anew": raises(BegunAnew), "closed": closed}
    return operation(script, **counts, **refusals, quota=exceeded, **more)


ACCEPT = _arriving("upload/accept", _counted, refused=_refused)
ADVANCE = _arriving("upload/advance", _at, conflict=_conflict, chunked=_chunked, beyond=_beyond)
DECLARE = _arriving("upload/declare", _declared, other=_other, contradicted=_contradicted)


# --- operations ---------------------------------------------------------------------------------------


# Each ``..._once`` is one try; the plan of the same name sweeps and tries again when a quota is exceeded.


def accept(
    records: TransferOperations, name: str, chunks: Sequence[Chunk], limits: Limits = UNLIMITED
) -> Plan[list[ChunkReceipt]]:
    """Count chunks, each once: 500 at a time, of which all are counted or none."""
    name, words = text_of(name), [_words(name, chunk) for chunk in chunks]
    receipts: list[ChunkReceipt] = []
    for at in range(0, len(chunks), MOST_AT_ONCE):
        ends = at + MOST_AT_ONCE
        receipts += yield from with_room(records, _accepted(records, name, chunks[at:ends], words[at:ends], limits))
    return receipts


def accept_one(
    records: TransferOperations, name: str, number: int, size: int, checksum: str | None, limits: Limits = UNLIMITED
) -> Plan[ChunkReceipt]:
    """Count a chunk, once however often it is said."""
    receipts = yield from with_room(records, accept_once(records, name, [(number, size, checksum)], limits))
    return receipts[0]


def accept_once(
    records: TransferOperations, name: str, chunks: Sequence[Chunk], limits: Limits = UNLIMITED
) -> Op[list[ChunkReceipt]]:
    """Count at most 500 chunks, each once; all or none."""
    name = text_of(name)
    return _accepted(records, name, chunks, [_words(name, chunk) for chunk in chunks], limits)


def _accepted(
    records: TransferOperations, name: str, chunks: Sequence[Chunk], words: Sequence[tuple[Word, ...]], limits: Limits
) -> Op[list[ChunkReceipt]]:
    return ACCEPT(
        records.keys,
        name,
        (records, chunks),
        saw=records.generations.of(name),
        most=limits.bytes,
        chunks=list(chain.from_iterable(words)),
    )


def advance(
    records: TransferOperations, name: str, offset: int, length: int, limits: Limits = UNLIMITED
) -> Plan[Offset]:
    """Count a range behind all others. ``OffsetConflict`` when it begins elsewhere, unless it is a repetition."""
    return with_room(records, advance_once(records, name, offset, length, limits))


def advance_once(
    records: TransferOperations, name: str, offset: int, length: int, limits: Limits = UNLIMITED
) -> Op[Offset]:
    name = text_of(name)
    offset, length = whole(name, "offset", offset, 0), whole(name, "length", length, 0)
    ends = whole(name, "offset + length", offset + length, 0)
    saw = records.generations.of(name)
    return ADVANCE(records.keys, name, records, saw=saw, most=limits.bytes, offset=offset, ends=ends)


def declare(records: TransferOperations, name: str, total_size: int, limits: Limits = UNLIMITED) -> Plan[ChunkReceipt]:
    """Say how large an upload is. Again with the same size: nothing changes; ``ChunkConflict`` with another one."""
    return with_room(records, declare_once(records, name, total_size, limits))


def declare_once(
    records: TransferOperations, name: str, total_size: int, limits: Limits = UNLIMITED
) -> Op[ChunkReceipt]:
    name = text_of(name)
    total_size = whole(name, "total_size", total_size, 0)
    saw = records.generations.of(name)
    return DECLARE(records.keys, name, records, saw=saw, most=limits.bytes, total=total_size)


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
    bound = LARGEST + 1
    return max(-1, min(bound, int(number))), max(-1, min(bound, int(size))), checksum or ""
