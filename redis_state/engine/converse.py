"""The conversation that carries calls to their outcomes. Pure; both engines follow it.

``converse`` is a generator. It yields what it wants from the channel (``Connect``, ``Exchange``,
``Wait``) and returns one outcome for each op: its result, or the exception to raise. Every fault is
retried, always with the same identity, until the deadline; then a call that may have run is
``OutcomeUnknown``, and one that cannot have run is ``NotApplied``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any, TypeAlias

from redis_state.config import MAX_DEADLINE, Settings
from redis_state.engine.call import Broken, Sending, Session, Verdict, pack
from redis_state.engine.faults import cannot_connect
from redis_state.engine.op import Op, Plan, do, just
from redis_state.engine.registry import script
from redis_state.errors import NotApplied, OutcomeUnknown, RedisStateError

FIRST_PAUSE = 0.010  # seconds; the limit doubles with each attempt, and the pause is random below it
LONGEST_PAUSE = 0.5
RECORD_KEPT_MS = 900_000 - int(MAX_DEADLINE * 1000)  # a call's record outlives its time by this much, at least

RECALL = script("call/recall")


@dataclass(frozen=True, slots=True)
class Connect:
    """Ask for a new connection to the server that is ours now. Answer: None, or an exception."""

    within: float  # seconds for everything that connecting takes


@dataclass(slots=True)  # not frozen: that would triple what making one costs
class Exchange:
    """Ask to send ``payload`` and to read ``replies`` replies. Answer: a list; when it is short, ``Broken`` ends it."""

    payload: bytes
    replies: int
    blocks: float  # seconds by which the server may hold replies back on purpose


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask to do nothing for some seconds. Answer: None."""

    seconds: float


Ask: TypeAlias = Connect | Exchange | Wait


def converse(
    ops: Sequence[Op[Any]], session: Session, settings: Settings, now: Callable[[], float] = monotonic
) -> Generator[Ask, Any, list[Any]]:
    """Carry some ops to their outcomes, all in one write. The channel is ours until we return."""
    deadline = now() + settings.deadline
    session.calls += len(ops)
    sendings = [Sending(op, place) for place, op in enumerate(ops)]
    pending = sendings
    trouble: BaseException | None = None
    for attempt in count():
        mended = False
        if not session.connected:
            left = deadline + settings.socket_timeout - now()
            failed = yield Connect(max(0.001, left))  # a process that slept has none left
            if failed is not None:
                trouble = cannot_connect(failed, session.server) or failed
                if isinstance(trouble, RedisStateError):  # no later attempt can fare better
                    break
        if session.connected and now() < deadline:
            ahead = _scripts_of(pending) if session.fresh and len(pending) > 1 else []
            replies = yield _exchange(ahead, pending, session, deadline)
            pending, mended = _hear(replies, len(ahead), pending, session, now())
            if not pending:
                return [sending.outcome for sending in sendings]
            if isinstance(replies[-1], Broken | BaseException):
                trouble = replies[-1].error if isinstance(replies[-1], Broken) else replies[-1]
        pause = 0.0 if mended and attempt < 3 else _pause(attempt)
        if now() + pause >= deadline:
            break
        if pause:
            yield Wait(pause)
    for sending in pending:
        sending.give_up(session, trouble, settings.deadline)
    return [sending.outcome for sending in sendings]


def _exchange(ahead: list[bytes], pending: list[Sending], session: Session, deadline: float) -> Exchange:
    session.fresh = False
    wanted, blocks, parts = len(ahead), 0.0, [*ahead]
    session.scripts_loaded += wanted
    for sending in pending:
        parts.append(sending.packed(session, deadline))
        wanted += sending.replies
        blocks += sending.op.blocks
    return Exchange(b"".join(parts), wanted, blocks)


def _hear(
    replies: list[Any], start: int, pending: list[Sending], session: Session, now: float
) -> tuple[list[Sending], bool]:
    """Give each call its replies. Return those to send again, and whether something is mended for them."""
    again, mended = [], False
    for sending in pending:
        end = start + sending.replies
        verdict = sending.hear(replies[start:end], session, now)
        start = end
        if verdict is not Verdict.SETTLED:
            again.append(sending)
            mended = mended or verdict is Verdict.AT_ONCE
    return again, mended


def _scripts_of(pending: Sequence[Sending]) -> list[bytes]:
    """Return a SCRIPT LOAD for each script that a batch uses."""
    texts = {sending.op.script.text for sending in pending if sending.op.script and not sending.needs_script}
    return [pack(("SCRIPT", "LOAD", text)) for text in texts]


def _pause(attempt: int) -> float:
    return random.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10)))


def resolve(error: OutcomeUnknown) -> Plan[Any]:
    """Find out what became of a call: return its result, or raise ``NotApplied``, or ``error`` again."""
    op, identity = error.op, error.identity
    if identity is None:
        if op is None:
            raise error
        try:
            return (yield from do(op))  # class `same`: a copy is harmless, so ask again
        except NotApplied as trouble:  # this copy was not; of the first one that proves nothing
            raise error from trouble
    call = RECALL(record=identity.record, number=identity.number, void_at=identity.void_at, kept_ms=RECORD_KEPT_MS)
    never = NotApplied(f"{error.args[0].partition(':')[0]}: it never ran, and now never will")
    recall = call.meaning(
        answered=lambda reply: (reply, None),
        never=just((None, never)),
        undecided=just((None, error)),
        forgotten=just((None, error)),
    )
    try:
        reply, failed = yield from do(recall)
    except NotApplied as trouble:  # nobody told: that proves nothing about the call
        raise error from trouble
    if failed is not None:
        raise failed
    return op.read(reply) if op is not None else reply
