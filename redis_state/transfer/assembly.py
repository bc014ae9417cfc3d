"""The assembly of an upload: a claim that only one that is whole can be taken by.

Finished, the upload is stored: it needs its chunks no more, and is no loss when its record expires.
Failed, or when its taker dies, it can be taken again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from redis_state.claim import Terms
from redis_state.claim.steps import Taken, done, taking
from redis_state.codec import encode
from redis_state.engine.op import Op, Plan, command, do, do_all, just, raises
from redis_state.engine.registry import script
from redis_state.errors import UnknownSession, UploadClosed, UploadIncomplete
from redis_state.lock.steps import Request
from redis_state.mapping.records import Records, stale_token
from redis_state.mapping.stored import stored_fields
from redis_state.transfer.records import Transfers
from redis_state.transfer.sessions import lock_slots, session_slots

ASSEMBLE = script("upload/assemble")
SETTLE = script("upload/settle")

MAX_ATTEMPTS = 5
BACKOFF = 1.0  # seconds
PAGE = 500


@dataclass(frozen=True, slots=True)
class Assembly(Terms):
    """The terms of such a claim."""

    max_attempts: int = MAX_ATTEMPTS
    backoff: float = BACKOFF
    taken: str = "assembling"
    done: str = "stored"
    failed: str = "complete"

    def take(self, want: Request, records: Records, fields: Mapping[str, Any]) -> Op[Taken]:
        name = want.name
        lock = lock_slots(records, name)
        call = ASSEMBLE(
            **session_slots(records, name),
            lock=lock["lock"],
            guard=lock["guard"],
            leases=lock["leases"],
            owner=want.owner,
            lease_ms=max(1, int(want.first_lease * 1000)),
            most=self.max_attempts,
            container=want.container,
            note=want.note,
            fields=stored_fields(name, fields),
        )

        def incomplete(received: int, total: int) -> NoReturn:
            raise UploadIncomplete(name, received, None if total < 0 else total)

        return call.meaning(
            **taking(name), unknown=raises(UnknownSession, name), closed=_closed(name), incomplete=incomplete
        )

    def confirm(self, want: Request, records: Records, fence: int, result: Any) -> Op[None]:
        fields = stored_fields(want.name, {"status": self.done, "result": result})
        return self._settle(want, records, fence, "done", 0.0, fields)

    def fail(self, want: Request, records: Records, fence: int, error: object, attempt: int) -> Op[None]:
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        fields = ["status", encode(self.failed), "error", encode(reason)]
        return self._settle(want, records, fence, "failed", self.rest(attempt), fields)

    def _settle(self, want: Request, records: Records, fence: int, state: str, rest: float, fields: Any) -> Op[None]:
        name = want.name
        call = SETTLE(
            **session_slots(records, name),
            **records.keys.books(name),
            **lock_slots(records, name),
            owner=want.owner,
            token=fence,
            state=state,
            rest_ms=int(rest * 1000),
            fields=fields,
        )
        return call.meaning(
            settled=just(None),
            stale=stale_token(name, fence),
            done=done(name),
            closed=_closed(name),
            unknown=raises(UnknownSession, name),
        )


def awaiting(records: Transfers) -> Plan[list[str]]:
    """List the uploads that are whole, not stored, and in nobody's hands. O(open uploads), 500 a round trip."""
    keys = records.keys
    names: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, flat = yield from do(command("ZSCAN", keys.books("")["open"], cursor, "COUNT", PAGE, read=tuple))
        names += flat[::2]
        if cursor == b"0":
            break
    found = sorted({name.decode("utf-8", "surrogateescape") for name in names})
    looks = [
        command("HMGET", keys.record(name), "total_size", "bytes_received", "@version", read=_is_whole)
        for name in found
    ]
    held = [command("EXISTS", keys.lock(name), read=bool) for name in found]
    answers = yield from do_all([*looks, *held])
    return [
        name
        for name, whole, taken in zip(found, answers[: len(found)], answers[len(found) :], strict=True)
        if whole and not taken
    ]


def _is_whole(facts: list[bytes | None]) -> bool:
    total, received, version = facts
    return version is not None and total is not None and total == received


def _closed(name: str) -> Any:
    return lambda state: raises(UploadClosed, name, state.decode())()
