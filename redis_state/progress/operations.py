"""What can be done with a run, as operations. Sends nothing.

What is said late, of a run that was begun anew since, is refused: an operation names the run that its object saw last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from redis_state.codec import decode, encode
from redis_state.durations import DAY, seconds, to_ms
from redis_state.engine.op import Op, Plan, command, do_all, just
from redis_state.engine.operation import Meaning, ScriptOp, operation, raises
from redis_state.errors import BegunAnew, SegmentOutOfRange, UnknownSession, told
from redis_state.keys import text_of
from redis_state.mapping.record_format import whole_number
from redis_state.progress.records import RunOperations

NAMESPACE = "progress"
TTL = 7200.0  # seconds after each write
COMPLETION_LEASE = 30.0  # seconds to confirm a completion
_COMPLETION_LEASE_MS = 30_000
COMPANIONS = ("bitmap", "news")  # key slots that live and die with the record
MOST_SEGMENTS = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one run is. ``completed_now`` is True in one answer: its receiver confirms the completion.

    ``completion`` is set in that answer: what ``confirm_completion`` is given, so that it is about this one.
    """

    processed: int
    total: int
    status: str = "processing"  # | "completed" | "failed"
    completed_now: bool = False
    completion: int | None = field(default=None, compare=False)

    @property
    def fraction(self) -> float:
        """How much is done, 0.0 to 1.0."""
        return self.processed / self.total if self.total else 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing more will come: completed or failed."""
        return self.status in ("completed", "failed")


_STATUSES = {encode(status): status for status in ("processing", "completed", "failed")}  # as they are stored


def _bounded(processed: int, total: int, status: bytes) -> Progress:
    if not 0 <= processed <= total:
        processed = max(0, min(total, processed))
    return Progress(processed, total, _STATUSES.get(status) or decode(status))


# --- what replies mean: of a call that is about the records, which remember what they saw ----------------


def _begun(call: ScriptOp[Any], processed: int, total: int, status: bytes, generation: bytes | int) -> Progress:
    call.about.sees(call["name"], generation)
    return _bounded(processed, total, status)


def _counted(call: ScriptOp[Any], processed: int, total: int, status: bytes, generation: bytes) -> Progress:
    call.about.heard(call["name"], generation)
    return _bounded(processed, total, status)


def _completed(call: ScriptOp[Any], processed: int, total: int, generation: bytes, completion: bytes | int) -> Progress:
    name = call["name"]
    call.about.heard(name, generation)
    call.about.completions.saw(name, int(completion))
    return Progress(processed, total, "completed", completed_now=True, completion=int(completion))


def _other(call: ScriptOp[Any], running: int) -> NoReturn:
    raise ValueError(
        f"{call['name']!r} is running with {running} segments, not {call['total']}; restart=True begins anew"
    )


def _range(call: ScriptOp[Any], total: int) -> NoReturn:
    raise SegmentOutOfRange(call["name"], call["segment"], total)


def _many(call: ScriptOp[Any], most: int) -> NoReturn:
    raise ValueError(
        f"{call['name']!r}: segment {call['segment']}: segments up to {most - 1} can be marked, which takes a bit of "
        "the server's memory for each; count more of them with advance, or make them larger"
    )


_COUNTED: dict[str, Meaning] = {"counted": _counted, "unknown": raises(UnknownSession), "anew": raises(BegunAnew)}

BEGIN = operation("progress/begin", counted=_begun, other=_other)
ADVANCE = operation("progress/advance", **_COUNTED, completed=_completed)
MARK = operation("progress/mark", **_COUNTED, completed=_completed, range=_range, many=_many)
FAIL = operation("progress/fail", **_COUNTED)
CONFIRM = operation("progress/confirm", confirmed=just(True), nothing=just(False))
CLAIM = operation("progress/claim", completed=_completed, nothing=just(None))
PENDING = operation("progress/pending", pending=lambda _, names: [name.decode() for name in names])


# --- operations ---------------------------------------------------------------------------------------


def begin(records: RunOperations, track: str, total: int, *, restart: bool = False) -> Op[Progress]:
    """Start a run, or join the one under way. ``ValueError`` when that one has another total."""
    track = text_of(track)
    if type(total) is not int or not 0 < total <= MOST_SEGMENTS:
        raise ValueError(f"{track!r}: total={total!r}: a number of segments, from 1 to {MOST_SEGMENTS}")
    return BEGIN(
        records.keys,
        track,
        records,
        ttl_ms=records.ttl_ms,
        owner=records._owner(),
        total=total,
        restart=int(restart),
    )


def advance(records: RunOperations, track: str, by: int = 1, *, lease: float = COMPLETION_LEASE) -> Op[Progress]:
    """Add to the count, within 0 and the total. ``UnknownSession`` when there is no such run."""
    track = text_of(track)
    if type(by) is not int:
        raise TypeError(f"{track!r}: by={by!r}: a whole number of segments")
    by = max(-MOST_SEGMENTS, min(MOST_SEGMENTS, by))
    saw = records.generations.of(track)
    return ADVANCE(records.keys, track, records, saw=saw, by=by, lease_ms=lease_ms(lease))


def mark(records: RunOperations, track: str, segment: int, *, lease: float = COMPLETION_LEASE) -> Op[Progress]:
    """Count one finished segment, once however often it is said."""
    track = text_of(track)
    if type(segment) is not int:
        raise TypeError(f"{track!r}: segment={segment!r}: a segment's number, from 0")
    saw = records.generations.of(track)
    return MARK(records.keys, track, records, saw=saw, segment=segment, lease_ms=lease_ms(lease))


def fail(records: RunOperations, track: str, error: object) -> Op[Progress]:
    """Note that a run failed, and why; it completes no more until it is begun anew."""
    track = text_of(track)
    why = encode(told(error), path="error")
    return FAIL(records.keys, track, records, saw=records.generations.of(track), reason=why)


def confirm_completion(records: RunOperations, track: str, completion: int | None = None) -> Op[bool]:
    """Say that a completion was dealt with. True for the first who says so; False of one of an earlier run."""
    track = text_of(track)
    if completion is not None and type(completion) is not int:
        raise TypeError(f"{track!r}: completion={completion!r}: the one of a Progress that says completed_now")
    return CONFIRM(
        records.keys,
        track,
        saw=records.generations.of(track) if completion is None else "",
        completion=records.completions.of(track) if completion is None else completion,
    )


def claim_completion(records: RunOperations, track: str, *, lease: float = COMPLETION_LEASE) -> Op[Progress | None]:
    """Take over a completion whose receiver did not confirm it in time; None when there is none."""
    return CLAIM(records.keys, text_of(track), records, lease_ms=lease_ms(lease))


def pending_completions(records: RunOperations) -> Plan[list[str]]:
    """List the completions that can be claimed. Two round trips, or three when there are some whose run is gone."""
    pages = yield from do_all([PENDING(partition) for partition in records.keys.parts])
    names = [name for page in pages for name in page]
    found = yield from do_all([_read(records, name, lambda _: None) for name in names])
    completed = [name for name, seen in zip(names, found, strict=True) if seen and seen.status == "completed"]
    gone = set(names).difference(completed)
    yield from do_all([claim_completion(records, name) for name in gone])  # which forgets them
    return completed


def read(records: RunOperations, track: str) -> Op[Progress | None]:
    """Read how far a run is. Later writes are about the run that was seen: begun anew, it takes none of them."""
    track = text_of(track)
    return _read(records, track, partial(records.sees, track))


def _read(records: RunOperations, track: str, look: Callable[[bytes | None], None]) -> Op[Progress | None]:
    def progress(values: list[bytes | None]) -> Progress | None:
        look(values[3])
        total = whole_number(values[1])
        return None if total is None else _bounded(whole_number(values[0]) or 0, total, values[2] or b'"processing"')

    fields = ("processed_segments", "total_segments", "status", "@generation")
    return command(records.keys, "HMGET", records.keys.key("entry", track), *fields, name=track, read=progress)


def lease_ms(completion_lease: float) -> int:
    """Return the lease of a completion in milliseconds; it is a day at most."""
    if completion_lease is COMPLETION_LEASE:
        return _COMPLETION_LEASE_MS
    return to_ms(seconds("completion_lease", completion_lease, most=DAY))
