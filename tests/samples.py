"""One call of every script, with the state it needs: what the generic tests are run over.

A new script gets a line here; the tests fail until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_state.cache import WriteStats, voice_access
from redis_state.cache.text import upkeep
from redis_state.cache.text.steps import Texts, Wanted, swept, totals
from redis_state.cache.upload_stats import Stats
from redis_state.claim import steps as claims
from redis_state.engine.converse import RECALL, RECORD_KEPT_MS
from redis_state.engine.op import Op, Plan
from redis_state.flight import Work
from redis_state.keys import Keys
from redis_state.lock import steps as locks
from redis_state.mapping.entries import COUNT
from redis_state.mapping.records import Records
from redis_state.mapping.values import Values
from redis_state.state import progress
from redis_state.transfer import chunks, downloads, sessions
from redis_state.transfer.assembly import Assembly
from redis_state.transfer.legacy import Overwritten
from redis_state.transfer.records import SWEEP, Transfers

KEYS = Keys("samples", prefix="t")


def _nothing() -> Plan[Any]:
    return iter(())  # type: ignore[return-value]


TEXTS = Texts(Keys("text", prefix="t"), 60.0, 100_000)
TEXTS._allocator = "libc"  # what a server says when it is first written to
STATS = Stats(Keys("stats", prefix="t"), 60.0)
VOICES = voice_access.Voices(Keys("voices", prefix="t"), 60.0)
WORK: Work[str] = Work(KEYS, "a", _nothing, list, lambda _: None, lambda _: _nothing(), negative_ttl=60.0)
RECORDS = Records(KEYS, 60.0, lambda: "c1", [KEYS.bitmap, KEYS.news])
VALUES = Values(Keys("values", prefix="t"), 60.0)
UPLOADS = Transfers(Keys("uploads", prefix="t"), 60.0, companions=[Keys("uploads", prefix="t").bitmap])
SHORT_LIVED = Transfers(UPLOADS.keys, 0.001, companions=[UPLOADS.keys.bitmap])
DOWNLOADS = Transfers(Keys("downloads", prefix="t"), 60.0, remembers=False)
ASSEMBLER = locks.Request(UPLOADS.keys, "a", 5.0, "c1", owner="one")
Ops = Sequence[Op[Any]]


@dataclass(frozen=True)
class Sample:
    """A call, and the calls that come before it. It must change something, unless its class is `reads`."""

    call: Callable[[], Op[Any]]
    before: Callable[[], Ops] = field(default=list)


def put(name: str = "a", **fields: Any) -> Op[Any]:
    return RECORDS.put(name, fields or {"n": 1, "text": "x"})


def begun(name: str = "a", total: int = 3) -> Op[Any]:
    return progress.begin(RECORDS, name, total)


def offered() -> Ops:
    """Complete a run, with a lease that is over at once."""
    return [begun(total=1), progress.mark(RECORDS, "a", 0, lease=0.001)]


def recalled() -> Op[Any]:
    call = RECALL(record="t:{samples}:c:nobody", number=1, void_at=1, kept_ms=RECORD_KEPT_MS)
    return call.meaning(answered=list, never=list, undecided=list, forgotten=lambda *_: "forgotten")


WANT = locks.Request(KEYS, "a", 5.0, "c1", "a note", owner="one")
OTHER = locks.Request(KEYS, "a", 5.0, "c2", owner="another")
SECOND = locks.Request(KEYS, "a", 5.0, "c3", owner="a second")
CLAIMED = claims.Terms(max_attempts=9, backoff=60.0)


def acquired(want: locks.Request = WANT, lease: float = 5.0) -> Op[Any]:
    return locks.attempt(want, lease, queue=True)


def taken(want: locks.Request = WANT) -> Op[Any]:
    return claims._take(want, RECORDS, {"n": 1}, 9)


def taken_by_the_dead() -> Ops:
    return [taken(locks.Request(KEYS, "a", 0.001, "c2", owner="dead"))]


def text(content: str = "some text", name: str = "a") -> Op[Any]:
    return TEXTS._put(Wanted(name, content, 60.0, mtime_ns=5))


def repaired() -> Op[Any]:
    call = upkeep.REPAIR(**TEXTS.shards[0]._asdict(), packed="", bytes=5, count=1)
    return call.meaning(repaired=bool, changed=bool)


def ranged() -> Op[Any]:
    call = voice_access.RANGE(voices=VOICES.keys.index("a"), oldest_ms=60_000, newest_ms=0, skip=0)
    return call.meaning(voices=list)


def opened(records: Transfers = UPLOADS, size: int | None = 20, name: str = "a") -> Op[Any]:
    data = {"upload_id": name, "total_size": size, "chunk_size": 10, "owner": "ann"}
    return sessions.open_session(records, sessions.checked(data), sessions.UNLIMITED)


def arrived(*numbers: int) -> Op[Any]:
    return chunks.accept(UPLOADS, "a", [(number, 10, "sum") for number in numbers])


def assembling() -> Ops:
    return [opened(), arrived(0, 1), Assembly().take(ASSEMBLER, UPLOADS, {})]


def buried() -> Op[Any]:
    return SWEEP(partition=UPLOADS.keys.index(""), **UPLOADS.keys.books(""), remembers=1).meaning(swept=int)


def downloading() -> Op[Any]:
    return downloads.begin(DOWNLOADS, "a", {"total_bytes": 100})


SAMPLES: dict[str, Sample] = {
    "upload/open": Sample(opened),
    "upload/accept": Sample(lambda: arrived(0), lambda: [opened()]),
    "upload/advance": Sample(lambda: chunks.advance(UPLOADS, "a", 0, 5), lambda: [opened(size=None)]),
    "upload/declare": Sample(lambda: chunks.declare(UPLOADS, "a", 20), lambda: [opened(size=None), arrived(0)]),
    "upload/assemble": Sample(lambda: Assembly().take(ASSEMBLER, UPLOADS, {}), lambda: [opened(), arrived(0, 1)]),
    "upload/settle": Sample(lambda: Assembly().confirm(ASSEMBLER, UPLOADS, 2**52, "result"), assembling),
    "upload/abort": Sample(lambda: sessions.abort(UPLOADS, "a"), assembling),
    "upload/overwrite": Sample(lambda: Overwritten(UPLOADS.keys, 60.0).put("a", {"n": 1}), lambda: [opened()]),
    "transfer/remove": Sample(lambda: UPLOADS.remove("a"), lambda: [opened(), arrived(0)]),
    "transfer/sweep": Sample(buried, lambda: [opened(name="b"), opened(SHORT_LIVED)]),
    "download/begin": Sample(downloading),
    "download/advance": Sample(lambda: downloads.advance(DOWNLOADS, "a", 5, 7), lambda: [downloading()]),
    "download/finish": Sample(lambda: downloads.finish(DOWNLOADS, "a"), lambda: [downloading()]),
    "call/recall": Sample(recalled),
    "claim/take": Sample(taken),
    "claim/confirm": Sample(lambda: claims.confirm(WANT, RECORDS, 2**52, "result", CLAIMED), lambda: [taken()]),
    "claim/fail": Sample(lambda: claims.fail(WANT, RECORDS, 2**52, "error", 1, CLAIMED), lambda: [taken()]),
    "claim/reopen": Sample(lambda: claims.reopen(RECORDS, "a"), taken_by_the_dead),
    "claim/stalled": Sample(
        lambda: claims.STALLED(leases=KEYS.leases("a"), skip=0).meaning(stalled=list), taken_by_the_dead
    ),
    "lock/acquire": Sample(acquired),
    "lock/renew": Sample(lambda: locks.renew(WANT, 60.0), lambda: [acquired()]),
    "lock/release": Sample(lambda: locks.release(WANT), lambda: [acquired(), acquired(OTHER)]),
    "lock/leave": Sample(lambda: locks.leave(WANT), lambda: [acquired(OTHER), acquired()]),
    "lock/names": Sample(
        lambda: locks.NAMES(leases=KEYS.leases("a"), skip=0).meaning(names=list), lambda: [acquired()]
    ),
    "lock/inspect": Sample(lambda: locks.inspect(KEYS, "a"), lambda: [acquired(), acquired(OTHER)]),
    "index/count": Sample(lambda: COUNT(partition=KEYS.index("a")).meaning(entries=int), lambda: [put()]),
    "index/page": Sample(lambda: RECORDS.page(KEYS.index("a"), "0"), lambda: [put()]),
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
    "value/touch": Sample(lambda: VALUES.touch("a", 3600.0), lambda: [VALUES.put("a", "old")]),
    "flight/announce": Sample(lambda: WORK.announce("ValueError: no"), lambda: [WORK.announce()]),
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
    "text/sweep": Sample(lambda: swept(TEXTS.shards[0], 5000, 0), lambda: [text()]),
    "text/clear": Sample(lambda: upkeep.cleared(TEXTS.shards[0]), lambda: [text()]),
    "text/stats": Sample(lambda: totals(TEXTS.shards[0]), lambda: [text()]),
    "text/check": Sample(lambda: upkeep.page(TEXTS.shards[0], 0), lambda: [text()]),
    "text/repair": Sample(repaired),
    "progress/begin": Sample(lambda: progress.begin(RECORDS, "a", 4, restart=True)),
    "progress/advance": Sample(lambda: progress.advance(RECORDS, "a", 2), lambda: [begun()]),
    "progress/mark": Sample(lambda: progress.mark(RECORDS, "a", 1), lambda: [begun()]),
    "progress/fail": Sample(lambda: progress.fail(RECORDS, "a", "broken"), lambda: [begun()]),
    "progress/confirm": Sample(lambda: progress.confirm_completion(RECORDS, "a"), offered),
    "progress/claim": Sample(lambda: progress.claim_completion(RECORDS, "a"), offered),
    "progress/pending": Sample(
        lambda: progress.PENDING(completions=KEYS.completions("a")).meaning(pending=list), offered
    ),
}

# What others may do to the same entries before a late copy arrives: delete them, make them anew, write to them.
OTHERS: Ops = [
    UPLOADS.remove("a"),
    opened(),
    arrived(1),
    DOWNLOADS.remove("a"),
    downloading(),
    WORK.announce(),
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
    progress.begin(RECORDS, "a", 3, restart=True),
    progress.mark(RECORDS, "a", 2, lease=0.001),
    put("b", n=7),
    locks.leave(OTHER),
    taken(SECOND),
    locks.release(SECOND),
]
