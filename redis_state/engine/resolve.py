"""What became of a call whose outcome is unknown: one op that asks the server's record of it. Pure."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from redis_state.engine.inflight import RECORD_KEPT_MS
from redis_state.engine.op import Op, just
from redis_state.engine.operation import operation
from redis_state.errors import NotApplied, OutcomeUnknown
from redis_state.keys import Partition

ANSWERED, NEVER, UNDECIDED = range(3)
RECALL = operation(
    "call/recall",
    answered=lambda _, reply: (ANSWERED, reply),
    never=just((NEVER, None)),
    undecided=just((UNDECIDED, None)),
    forgotten=just((UNDECIDED, None)),
)


def resolve(error: OutcomeUnknown) -> Generator[Op[Any], Any, Any]:
    """Find out with one op what became of a call: return its result, or raise ``NotApplied``, or ``error`` again."""
    op, identity = error.op, error.identity
    if identity is None:
        if op is None:
            raise error
        op.until = None  # that time-out is over, and was of that call
        try:
            return (yield op)  # an idempotent one: a copy is harmless, so ask again
        except NotApplied as trouble:  # this copy was not; of the first one that proves nothing
            raise error from trouble
    words = {"number": identity.number, "void_at": identity.void_at, "kept_ms": RECORD_KEPT_MS}
    try:
        known, reply = yield RECALL(Partition.of_key(identity.record), record=identity.record, **words)
    except (NotApplied, OutcomeUnknown) as trouble:  # the server did not tell: that proves nothing about the call
        raise error from trouble
    if known == NEVER:
        raise NotApplied(f"{error.args[0].partition(':')[0]}: it never ran, and now never will")
    if known == UNDECIDED:
        raise error
    return op.read(reply) if op is not None else reply
