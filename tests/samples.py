"""One call of every script, with the state it needs: what the generic tests are run over.

A new script gets a line here; the tests fail until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_state.engine.converse import RECALL, RECORD_KEPT_MS
from redis_state.engine.op import Op
from redis_state.keys import Keys
from redis_state.mapping.entries import COUNT
from redis_state.mapping.records import Records
from redis_state.mapping.values import Values
from redis_state.state import progress

KEYS = Keys("samples", prefix="t")
RECORDS = Records(KEYS, 60.0, lambda: "c1", [KEYS.bitmap, KEYS.news])
VALUES = Values(Keys("values", prefix="t"), 60.0)
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


SAMPLES: dict[str, Sample] = {
    "call/recall": Sample(recalled),
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
    "record/get_many": Sample(lambda: RECORDS.get_some(["a", "b"]), lambda: [put()]),
    "value/put": Sample(lambda: VALUES.put("a", "new"), lambda: [VALUES.put("a", "old")]),
    "value/remove": Sample(lambda: VALUES.remove("a"), lambda: [VALUES.put("a", "old")]),
    "value/pop": Sample(lambda: VALUES.pop("a"), lambda: [VALUES.put("a", "old")]),
    "value/touch": Sample(lambda: VALUES.touch("a", 3600.0), lambda: [VALUES.put("a", "old")]),
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
    RECORDS.remove("a"),
    VALUES.remove("a"),
    put("a", n=100, text="of others"),
    VALUES.put("a", "of others"),
    progress.begin(RECORDS, "a", 3, restart=True),
    progress.mark(RECORDS, "a", 2, lease=0.001),
    put("b", n=7),
]
