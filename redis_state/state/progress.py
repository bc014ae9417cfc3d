"""Progress of work that is cut into segments, shared by all containers.

Progress is a set, not a sum: ``mark`` counts each segment once, however often and from wherever it is
said. The moment of completion is given to one caller, who confirms when it has dealt with it; if it
dies first, the completion is on offer again once its lease is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar, cast

from redis_state.codec import decode, encode
from redis_state.config import container_id as own_container_id
from redis_state.engine.op import Op, Plan, command, do, do_all, just, raises
from redis_state.engine.registry import script
from redis_state.engine.run import Engine
from redis_state.errors import SegmentOutOfRange, UnknownSession
from redis_state.keys import Keys
from redis_state.mapping import RecordMapping
from redis_state.mapping.records import Records

T = TypeVar("T")

NAMESPACE = "progress"
TTL = 7200.0  # seconds after each write
COMPLETION_LEASE = 30.0  # seconds to confirm a completion
COMPANIONS = (lambda keys: keys.bitmap, lambda keys: keys.news)  # they live and die with the record
MOST_SEGMENTS = 2**32 - 1
NEWS_WAIT = 1.0  # seconds; a watcher looks this often at least, so lost news cost no more

BEGIN = script("progress/begin")
ADVANCE = script("progress/advance")
MARK = script("progress/mark")
FAIL = script("progress/fail")
CONFIRM = script("progress/confirm")
CLAIM = script("progress/claim")
PENDING = script("progress/pending")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one run is. ``completed_now`` is True in one answer: its receiver confirms the completion."""

    processed: int
    total: int
    status: str = "processing"  # | "completed" | "failed"
    completed_now: bool = False

    @property
    def fraction(self) -> float:
        """How much is done, 0.0 to 1.0."""
        return self.processed / self.total if self.total else 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing more will come: completed or failed."""
        return self.status in ("completed", "failed")


# --- operations ---------------------------------------------------------------------------------------


def begin(records: Records, track: str, total: int, *, restart: bool = False) -> Op[Progress]:
    """Start a run, or join the one under way. ``ValueError`` when that one has another total."""
    if type(total) is not int or not 0 < total <= MOST_SEGMENTS:
        raise ValueError(f"{track!r}: total={total!r}: a number of segments, from 1 to {MOST_SEGMENTS}")
    call = BEGIN(
        **_slots(records.keys, track),
        partition=records.keys.index(track),
        ttl_ms=records.ttl_ms,
        owner=records._owner(),
        total=total,
        restart=int(restart),
    )

    def other(running: int) -> None:
        raise ValueError(f"{track!r} is running with {running} segments, not {total}; restart=True begins anew")

    return call.meaning(counted=_progress, other=other)


def advance(records: Records, track: str, by: int = 1, *, lease: float = COMPLETION_LEASE) -> Op[Progress]:
    """Add to the count, within 0 and the total. ``UnknownSession`` when there is no such run."""
    if type(by) is not int:
        raise TypeError(f"{track!r}: by={by!r}: a whole number of segments")
    call = ADVANCE(**_writing(records, track), by=max(-MOST_SEGMENTS, min(MOST_SEGMENTS, by)), lease_ms=_ms(lease))
    return call.meaning(counted=_progress, completed=_completed, unknown=raises(UnknownSession, track))


def mark(records: Records, track: str, segment: int, *, lease: float = COMPLETION_LEASE) -> Op[Progress]:
    """Count one finished segment, once however often it is said."""
    if type(segment) is not int:
        raise TypeError(f"{track!r}: segment={segment!r}: a segment's number, from 0")
    call = MARK(**_writing(records, track), segment=segment, lease_ms=_ms(lease))
    return call.meaning(
        counted=_progress,
        completed=_completed,
        unknown=raises(UnknownSession, track),
        range=raises(SegmentOutOfRange, track, segment),
    )


def fail(records: Records, track: str, error: object) -> Op[Progress]:
    """Note that a run failed, and why; it completes no more until it is begun anew."""
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    call = FAIL(**_writing(records, track), reason=encode(reason, path="error"))
    return call.meaning(counted=_progress, unknown=raises(UnknownSession, track))


def confirm_completion(records: Records, track: str) -> Op[bool]:
    """Say that a completion was dealt with. True for the first who says so."""
    call = CONFIRM(completions=records.keys.completions(track), name=track)
    return call.meaning(confirmed=just(True), nothing=just(False))


def claim_completion(records: Records, track: str, *, lease: float = COMPLETION_LEASE) -> Op[Progress | None]:
    """Take over a completion whose receiver did not confirm it in time; None when there is none."""
    keys = records.keys
    call = CLAIM(track=keys.record(track), completions=keys.completions(track), name=track, lease_ms=_ms(lease))
    return call.meaning(completed=_completed, nothing=just(None))


def pending_completions(records: Records) -> Plan[list[str]]:
    """List the completions that can be claimed. Two round trips, or three when there are some whose run is gone."""
    pages = yield from do_all(
        [
            PENDING(completions=completions).meaning(pending=lambda names: [name.decode() for name in names])
            for completions in records.keys.all_completions()
        ]
    )
    names = [name for page in pages for name in page]
    found = yield from do_all([read(records, name) for name in names])
    completed = [name for name, seen in zip(names, found, strict=True) if seen and seen.status == "completed"]
    gone = set(names).difference(completed)
    yield from do_all([claim_completion(records, name) for name in gone])  # which forgets them
    return completed


def read(records: Records, track: str) -> Op[Progress | None]:
    """Read how far a run is."""

    def progress(values: list[bytes | None]) -> Progress | None:
        total = _count(values[1])
        return None if total is None else _progress(_count(values[0]) or 0, total, values[2] or b'"processing"')

    fields = ("processed_segments", "total_segments", "status")
    return command("HMGET", records.keys.record(track), *fields, read=progress)


class Watch:
    """The steps of watching one run: each returns how far it is now, and waits for news in between."""

    def __init__(self, records: Records, track: str) -> None:
        self._records = records
        self._track = track
        self._last = "0"

    def look(self) -> Plan[Progress]:
        """Read the run, and remember which news that takes in."""
        news = self._records.keys.news(self._track)
        newest = command("XREVRANGE", news, "+", "-", "COUNT", 1, read=_entry_id)
        both: list[Op[Any]] = [newest, read(self._records, self._track)]
        self._last, seen = yield from do_all(both)
        if seen is None:
            raise UnknownSession(self._track)
        return cast("Progress", seen)

    def wait(self, seconds: float) -> Plan[Progress]:
        """Wait for news, a second at the most, then look."""
        news = self._records.keys.news(self._track)
        patience = max(0.001, min(NEWS_WAIT, seconds))
        words = ("XREAD", "COUNT", 1, "BLOCK", int(patience * 1000) or 1, "STREAMS", news, self._last)
        yield from do(command(*words, read=bool, blocks=patience))
        return (yield from self.look())


def _entry_id(entries: list[Any]) -> str:
    return entries[0][0].decode() if entries else "0"


def _slots(keys: Keys, track: str) -> dict[str, Any]:
    return {
        "track": keys.record(track),
        "seen": keys.bitmap(track),
        "news": keys.news(track),
        "completions": keys.completions(track),
        "name": track,
    }


def _writing(records: Records, track: str) -> dict[str, Any]:
    return {**_slots(records.keys, track), "partition": records.keys.index(track)}


def _ms(lease: float) -> int:
    if not 0 < lease <= 86400:
        raise ValueError(f"completion_lease={lease!r}: seconds, above 0 and at most a day")
    return max(1, int(lease * 1000))


def _count(raw: bytes | None) -> int | None:
    """Return a stored number, whole; None for what is none, since applications write these fields, too."""
    try:
        return int(float(raw or b""))
    except (ValueError, OverflowError):
        return None


def _progress(processed: int, total: int, status: bytes) -> Progress:
    return Progress(max(0, min(total, processed)), total, decode(status))


def _completed(processed: int, total: int) -> Progress:
    return Progress(processed, total, "completed", completed_now=True)


# --- the object ---------------------------------------------------------------------------------------


class RedisProgressState:
    """What every container knows about every track being segmented.

    ``segment_progress`` is the mapping behind it: the fields ``total_segments``, ``processed_segments``,
    ``status`` (and ``error``), and whatever else the application keeps there. Entries live two hours
    after each write. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        completion_lease: float = COMPLETION_LEASE,
    ) -> None:
        self._lease = completion_lease
        _ms(completion_lease)
        self.segment_progress = RecordMapping(
            NAMESPACE,
            ttl=TTL if ttl is None else ttl,
            engine=engine,
            container_id=container_id,
            companions=COMPANIONS,
        )

    @property
    def container_id(self) -> str:
        """Who owns what is begun here."""
        return self.segment_progress.container_id or own_container_id()

    def begin(self, key: str, total: int, *, restart: bool = False) -> Progress:
        """Start a run of ``total`` segments, or join the one under way.

        ``ValueError`` when that one has another total; ``restart`` begins anew, whatever is there.
        """
        return self._run(begin(self._records, key, total, restart=restart))

    def advance(self, key: str, by: int = 1) -> Progress:
        """Count ``by`` more segments, within 0 and the total, for work whose parts have no numbers."""
        return self._run(advance(self._records, key, by, lease=self._lease))

    def mark(self, key: str, segment: int) -> Progress:
        """Count segment number ``segment`` (from 0) as finished, once however often it is said."""
        return self._run(mark(self._records, key, segment, lease=self._lease))

    def fail(self, key: str, error: object) -> Progress:
        """Note that the run failed, and why (a text or an exception)."""
        return self._run(fail(self._records, key, error))

    def get(self, key: str) -> Progress | None:
        """Read how far a run is; None when there is none."""
        return self._run(read(self._records, key))

    def confirm_completion(self, key: str) -> bool:
        """Say that the completion was dealt with; it is offered to nobody again. True for the first who says so."""
        return self._run(confirm_completion(self._records, key))

    def pending_completions(self) -> list[str]:
        """List the completions whose receiver did not confirm them in time. Two round trips."""
        return self.segment_progress.engine.follow(pending_completions(self._records))

    def claim_completion(self, key: str) -> Progress | None:
        """Take over such a completion. Of many callers one gets it, the others None."""
        return self._run(claim_completion(self._records, key, lease=self._lease))

    def watch(self, key: str, timeout: float | None = None) -> Iterator[Progress]:
        """Yield the progress at once, and then on each change, pushed by the server.

        Ends when the run is finished, or after ``timeout`` seconds without news. Changes that follow
        each other closely may come as one. ``UnknownSession`` when there is no such run (any more).
        Holds a connection while it waits.
        """
        engine = self.segment_progress.engine
        watch = Watch(self._records, key)
        seen = engine.follow(watch.look())
        while True:
            yield seen
            if seen.finished:
                return
            quiet_until = None if timeout is None else monotonic() + timeout
            last = seen
            while seen == last:
                left = NEWS_WAIT if quiet_until is None else quiet_until - monotonic()
                if left <= 0:
                    return
                seen = engine.follow(watch.wait(left))

    @property
    def _records(self) -> Records:
        return self.segment_progress.entries

    def _run(self, op: Op[T]) -> T:
        return self.segment_progress.engine.run(op)


progress_state = RedisProgressState()
