"""The assembly of an upload: a claim that only one that is whole can be taken by.

Finished, the upload is stored: it needs its chunks no more, and is no loss when its record expires.
Failed, or when its taker dies, it can be taken again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from redis_state.claim import ClaimPolicy
from redis_state.claim.scripts import TAKING, ClaimScripts, Outcome, Taken, already_done
from redis_state.durations import to_ms
from redis_state.engine.op import Op, Plan, command, do_all, just
from redis_state.engine.operation import ScriptOp, operation, raises
from redis_state.engine.pages import scan
from redis_state.errors import BegunAnew, UnknownSession, UploadIncomplete
from redis_state.lock.operations import Request
from redis_state.mapping.record_format import stored_fields
from redis_state.mapping.record_operations import RecordOperations, stale_token
from redis_state.transfer.chunks import closed
from redis_state.transfer.records import TransferOperations

MAX_ATTEMPTS = 5
BACKOFF = 1.0  # seconds


def _incomplete(call: ScriptOp[Any], received: int, total: int) -> NoReturn:
    raise UploadIncomplete(call["name"], received, None if total < 0 else total)


ASSEMBLE = operation(
    "upload/assemble",
    **TAKING,
    unknown=raises(UnknownSession),
    anew=raises(BegunAnew),
    closed=closed,
    incomplete=_incomplete,
)
SETTLE = operation(
    "upload/settle",
    settled=just(None),
    stale=stale_token,
    done=already_done,
    closed=closed,
    unknown=raises(UnknownSession),
)


def policy(max_attempts: int = MAX_ATTEMPTS, backoff: float = BACKOFF) -> ClaimPolicy:
    """Return the policy of such a claim."""
    return ClaimPolicy(
        max_attempts, backoff, taken="assembling", done="stored", failed="complete", interrupted="complete"
    )


def _take(request: Request, records: RecordOperations, policy: ClaimPolicy, fields: Mapping[str, Any]) -> Op[Taken]:
    return ASSEMBLE(
        request.partition,
        request.name,
        saw=cast("TransferOperations", records).generations.of(request.name),
        owner=request.owner,
        lease_ms=to_ms(request.first_lease),
        most=policy.max_attempts,
        container=request.container,
        note=request.note,
        fields=stored_fields(request.name, fields),
    )


def _settle(request: Request, _: RecordOperations, fence: int | None, outcome: Outcome) -> Op[None]:
    return SETTLE(
        request.partition,
        request.name,
        owner=request.owner,
        token="" if fence is None else fence,
        **outcome._asdict(),
    )


ASSEMBLY_SCRIPTS = ClaimScripts(_take, _settle)


def awaiting(records: TransferOperations) -> Plan[list[str]]:
    """List the uploads that are whole, not stored, and without a holder. O(open uploads), 500 a round trip."""
    keys = records.keys
    flat = yield from scan(keys.of(""), "ZSCAN", keys.key("open", ""))
    found = sorted({name.decode("utf-8", "surrogateescape") for name in flat[::2]})
    looks: list[Op[Any]] = [
        command(
            keys,
            "HMGET",
            keys.key("entry", name),
            "total_size",
            "bytes_received",
            "@version",
            "@generation",
            name=name,
            read=tuple,
        )
        for name in found
    ]
    held: list[Op[Any]] = [command(keys, "EXISTS", keys.key("lock", name), name=name, read=bool) for name in found]
    answers = yield from do_all([*looks, *held])
    names = []
    for name, facts, taken in zip(found, answers[: len(found)], answers[len(found) :], strict=True):
        total, received, version, generation = facts
        if version is not None and total is not None and total == received and not taken:
            records.sees(name, generation)
            names.append(name)
    return names
