"""Downloads: what was sent to somebody, in whatever ranges, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from redis_state.engine.op import Op, raises
from redis_state.engine.registry import script
from redis_state.errors import ChunkOutOfRange, UnknownSession
from redis_state.mapping.entries import milliseconds
from redis_state.mapping.stored import stored_fields
from redis_state.transfer.records import NO_LIMIT, Transfers, owner_name
from redis_state.transfer.sessions import exceeded, whole

BEGIN = script("download/begin")
ADVANCE = script("download/advance")
FINISH = script("download/finish")

NAMESPACE = "download"
TTL = 3600.0  # seconds after each write
COUNTED = ("bytes_sent", "status")


@dataclass(frozen=True, slots=True)
class Download:
    """How far a download is. Bytes that were sent twice count once."""

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
        """How much was sent, 0.0 to 1.0; None while the size is not known."""
        if self.total_bytes is None:
            return None
        return self.bytes_sent / self.total_bytes if self.total_bytes else 1.0

    @property
    def eta(self) -> float | None:
        """How many seconds it will take at this rate; None when that cannot be told."""
        if self.complete:
            return 0.0
        if self.total_bytes is None or self.rate <= 0:
            return None
        return (self.total_bytes - self.bytes_sent) / self.rate


def begin(records: Transfers, name: str, data: Mapping[str, Any] | None = None, most: int = NO_LIMIT) -> Op[Download]:
    """Begin a download, or resume the one under way. ``QuotaExceeded``; ``ValueError`` when its size is another."""
    fields = {"total_bytes": None, "owner": None, **_checked(name, data)}
    owner, total = owner_name(fields["owner"]), fields["total_bytes"]
    call = BEGIN(
        **_slots(records, name),
        ttl_ms=milliseconds(records.ttl),
        container=records._owner(),
        owner=owner,
        total=-1 if total is None else total,
        most=most,
        fields=stored_fields(name, fields),
    )

    def other(had: int) -> NoReturn:
        raise ValueError(f"{name!r} is under way with {had} bytes, not {total}; finish it first")

    def beyond(ends: int) -> NoReturn:
        raise ValueError(f"{name!r} has sent bytes up to {ends} already, so it is no download of {total}")

    return call.meaning(active=_told("active"), other=other, beyond=beyond, quota=exceeded)


def advance(records: Transfers, name: str, offset: int, length: int) -> Op[Download]:
    """Note that a range of bytes was sent. ``UnknownSession``; ``ChunkOutOfRange`` behind the end."""
    offset, length = whole(name, "offset", offset, 0), whole(name, "length", length, 0)
    ends = whole(name, "offset + length", offset + length, 0)

    def scattered(most: int) -> NoReturn:
        raise ValueError(f"{name!r}: more than {most} ranges with gaps between them")

    call = ADVANCE(**_slots(records, name), first=offset, ends=ends)
    return call.meaning(
        active=_told("active"),
        finished=_told("finished"),
        unknown=raises(UnknownSession, name),
        beyond=raises(ChunkOutOfRange, name, range(offset, ends)),
        scattered=scattered,
    )


def finish(records: Transfers, name: str) -> Op[Download]:
    """Say that a download is over, whole or not; it counts for its owner no more. Again: nothing happens."""
    call = FINISH(**_slots(records, name))
    return call.meaning(finished=_told("finished"), unknown=raises(UnknownSession, name))


def _told(status: Literal["active", "finished"]) -> Any:
    def told(sent: int, offset: int, total: int, rate: bytes) -> Download:
        return Download(sent, offset, None if total < 0 else total, status, float(rate))

    return told


def _slots(records: Transfers, name: str) -> dict[str, Any]:
    keys = records.keys
    books = keys.books(name)
    return {
        "entry": keys.record(name),
        "partition": keys.index(name),
        "name": name,
        **{book: books[book] for book in ("open", "facts", "accounts")},
    }


def _checked(name: str, data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise TypeError(f"{name!r}: a download is a mapping of fields, not {type(data).__name__}")
    kept = {field: value for field, value in data.items() if field not in COUNTED}
    if data.get("total_bytes") is not None:
        kept["total_bytes"] = whole(name, "total_bytes", data["total_bytes"], 0)
    return kept
