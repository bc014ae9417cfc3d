"""Claims, as operations and plans. Sends nothing.

A claim is held under a lock of the same name as its record, in the record's namespace, so a write to
the record that carries a bare token is compared with the lock's last one, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from redis_state.claim.policy import ClaimPolicy
from redis_state.claim.scripts import ClaimScripts, Taken
from redis_state.clock import monotonic
from redis_state.engine.op import Op, Plan, command, do, do_all, just
from redis_state.engine.operation import operation
from redis_state.engine.pages import by_offset
from redis_state.errors import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    LockLost,
    RedisStateError,
    ServerFull,
    ServerRefused,
    StaleToken,
    UnknownSession,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.keys import Keys
from redis_state.lock.operations import CLOCK_RESOLUTION_S, Request, leave, renew, texts_of
from redis_state.mapping.record_operations import RecordOperations

TRIES = 3  # to take work under a lease that is over before the answer comes
HANDED_BACK = "it was handed back"
UNBEGUN = "its lease was over before it began"
REFUSED = (  # each proves that nothing was taken
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    UnknownSession,
    UploadClosed,
    UploadIncomplete,
    ServerFull,
    ServerRefused,
    LockLost,
    TypeError,
)

REOPEN = operation("claim/reopen", reopened=just(True), nothing=just(False))
STALLED = operation("claim/stalled", stalled=texts_of)


def take(
    request: Request, records: RecordOperations, data: Mapping[str, Any], policy: ClaimPolicy, scripts: ClaimScripts
) -> Plan[Taken]:
    """Take the work. ``AlreadyClaimed``, ``AlreadyDone`` or ``AttemptsExhausted`` when that cannot be.

    ``LockLost`` when the lease is over before its holder hears of it, again and again. Such an attempt is not counted.
    """
    for _ in range(TRIES):
        sent = monotonic()
        taken = yield from do(scripts.take(request, records, policy, {"status": policy.taken, **data}))
        lease = taken.lease._replace(ends=sent + request.first_lease - CLOCK_RESOLUTION_S)
        if lease.ends - monotonic() >= request.first_lease / 4:
            return taken._replace(lease=lease)
        sent = monotonic()  # the answer took long: make sure of it
        if (yield from do(renew(request, request.first_lease))):
            return taken._replace(lease=lease._replace(ends=sent + request.first_lease - CLOCK_RESOLUTION_S))
        with suppress(StaleToken):  # work that was never begun
            yield from do(scripts.release(request, records, policy, lease.fence, UNBEGUN))
    why = f"its lease of {request.first_lease:g} s is over before an answer comes: take a longer one"
    raise LockLost(request.name, why)


def abandon(
    request: Request, records: RecordOperations, policy: ClaimPolicy, scripts: ClaimScripts, why: object
) -> Plan[None]:
    """Give up a taking, whatever became of it: the work was not begun. Raises nothing of ours.

    One after the other: what has left holds nothing that could be released.
    """
    for op in (scripts.release(request, records, policy, None, why), leave(request)):
        with suppress(RedisStateError):
            yield from do(op)


def reopen(records: RecordOperations, name: str) -> Op[bool]:
    """Let work that failed, or whose takers died, be tried again at once; False when there is nothing to reopen."""
    return REOPEN(records.keys, name)


def stalled(records: RecordOperations) -> Plan[list[str]]:
    """List the work whose taker died: its lease is over, and it was neither confirmed nor failed."""
    keys = records.keys
    found: dict[str, None] = {}
    for partition in keys.parts:
        names: list[str] = yield from by_offset(partial(STALLED, partition))
        states = yield from do_all([_state(keys, name) for name in names])
        found.update(dict.fromkeys(name for name, state in zip(names, states, strict=True) if state == b"taken"))
    return list(found)


def _state(keys: Keys, name: str) -> Op[bytes | None]:
    return command(keys, "HGET", keys.key("entry", name), "@claim", name=name, read=lambda reply: reply)
