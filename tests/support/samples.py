"""One call of every script, with the state it needs: what the generic tests are run over.

A new script gets a line here; the tests fail until it has one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_state.cache import WriteStats, voice_access
from redis_state.cache.text import maintenance
from redis_state.cache.text.budget import Budget, swept, totals
from redis_state.cache.text.writes import PutRequest, TextOperations
from redis_state.cache.upload_stats import Stats
from redis_state.claim import operations as claims
from redis_state.claim.policy import ClaimPolicy
from redis_state.claim.scripts import RECORD_SCRIPTS
from redis_state.config import Settings
from redis_state.engine.engine import Engine
from redis_state.engine.inflight import RECORD_KEPT_MS
from redis_state.engine.op import Op, Plan
from redis_state.engine.resolve import RECALL
from redis_state.keys import Keys
from redis_state.lock import operations as locks
from redis_state.mapping.operations import COUNT
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.value_operations import ValueOperations
from redis_state.progress import operations as progress
from redis_state.progress.records import RunOperations
from redis_state.single_flight.operations import Computation, Flight
from redis_state.state.upload_legacy import OverwritingUploads
from redis_state.transfer import assembly, chunks, downloads, sessions
from redis_state.transfer.assembly import ASSEMBLY_SCRIPTS
from redis_state.transfer.quota import SWEEP, UNLIMITED
from redis_state.transfer.records import TransferOperations

KEYS = Keys("samples", prefix="t")


def _nothing() -> Plan[Any]:
    return iter(())  # type: ignore[return-value]


_TEXT_KEYS = Keys("text", prefix="t")
TEXTS = TextOperations(_TEXT_KEYS, 60.0, Budget(_TEXT_KEYS, 100_000))
TEXTS.budget.allocator = "libc"  # what a server says when it is first written to
STATS = Stats(Keys("stats", prefix="t"), 60.0)
VOICES = voice_access.Voices(Keys("voices", prefix="t"), 60.0)
WORK: Computation[str] = Computation(KEYS, "a", _nothing, list, lambda _: None, lambda _: _nothing(), negative_ttl=60.0)
FLIGHT, OTHER_FLIGHT = (Flight(Engine(Settings()), WORK, None) for _ in range(2))
RECORDS = RecordOperations(KEYS, 60.0, lambda: "c1", ["bitmap", "news"])
VALUES = ValueOperations(Keys("values", prefix="t"), 60.0)
UPLOADS = TransferOperations(Keys("uploads", prefix="t"), 60.0, companions=["bitmap"])
OLD_UPLOADS = OverwritingUploads(UPLOADS.keys, 60.0)
SHORT_LIVED = TransferOperations(UPLOADS.keys, 0.001, companions=["bitmap"])
DOWNLOADS = TransferOperations(Keys("downloads", prefix="t"), 60.0, tracks_dead=False)
ASSEMBLER = locks.Request(UPLOADS.keys, "a", 5.0, "c1", owner="one")
Ops = Sequence[Op[Any]]


@dataclass(frozen=True)
class Sample:
    """A call, and the calls that come before it. It must change something, unless its class is `no-writes`."""

    call: Callable[[], Op[Any]]
    before: Callable[[], Ops] = field(default=list)


def put(name: str = "a", **fields: Any) -> Op[Any]:
    return RECORDS.put(name, fields or {"n": 1, "text": "x"})


def runs() -> RunOperations:
    """Return the records of an object that has seen no run yet."""
    return RunOperations(KEYS, 60.0, lambda: "c1", ["bitmap", "news"])


def begun(name: str = "a", total: int = 3) -> Op[Any]:
    return progress.begin(runs(), name, total)


def offered() -> Ops:
    """Complete a run, with a lease that is over at once."""
    return [begun(total=1), progress.mark(runs(), "a", 0, lease=0.001)]


def recalled() -> Op[Any]:
    """Ask about a call that never ran, and whose time ended a second ago."""
    ended = int(time.time() * 1000) - 1000
    return RECALL(KEYS, "a stranger", number=1, void_at=ended, kept_ms=RECORD_KEPT_MS)


WANT = locks.Request(KEYS, "a", 5.0, "c1", "a note", owner="one")
OTHER = locks.Request(KEYS, "a", 5.0, "c2", owner="another")
SECOND = locks.Request(KEYS, "a", 5.0, "c3", owner="a second")
CLAIMED = ClaimPolicy(max_attempts=9, backoff=60.0)
ASSEMBLY = assembly.policy()


def acquired(want: locks.Request = WANT, lease: float = 5.0) -> Op[Any]:
    return locks.attempt(want, lease, queue=True)


def taken(want: locks.Request = WANT) -> Op[Any]:
    return RECORD_SCRIPTS.take(want, RECORDS, CLAIMED, {"n": 1})


def taken_by_the_dead() -> Ops:
    return [taken(locks.Request(KEYS, "a", 0.001, "c2", owner="dead"))]


def text(content: str = "some text", name: str = "a") -> Op[Any]:
    return TEXTS.put_once(PutRequest(name, content, 60.0, mtime_ns=5))


def repaired() -> Op[Any]:
    return maintenance.REPAIR(TEXTS.keys, packed="", bytes=5, count=1)


def ranged() -> Op[Any]:
    return voice_access.RANGE(VOICES.keys, oldest_ms=60_000, newest_ms=0, skip=0)


def opened(records: TransferOperations = UPLOADS, size: int | None = 20, name: str = "a") -> Op[Any]:
    data = {"upload_id": name, "total_size": size, "chunk_size": 10, "owner": "ann"}
    return sessions.open_session(records, sessions.checked(data), UNLIMITED)


def arrived(*numbers: int) -> Op[Any]:
    return chunks.accept_once(UPLOADS, "a", [(number, 10, "sum") for number in numbers])


def assembling() -> Ops:
    return [opened(), arrived(0, 1), ASSEMBLY_SCRIPTS.take(ASSEMBLER, UPLOADS, ASSEMBLY, {})]


def buried() -> Op[Any]:
    return SWEEP(UPLOADS.keys, remembers=1)


def downloading() -> Op[Any]:
    return downloads.begin_once(DOWNLOADS, "a", {"total_bytes": 100})


# One for each script, and more, named "script (what it does)", where a script does several things.
SAMPLES: dict[str, Sample] = {
    "upload/open": Sample(opened),
    "upload/accept": Sample(lambda: arrived(0), lambda: [opened()]),
    "upload/advance": Sample(lambda: chunks.advance_once(UPLOADS, "a", 0, 5), lambda: [opened(size=None)]),
    "upload/declare": Sample(lambda: chunks.declare_once(UPLOADS, "a", 20), lambda: [opened(size=None), arrived(0)]),
    "upload/assemble": Sample(
        lambda: ASSEMBLY_SCRIPTS.take(ASSEMBLER, UPLOADS, ASSEMBLY, {}), lambda: [opened(), arrived(0, 1)]
    ),
    "upload/settle": Sample(
        lambda: ASSEMBLY_SCRIPTS.confirm(ASSEMBLER, UPLOADS, ASSEMBLY, 2**52, "result"), assembling
    ),
    "upload/abort": Sample(lambda: sessions.abort(UPLOADS, "a"), assembling),
    "upload/overwrite": Sample(lambda: OLD_UPLOADS.put("a", {"n": 1}), lambda: [opened()]),
    "upload/add": Sample(
        lambda: OLD_UPLOADS.increment("a", "bytes_received", 5, create=False),
        lambda: [opened()],
    ),
    "transfer/remove": Sample(lambda: UPLOADS.remove("a"), lambda: [opened(), arrived(0)]),
    "transfer/sweep": Sample(buried, lambda: [opened(name="b"), opened(SHORT_LIVED)]),
    "download/begin": Sample(downloading),
    "download/advance": Sample(lambda: downloads.advance(DOWNLOADS, "a", 5, 7), lambda: [downloading()]),
    "download/finish": Sample(lambda: downloads.finish(DOWNLOADS, "a"), lambda: [downloading()]),
    "call/recall": Sample(recalled),
    "claim/take": Sample(taken),
    "claim/settle": Sample(lambda: RECORD_SCRIPTS.fail(WANT, RECORDS, CLAIMED, 2**52, "error", 1), lambda: [taken()]),
    "claim/settle (done)": Sample(
        lambda: RECORD_SCRIPTS.confirm(WANT, RECORDS, CLAIMED, 2**52, {"kept": True}), lambda: [taken()]
    ),
    "claim/settle (released)": Sample(
        lambda: RECORD_SCRIPTS.release(WANT, RECORDS, CLAIMED, 2**52, "why"), lambda: [taken()]
    ),
    "claim/reopen": Sample(lambda: claims.reopen(RECORDS, "a"), taken_by_the_dead),
    "claim/stalled": Sample(lambda: claims.STALLED(KEYS, skip=0), taken_by_the_dead),
    "lock/acquire": Sample(acquired),
    "lock/renew": Sample(lambda: locks.renew(WANT, 60.0), lambda: [acquired()]),
    "lock/release": Sample(lambda: locks.release(WANT), lambda: [acquired(), acquired(OTHER)]),
    "lock/leave": Sample(lambda: locks.leave(WANT), lambda: [acquired(OTHER), acquired()]),
    "lock/names": Sample(lambda: locks.NAMES(KEYS, skip=0), lambda: [acquired()]),
    "lock/inspect": Sample(lambda: locks.inspect(KEYS, "a"), lambda: [acquired(), acquired(OTHER)]),
    "index/count": Sample(lambda: COUNT(KEYS), lambda: [put()]),
    "index/page": Sample(lambda: RECORDS.page(KEYS.of("a"), "0"), lambda: [put()]),
    "record/put": Sample(put),
    "record/patch": Sample(lambda: RECORDS.patch("a", {"text": "y"}), lambda: [put()]),
    "record/increment": Sample(lambda: RECORDS.increment("a", "n", 5), lambda: [put()]),
    "record/fill": Sample(lambda: RECORDS.fill("a", "new", 1), lambda: [put()]),
    "record/unset": Sample(lambda: RECORDS.unset("a", "n"), lambda: [put()]),
    "record/remove": Sample(lambda: RECORDS.remove("a"), lambda: [put()]),
    "record/pop": Sample(lambda: RECORDS.pop("a"), lambda: [put()]),
    "record/touch": Sample(lambda: RECORDS.touch("a", 3600.0), lambda: [put()]),
    "value/put": Sample(lambda: VALUES.put("a", "new"), lambda: [VALUES.put("a", "old")]),
    "value/remove": Sample(lambda: VALUES.remove("a"), lambda: [VALUES.put("a", "old")]),
    "value/pop": Sample(lambda: VALUES.pop("a"), lambda: [VALUES.put("a", "old")]),
    "value/increment": Sample(lambda: VALUES.increment("n", 5), lambda: [VALUES.put("n", 2)]),
    "value/swap": Sample(lambda: VALUES._swap("a", b'"old"', "new"), lambda: [VALUES.put("a", "old")]),
    "value/touch": Sample(lambda: VALUES.touch("a", 3600.0), lambda: [VALUES.put("a", "old")]),
    "single_flight/lead": Sample(lambda: FLIGHT._lead(waits=True), lambda: [OTHER_FLIGHT._lead(waits=True)]),
    "single_flight/end": Sample(
        lambda: FLIGHT.end("failed", "ValueError: no"),
        lambda: [FLIGHT._lead(waits=True), OTHER_FLIGHT._lead(waits=True)],
    ),
    "stats/add": Sample(lambda: STATS.add("a", 5), lambda: [STATS.put("a", WriteStats("a", bytes_written=7))]),
    "voice/record": Sample(lambda: VOICES.record("a", "v", 5), lambda: [VOICES.record("a", "v", 4)]),
    "voice/activity": Sample(lambda: VOICES.activity("a", "v"), lambda: [VOICES.record("a", "v", 4)]),
    "voice/range": Sample(ranged, lambda: [VOICES.record("a", "v", 4)]),
    "text/get": Sample(lambda: TEXTS.read("a", 5), lambda: [text()]),
    "text/peek": Sample(lambda: TEXTS.peek("a", 5), lambda: [text()]),
    "text/put": Sample(text, lambda: [text("old"), text("another", "b")]),
    "text/drop": Sample(lambda: TEXTS.remove("a"), lambda: [text()]),
    "text/pop": Sample(lambda: TEXTS.pop("a"), lambda: [text()]),
    "text/touch": Sample(lambda: TEXTS.touch("a", 3600.0), lambda: [text()]),
    "text/sweep": Sample(lambda: swept(TEXTS.keys.parts[0], 5000, 0), lambda: [text()]),
    "text/clear": Sample(lambda: maintenance.cleared(TEXTS.keys.parts[0]), lambda: [text()]),
    "text/stats": Sample(lambda: totals(TEXTS.keys.parts[0]), lambda: [text()]),
    "text/check": Sample(lambda: maintenance.page(TEXTS.keys.parts[0], 0), lambda: [text()]),
    "text/repair": Sample(repaired),
    "progress/begin": Sample(lambda: progress.begin(runs(), "a", 4, restart=True)),
    "progress/patch": Sample(lambda: runs().patch("a", {"total_segments": 2}), lambda: [begun()]),
    "progress/increment": Sample(lambda: runs().increment("a", "processed_segments", 2), lambda: [begun()]),
    "progress/advance": Sample(lambda: progress.advance(runs(), "a", 2), lambda: [begun()]),
    "progress/mark": Sample(lambda: progress.mark(runs(), "a", 1), lambda: [begun()]),
    "progress/fail": Sample(lambda: progress.fail(runs(), "a", "broken"), lambda: [begun()]),
    "progress/confirm": Sample(lambda: progress.confirm_completion(runs(), "a"), offered),
    "progress/claim": Sample(lambda: progress.claim_completion(runs(), "a"), offered),
    "progress/pending": Sample(lambda: progress.PENDING(KEYS), offered),
}

# What others may do to the same entries before a late copy arrives: delete them, make them anew, write to them.
OTHERS: Ops = [
    UPLOADS.remove("a"),
    opened(),
    arrived(1),
    DOWNLOADS.remove("a"),
    downloading(),
    FLIGHT._lead(waits=True),
    FLIGHT.end("done"),
    STATS.remove("a"),
    STATS.add("a", 1),
    VOICES.record("a", "v", 6),
    TEXTS.remove("a"),
    text("of others"),
    TEXTS.read("a"),
    RECORDS.remove("a"),
    VALUES.remove("a"),
    put("a", n=100, text="of others"),
    VALUES.put("a", "of others"),
    VALUES.increment("n", 3),
    progress.begin(runs(), "a", 3, restart=True),
    progress.mark(runs(), "a", 2, lease=0.001),
    put("b", n=7),
    locks.leave(OTHER),
    taken(SECOND),
    locks.release(SECOND),
]
