"""Uploads: opened, declared, aborted, and found dead."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from redis_state.codec import decode, encode
from redis_state.engine.op import Op, Plan, command, do, do_all, just
from redis_state.engine.registry import script
from redis_state.errors import QuotaExceeded
from redis_state.mapping.entries import milliseconds
from redis_state.mapping.records import Records
from redis_state.mapping.stored import stored_fields
from redis_state.transfer.records import NO_LIMIT, Transfers, limit, owner_name, sweep, with_room

OPEN = script("upload/open")
ABORT = script("upload/abort")

NAMESPACE = "upload"
TTL = 7200.0  # seconds after each chunk
COMPANIONS = (lambda keys: keys.bitmap, lambda keys: keys.checksums)
COUNTED = ("bytes_received", "chunks_received", "total_chunks")
NEWS = frozenset({"status", *COUNTED})  # what changes, and is not told of the dead
KEPT = frozenset({"upload_id", "owner", "total_size", "chunk_size", *COUNTED})
MOST_CHUNKS = 2**23  # of one upload: a bitmap of 1 MB
PAGE_OF_DEAD = 500


class Limits(NamedTuple):
    """What one owner may have open at a time."""

    uploads: int = NO_LIMIT
    bytes: int = NO_LIMIT

    @classmethod
    def of(cls, max_open_per_owner: int | None, max_bytes_per_owner: int | None) -> Limits:
        return cls(limit("max_open_per_owner", max_open_per_owner), limit("max_bytes_per_owner", max_bytes_per_owner))


UNLIMITED = Limits()


def create(records: Transfers, data: Mapping[str, Any], limits: Limits = UNLIMITED) -> Plan[str]:
    """Begin a session, and return its id. ``QuotaExceeded``; ``ValueError`` when there is one of that id."""
    fields = checked(data)
    yield from with_room(records, open_session(records, fields, limits))
    return str(fields["upload_id"])


def open_session(records: Transfers, fields: Mapping[str, Any], limits: Limits) -> Op[None]:
    """Begin a session with these fields, which are complete."""
    name, owner, total = fields["upload_id"], owner_name(fields["owner"]), fields["total_size"]
    flat = stored_fields(name, fields)
    call = OPEN(
        **{slot: key for slot, key in records._slots(name).items() if slot != "name"},
        **records.keys.books(name),
        name=name,
        ttl_ms=milliseconds(records.ttl),
        container=records._owner(),
        owner=owner,
        bytes=-1 if total == 0 else total or 0,
        most_uploads=limits.uploads,
        most_bytes=limits.bytes,
        memo=encode({field: fields[field] for field in fields if field not in NEWS}, path=name),
        fields=flat,
    )

    def present() -> NoReturn:
        raise ValueError(f"there is an upload {name!r} already")

    return call.meaning(opened=just(None), present=present, quota=exceeded)


def exceeded(owner: bytes, what: bytes, used: int, most: int) -> NoReturn:
    """Say what the word quota means."""
    raise QuotaExceeded(owner.decode(), what.decode(), used, most)


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a new session; nothing is sent when one of them is wrong."""
    if not isinstance(data, Mapping):
        raise TypeError(f"an upload is a mapping of fields, not {type(data).__name__}")
    name = data.get("upload_id")
    if name is None:
        name = secrets.token_urlsafe(16)
    elif not isinstance(name, str) or not name:
        raise TypeError(f"upload_id={name!r}: a text that is not empty")
    total, chunk = data.get("total_size"), data.get("chunk_size")
    if total is not None:
        total = whole(name, "total_size", total, 0)
    if chunk is not None:
        chunk = whole(name, "chunk_size", chunk, 1)
    chunks = -(-total // chunk) if total is not None and chunk else None
    if chunks is not None and chunks > MOST_CHUNKS:
        raise ValueError(f"{name!r}: {chunks} chunks, and an upload has {MOST_CHUNKS} at most; make them larger")
    owner_name(data.get("owner"))
    started = {"bytes_received": 0, "chunks_received": 0, "total_chunks": chunks}
    for field in COUNTED:
        if data.get(field) not in (None, started[field]):
            raise ValueError(f"{name!r}: {field}={data[field]!r}, and it begins at {started[field]}")
    status = {"status": "complete" if total == 0 else data.get("status", "uploading")}
    kept = {"upload_id": name, "owner": data.get("owner"), "total_size": total, "chunk_size": chunk}
    return {**data, **kept, **started, **status}


def whole(name: str, what: str, number: object, least: int) -> int:
    """Return a number of bytes, plain; refuse what is none."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name!r}: {what}={number!r}: a whole number of bytes")
    if not least <= number <= NO_LIMIT:
        raise ValueError(f"{name!r}: {what}={number!r}: from {least} to 2**53 - 1 bytes")
    return int(number)


def abort(records: Transfers, name: str) -> Op[bool]:
    """Give an upload up. False when there is none, or it is stored or aborted."""
    keys = records.keys
    call = ABORT(
        **session_slots(records, name),
        **keys.books(name),
        **lock_slots(records, name),
        container=records._owner(),
    )
    return call.meaning(aborted=just(True), nothing=just(False))


def session_slots(records: Records, name: str) -> dict[str, Any]:
    """Return the slots that all scripts about a session's chunks have."""
    keys = records.keys
    return {
        "entry": keys.record(name),
        "partition": keys.index(name),
        "seen": keys.bitmap(name),
        "sums": keys.checksums(name),
        "name": name,
    }


def lock_slots(records: Records, name: str) -> dict[str, str]:
    """Return the slots of scripts that free the lock of an assembly."""
    keys = records.keys
    slots = {"lock": keys.lock, "guard": keys.fence, "leases": keys.leases, "queue": keys.queue, "wake": keys.wake}
    return {slot: key(name) for slot, key in slots.items()}


def expired(records: Transfers, since: float = 0.0) -> Plan[list[dict[str, Any]]]:
    """List the uploads that died since then, oldest first: aborted, or their time to live ran out."""
    if isinstance(since, bool) or not isinstance(since, int | float):
        raise TypeError(f"since={since!r}: seconds since 1970")
    yield from sweep(records)
    books = records.keys.books("")
    found: list[dict[str, Any]] = []
    while True:
        limits = ("LIMIT", len(found), PAGE_OF_DEAD)
        words = ("ZRANGEBYSCORE", books["dead"], repr(float(since) * 1000), "+inf", "WITHSCORES", *limits)
        page: list[bytes] = yield from do(command(*words, read=list))
        names, times = page[::2], page[1::2]
        if not names:
            return found
        memos = yield from do_all([command("HMGET", books["memos"], *names, read=list)])
        found += [_dead(*facts) for facts in zip(names, times, memos[0], strict=True)]
        if len(names) < PAGE_OF_DEAD:
            return found


def _dead(name: bytes, at: bytes, memo: bytes | None) -> dict[str, Any]:
    fields = decode(memo) if memo else {"upload_id": name.decode("utf-8", "surrogateescape")}
    return {**fields, "expired_at": float(at) / 1000}
