"""Downloads: the ranges that were sent, in any order, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from redis_state.engine.op import Op, Plan
from redis_state.engine.operation import Meaning, ScriptOp, operation, raises
from redis_state.errors import BegunAnew, ChunkOutOfRange, UnknownSession
from redis_state.keys import text_of
from redis_state.mapping.record_format import stored_fields
from redis_state.transfer.fields import bounded, whole
from redis_state.transfer.quota import NO_LIMIT, exceeded, owner_name, with_room
from redis_state.transfer.records import TransferOperations

NAMESPACE = "download"
TTL = 3600.0  # seconds after each write
COUNTED = ("bytes_sent", "status")
KNOWN = ("total_bytes", "owner")


@dataclass(frozen=True, slots=True)
class Download:
    """State of a download. Bytes that were sent twice count once."""

    bytes_sent: int
    offset: int  # all bytes before it were sent: where to resume
    total_bytes: int | None
    status: Literal["active", "finished"]
    rate: float  # bytes a second, over the last 5 to 10 seconds, by the server's clock

    @property
    def complete(self) -> bool:
        """Whether every byte was sent."""
        return self.total_bytes is not None and self.bytes_sent >= self.total_bytes

    @property
    def fraction(self) -> float | None:
        """Share that was sent, 0.0 to 1.0; None while the size is not known."""
        if self.total_bytes is None:
            return None
        return self.bytes_sent / self.total_bytes if self.total_bytes else 1.0

    @property
    def eta(self) -> float | None:
        """Seconds that the rest takes at this rate; None while the size or the rate is not known."""
        if self.complete:
            return 0.0
        if self.total_bytes is None or self.rate <= 0:
            return None
        return (self.total_bytes - self.bytes_sent) / self.rate


# --- what replies mean: of a call that is about the records, which remember what they saw ----------------


def _told(status: Literal["active", "finished"]) -> Meaning:
    def told(call: ScriptOp[Any], sent: int, offset: int, total: int, rate: bytes, generation: bytes) -> Download:
        call.about.heard(call["name"], generation)
        return Download(sent, offset, None if total < 0 else total, status, float(rate))

    return told


_active = _told("active")


def _begun(call: ScriptOp[Any], *told: Any) -> Download:
    call.about.generations.forget(call["name"])  # whatever it was before
    found: Download = _active(call, *told)
    return found


def _other(call: ScriptOp[Any], had: int) -> NoReturn:
    raise ValueError(f"{call['name']!r} is under way with {had} bytes, not {call['total']}; finish it first")


def _too_small(call: ScriptOp[Any], ends: int) -> NoReturn:
    raise ValueError(f"{call['name']!r} has sent bytes up to {ends} already, so it is no download of {call['total']}")


def _beyond(call: ScriptOp[Any], total: int) -> NoReturn:
    raise ChunkOutOfRange(call["name"], range(call["first"], call["ends"]), total)


def _scattered(call: ScriptOp[Any], most: int) -> NoReturn:
    raise ValueError(f"{call['name']!r}: more than {most} ranges with gaps between them")


_GOES_ON: dict[str, Meaning] = {
    "finished": _told("finished"),
    "unknown": raises(UnknownSession),
    "anew": raises(BegunAnew),
}

BEGIN = operation("download/begin", active=_begun, other=_other, beyond=_too_small, quota=exceeded)
ADVANCE = operation("download/advance", **_GOES_ON, active=_active, beyond=_beyond, scattered=_scattered)
FINISH = operation("download/finish", **_GOES_ON)


# --- operations ---------------------------------------------------------------------------------------


def begin(
    records: TransferOperations, name: str, data: Mapping[str, Any] | None = None, most: int = NO_LIMIT
) -> Plan[Download]:
    """Begin a download, or resume the one under way. ``QuotaExceeded``; ``ValueError`` when its size is another."""
    return with_room(records, begin_once(records, name, data, most))


def begin_once(
    records: TransferOperations, name: str, data: Mapping[str, Any] | None = None, most: int = NO_LIMIT
) -> Op[Download]:
    """Try to begin a download once."""
    name = text_of(name)
    fields = {"total_bytes": None, "owner": None, **_checked(name, data)}
    owner, total = owner_name(fields["owner"]), fields["total_bytes"]
    if fields["owner"] is not None:
        fields["owner"] = owner
    return BEGIN(
        records.keys,
        name,
        records,
        ttl_ms=records.ttl_ms,
        container=records._owner(),
        owner=owner,
        total=-1 if total is None else total,
        most=most,
        fields=bounded(name, stored_fields(name, fields)),
    )


def advance(records: TransferOperations, name: str, offset: int, length: int) -> Op[Download]:
    """Note that a range of bytes was sent. ``UnknownSession``; ``ChunkOutOfRange`` behind the end."""
    name = text_of(name)
    offset, length = whole(name, "offset", offset, 0), whole(name, "length", length, 0)
    ends = whole(name, "offset + length", offset + length, 0)
    saw = records.generations.of(name)
    return ADVANCE(records.keys, name, records, saw=saw, first=offset, ends=ends)


def finish(records: TransferOperations, name: str) -> Op[Download]:
    """Say that a download is over, whole or not; it counts for its owner no more. Again: nothing happens."""
    name = text_of(name)
    return FINISH(records.keys, name, records, saw=records.generations.of(name))


def _checked(name: str, data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise TypeError(f"{name!r}: a download is a mapping of fields, not {type(data).__name__}")
    kept = {field: value for field, value in data.items() if field not in COUNTED}
    if data.get("total_bytes") is not None:
        kept["total_bytes"] = whole(name, "total_bytes", data["total_bytes"], 0)
    return kept
