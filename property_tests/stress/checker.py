"""What must hold when all is quiet: the logs against each other, and against what the server holds.

Each check yields what is wrong, in words. ``exact``: the server lost no data in this round.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from property_tests.stress.config import (
    BUDGET,
    COUNTERS,
    LEASE,
    LOAD_LEASE,
    REMEMBERED,
    SEGMENTS,
    content,
    counters_of,
    guarded_of,
    texts_of,
)
from property_tests.stress.log import UNDECIDED, Operation
from property_tests.stress.nemesis import Step
from redis_state import Engine, RecordMapping
from redis_state.state import RedisConversionState, RedisProgressState, RedisUploadState
from tests.support.servers import Server


class Round(NamedTuple):
    """All that is known of a round."""

    operations: list[Operation]
    server: Server
    engine: Engine
    folder: Path
    exact: bool
    steps: Sequence[Step] = ()

    def of(self, what: str) -> dict[str, list[Operation]]:
        """Return the operations of a kind, by key, as they began."""
        found: dict[str, list[Operation]] = defaultdict(list)
        for op in sorted((op for op in self.operations if op.what == what), key=lambda op: op.began):
            found[op.key].append(op)
        return found

    def forward(self, since: float, until: float) -> list[Step]:
        """Return the steps forward of the server's clock between these times."""
        return [step for step in self.steps if step.by > 0 and step.ended >= since and step.began <= until]


def violations(seen: Round) -> Iterator[str]:
    """Check everything."""
    for check in (counters, progress, tokens, exclusion, outcomes, fences, conversions, uploads, texts, times_to_live):
        for wrong in check(seen):
            yield f"{check.__name__}: {wrong}"


def counters(seen: Round) -> Iterator[str]:
    """Each addition counts once, and each is answered with another number."""
    counted = counters_of(seen.engine)
    for what, field, mapping, keys in (
        ("increment", "n", counted, COUNTERS),
        ("mutate", "m", counted, COUNTERS),
        ("fenced", "n", guarded_of(seen.engine), "xy"),
    ):
        operations = seen.of(what)
        for key in keys:
            yield from _count(f"{what} of {key}", operations[key], _number(mapping, key, field), seen.exact)


def _count(name: str, operations: list[Operation], count: int, exact: bool) -> Iterator[str]:
    sure, unsure = [op.answer for op in operations if op.answered], sum(op.maybe for op in operations)
    if count > len(sure) + unsure or (exact and count < len(sure)):
        yield f"{name}: {len(sure)} were answered and {unsure} may have run, but {count} are counted"
    twice = [answer for answer, times in Counter(sure).items() if times > 1]
    if exact and twice:
        yield f"{name}: the numbers {twice} were answered more than once"


def progress(seen: Round) -> Iterator[str]:
    """What is counted is the set of marked segments, and one caller was told that it is whole."""
    state = RedisProgressState(engine=seen.engine)
    for key, operations in seen.of("mark").items():
        now = state.get(key)
        sure = {op.facts["segment"] for op in operations if op.answered}
        unsure = {op.facts["segment"] for op in operations if op.maybe}
        most, least = len(sure | unsure), len(sure) if seen.exact else 0
        if now is None and seen.exact and sure:
            yield f"{key} is gone, and {len(sure)} segments were marked"
        if now is None:
            continue
        if not least <= now.processed <= min(most, SEGMENTS):
            yield f"{key}: {least} segments were marked, and {most} at most, but {now.processed} are counted"
        told = [op for op in operations if op.answer is True]
        if seen.exact:
            yield from _told_once(key, told, now.status == "completed", any(op.maybe for op in operations))


def _told_once(key: str, told: list[Operation], whole: bool, maybe: bool) -> Iterator[str]:
    if len(told) > 1:
        yield f"{key}: {len(told)} callers were told that it is complete now: {'; '.join(map(str, told))}"
    if told and not whole:
        yield f"{key}: it is not complete, but a caller was told so: {told[0]}"
    if whole and not told and not maybe:
        yield f"{key}: it is complete, and nobody was told"


def tokens(seen: Round) -> Iterator[str]:
    """A grant that begins after another one was told has a larger token. Also when data was lost."""
    for what in ("acquire", "claim", "assemble"):
        for key, operations in seen.of(what).items():
            grants = [op for op in operations if op.answered and op.answer]
            for fence, times in Counter(op.answer for op in grants).items():
                if times > 1:
                    yield f"{what} {key}: token {fence} was given {times} times"
            told, newest = sorted(grants, key=lambda op: op.ended), None
            for grant in grants:  # as they began
                while told and told[0].ended < grant.began:
                    newest = max(newest or told[0], told.pop(0), key=lambda op: op.answer)
                if newest and newest.answer >= grant.answer:
                    yield f"{what} {key}: a later grant has a smaller token: {newest}, then {grant}"


def exclusion(seen: Round) -> Iterator[str]:
    """No two believe at a time that they hold the same.

    A step forward of the clock ends leases: from then on there may be another holder, for no longer than the first
    one's lease lasts by its own clock.
    """
    if not seen.exact:
        return
    holds: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for op in seen.operations:
        if op.what.startswith("believe"):
            op.began = op.facts["since"]
            op.ended = op.ended if op.answered else op.began
            holds[op.what.removeprefix("believe "), op.key].append(op)
    for (what, key), operations in holds.items():
        asked = {op.answer: op.began for op in seen.of(what)[key] if op.answered}
        operations.sort(key=lambda op: op.began)
        last = operations[0]
        for op in operations[1:]:
            if op.began < last.ended:
                steps = seen.forward(asked[last.facts["fence"]], op.began)
                if not steps:
                    yield f"{what} {key}: two holders at a time: {last} and {op}"
                elif last.ended > max(step.ended for step in steps) + LEASE:
                    yield f"{what} {key}: not told within a lease that a step of the clock ended it: {last}, {steps}"
            last = max(last, op, key=lambda one: one.ended)


def outcomes(seen: Round) -> Iterator[str]:
    """An outcome stays unknown only where the clock was put forward past the time for which calls are remembered."""
    for op in seen.operations:
        if op.end == UNDECIDED:
            steps = seen.forward(op.began, op.ended)
            if sum(step.by for step in steps) < REMEMBERED:
                yield f"its outcome stays unknown: {op}, {steps}"


def fences(seen: Round) -> Iterator[str]:
    """Accepted writes are in the order of their tokens, and none came after a later grant was told."""
    if not seen.exact:
        return
    grants = seen.of("acquire")
    for key, operations in seen.of("fenced").items():
        accepted = sorted((op for op in operations if op.answered), key=lambda op: op.answer)
        for one, other in pairwise(accepted):
            if one.facts["fence"] > other.facts["fence"]:
                yield f"{key}: a write with an older token was accepted behind a newer one: {one}, then {other}"
        told = sorted((op for op in grants[key] if op.answered and op.answer), key=lambda op: op.ended)
        newest, place = None, 0
        for write in sorted(accepted, key=lambda op: op.began):
            while place < len(told) and told[place].ended < write.began:
                newest, place = max(newest or told[place], told[place], key=lambda op: op.answer), place + 1
            if newest and newest.answer > write.facts["fence"]:
                yield f"{key}: accepted with an old token: {write}, after {newest}"


def conversions(seen: Round) -> Iterator[str]:
    """Work is finished once, by who holds the claim."""
    state = RedisConversionState(engine=seen.engine)
    yield from _finished_once(seen, "finish", state.active_conversions, "completed")


def _finished_once(seen: Round, what: str, mapping: RecordMapping, done: str) -> Iterator[str]:
    if not seen.exact:
        return
    for key, operations in seen.of(what).items():
        sure = [op for op in operations if op.answered]
        record = mapping.get(key)
        if len(sure) > 1:
            yield f"{key} was finished {len(sure)} times: {'; '.join(map(str, sure))}"
        if sure and (record is None or (record["status"], record["result"]) != (done, sure[0].facts["fence"])):
            yield f"{key}: its record is {record}, after {sure[0]}"


def uploads(seen: Round) -> Iterator[str]:
    """Each chunk is accepted once, the bytes are exact, one caller completes, and what is stored is whole."""
    state = RedisUploadState(engine=seen.engine)
    yield from _finished_once(seen, "store", state.sessions, "stored")
    for key, operations in seen.of("accept").items() if seen.exact else ():
        session = state.get_session(key)
        if session is None:
            yield f"{key} is gone"
            continue
        whole, stored = content(key), session["status"] == "stored"
        sizes = Counter(position // (session["chunk_size"]) for position in range(len(whole)))
        have = set(sizes) - {number for gap in state.missing(key) for number in gap}
        accepted = Counter(op.facts["number"] for op in operations if op.answered and op.answer[0] == "accepted")
        unsure = {op.facts["number"] for op in operations if op.maybe}
        for number, times in accepted.items():
            if times > 1:
                yield f"{key}: chunk {number} was accepted {times} times"
        if not set(accepted) <= have <= set(accepted) | unsure:
            yield f"{key}: accepted {sorted(accepted)}, perhaps {sorted(unsure)}; it has {sorted(have)}"
        counted = session["bytes_received"], session["chunks_received"]
        if counted != (sum(sizes[number] for number in have), len(have)):
            yield f"{key}: it has the chunks {sorted(have)}, and counts {counted}"
        told = [op for op in operations if op.answered and op.answer[1]]
        yield from _told_once(key, told, len(have) == len(sizes), bool(unsure))
        if stored and _digest((seen.folder / f"{key} stored").read_bytes()) != _digest(whole):
            yield f"{key} is stored, and its bytes are others"


def texts(seen: Round) -> Iterator[str]:
    """The account is what is there, within the budget; and of those who load a text at a time, there is one."""
    found = texts_of(seen.engine).check()
    if found.drift or found.faults or found.bytes > BUDGET:
        yield f"{found}, drift {found.drift}, budget {BUDGET}"
    for key, operations in seen.of("load").items() if seen.exact else ():
        for one, other in pairwise(operations):
            ends = min(one.ended, one.facts["asked"] + LOAD_LEASE)
            if other.began < ends and not seen.forward(one.facts["asked"], other.began):
                yield f"{key}: two load it at a time: {one} and {other}"


def times_to_live(seen: Round) -> Iterator[str]:
    """Every key has one."""
    client = seen.server.client(decode_responses=False)
    with client:
        forever = sorted(key for key in client.scan_iter(count=1000) if client.pttl(key) == -1)
    if forever:
        yield f"these keys live forever: {forever}"


def _number(mapping: RecordMapping, key: str, field: str) -> int:
    return int((mapping.get(key) or {}).get(field, 0))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
