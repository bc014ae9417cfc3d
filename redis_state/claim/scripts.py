"""The scripts that take work and end it, as operations. Sends nothing.

``ClaimScripts`` names those of one kind of records. A domain whose records have rules of their own has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from redis_state.claim.policy import ClaimPolicy
from redis_state.codec import decode, encode
from redis_state.durations import to_ms
from redis_state.engine.op import Op, just
from redis_state.engine.operation import Meaning, ScriptOp, operation
from redis_state.errors import AlreadyClaimed, AlreadyDone, AttemptsExhausted, told
from redis_state.lock.operations import Lease, Request
from redis_state.mapping.record_format import snapshot, stored_fields
from redis_state.mapping.record_operations import RecordOperations, stale_token


class Taken(NamedTuple):
    """Reply to a taking: the lease, the number of the attempt, and the fields that the last taker left."""

    lease: Lease
    attempt: int
    previous: dict[str, Any] | None


def _taken(call: ScriptOp[Any], fence: bytes, now: int, attempt: int, before: Sequence[bytes]) -> Taken:
    """Return what taking brought; the lease is not timed yet."""
    seen = snapshot(call["name"], before)
    return Taken(Lease(int(fence), now / 1000, 0.0), attempt, None if seen is None else seen.fields)


def _claimed(call: ScriptOp[Any], ms: int, container: bytes = b"") -> NoReturn:
    raise AlreadyClaimed(call["name"], container.decode(errors="replace"), max(0, ms) / 1000)


def _resting(call: ScriptOp[Any], ms: int) -> NoReturn:
    raise AlreadyClaimed(call["name"], None, ms / 1000)


def _exhausted(call: ScriptOp[Any], attempts: int, error: bytes) -> NoReturn:
    raise AttemptsExhausted(call["name"], attempts, decode(error))


def already_done(call: ScriptOp[Any], result: bytes) -> NoReturn:
    """Raise ``AlreadyDone``."""
    raise AlreadyDone(call["name"], decode(result))


TAKING: dict[str, Meaning] = {
    "taken": _taken,
    "claimed": _claimed,
    "resting": _resting,
    "done": already_done,
    "exhausted": _exhausted,
}

TAKE = operation("claim/take", **TAKING)
SETTLE = operation("claim/settle", settled=just(None), stale=stale_token, done=already_done)


class Outcome(NamedTuple):
    """How a claim ended: what ``@claim`` says of it, the rest before the next attempt, and fields of the record."""

    state: str  # "done", "failed" or "released"
    rest_ms: int
    fields: list[Any]


@dataclass(frozen=True, slots=True)
class ClaimScripts:
    """The scripts of one kind of records. Each is a function that returns an operation.

    ``take`` writes ``fields`` to the record. ``settle`` writes the outcome of the claim with this token, and frees its
    lock. ``StaleToken`` when another taker has taken the work since, ``AlreadyDone`` when it is done.
    """

    take: Callable[[Request, RecordOperations, ClaimPolicy, Mapping[str, Any]], Op[Taken]]
    settle: Callable[[Request, RecordOperations, int | None, Outcome], Op[None]]

    def confirm(
        self, request: Request, records: RecordOperations, policy: ClaimPolicy, fence: int, result: object
    ) -> Op[None]:
        """Mark the work as done."""
        fields = stored_fields(request.name, {"status": policy.done, "result": result})
        return self.settle(request, records, fence, Outcome("done", 0, fields))

    def fail(
        self, request: Request, records: RecordOperations, policy: ClaimPolicy, fence: int, error: object, attempt: int
    ) -> Op[None]:
        """Mark this attempt as failed: the next may follow after a rest."""
        rest_ms = int(policy.rest(attempt) * 1000)
        return self.settle(request, records, fence, Outcome("failed", rest_ms, _error_fields(policy.failed, error)))

    def release(
        self, request: Request, records: RecordOperations, policy: ClaimPolicy, fence: int | None, why: object
    ) -> Op[None]:
        """Hand the work back, uncounted. Without a token, the claim that this owner holds, if it does: for a taker
        whose take had no reply."""
        return self.settle(request, records, fence, Outcome("released", 0, _error_fields(policy.interrupted, why)))


def _error_fields(status: str, error: object) -> list[Any]:
    return ["status", encode(status), "error", encode(told(error))]


def _take(request: Request, records: RecordOperations, policy: ClaimPolicy, fields: Mapping[str, Any]) -> Op[Taken]:
    return TAKE(
        request.partition,
        request.name,
        owner=request.owner,
        lease_ms=to_ms(request.first_lease),
        ttl_ms=records.ttl_ms,
        most=policy.max_attempts,
        container=request.container,
        note=request.note,
        fields=stored_fields(request.name, fields),
    )


def _settle(request: Request, records: RecordOperations, fence: int | None, outcome: Outcome) -> Op[None]:
    return SETTLE(
        request.partition,
        request.name,
        owner=request.owner,
        token="" if fence is None else fence,
        ttl_ms=records.ttl_ms,
        **outcome._asdict(),
    )


RECORD_SCRIPTS = ClaimScripts(_take, _settle)
