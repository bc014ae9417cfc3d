"""Uploads: opened, declared, aborted, and found dead."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NoReturn

from redis_state.codec import decode, encode
from redis_state.engine.op import Op, Plan, command, do, do_all, just
from redis_state.engine.operation import ScriptOp, operation
from redis_state.keys import text_of
from redis_state.mapping.record_format import stored_fields
from redis_state.transfer.fields import bounded, whole
from redis_state.transfer.quota import UNLIMITED, Limits, exceeded, owner_name, sweep, with_room
from redis_state.transfer.records import TransferOperations

NAMESPACE = "upload"
TTL = 7200.0  # seconds after each chunk
COMPANIONS = ("bitmap", "checksums")
COUNTED = ("bytes_received", "chunks_received", "total_chunks")
NEWS = frozenset({"status", *COUNTED})  # fields that change, and are not told of the dead
PROTECTED = frozenset({"upload_id", "owner", "total_size", "chunk_size", *COUNTED})
KNOWN = ("upload_id", "owner", "total_size", "chunk_size")
LONGEST_NAME = 1024  # characters of an id, and of an owner's name
MOST_SNAPSHOT = 4096  # bytes of what is remembered of a session that died
MOST_CHUNKS = 2**23  # of one upload: a bitmap of 1 MB
PAGE_OF_DEAD = 500


def _opened(call: ScriptOp[Any], generation: int) -> None:
    call.about.sees(call["name"], generation)


def _present(call: ScriptOp[Any], generation: bytes) -> NoReturn:
    call.about.sees(call["name"], generation)
    raise ValueError(f"there is an upload {call['name']!r} already")


OPEN = operation("upload/open", opened=_opened, present=_present, quota=exceeded)
ABORT = operation("upload/abort", aborted=just(True), nothing=just(False))


def create(records: TransferOperations, data: Mapping[str, Any], limits: Limits = UNLIMITED) -> Plan[str]:
    """Begin a session, and return its id. ``QuotaExceeded``; ``ValueError`` when there is one of that id."""
    fields = checked(data)
    yield from with_room(records, open_session(records, fields, limits))
    return str(fields["upload_id"])


def open_session(records: TransferOperations, fields: Mapping[str, Any], limits: Limits) -> Op[None]:
    """Begin a session with these fields, which are complete."""
    name, owner, total = fields["upload_id"], owner_name(fields["owner"]), fields["total_size"]
    flat = stored_fields(name, fields)
    return OPEN(
        records.keys,
        name,
        records,
        companions=records._companions,
        ttl_ms=records.ttl_ms,
        container=records._owner(),
        owner=owner,
        bytes=-1 if total == 0 else total or 0,
        most_uploads=limits.uploads,
        most_bytes=limits.bytes,
        snapshot=snapshot_of(fields),
        fields=bounded(name, flat),
    )


def snapshot_of(fields: Mapping[str, Any]) -> bytes:
    """Return what is remembered of a session that dies: its id, owner and sizes, and the first fields, in 4 KB."""
    snapshot = {field: fields[field] for field in KNOWN}
    encoded = encode(snapshot)
    for field, value in fields.items():
        if field not in NEWS and field not in KNOWN:
            snapshot[field] = value
            more = encode(snapshot, path=field)
            if len(more) > MOST_SNAPSHOT:
                break
            encoded = more
    return encoded


def checked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a new session; nothing is sent when one of them is wrong."""
    if not isinstance(data, Mapping):
        raise TypeError(f"an upload is a mapping of fields, not {type(data).__name__}")
    name = data.get("upload_id")
    if name is None:
        name = secrets.token_urlsafe(16)
    name = text_of(name, "an upload_id")
    if not name:
        raise TypeError("upload_id='': a text that is not empty")
    total, chunk = data.get("total_size"), data.get("chunk_size")
    if total is not None:
        total = whole(name, "total_size", total, 0)
    if chunk is not None:
        chunk = whole(name, "chunk_size", chunk, 1)
    chunks = -(-total // chunk) if total is not None and chunk else None
    if chunks is not None and chunks > MOST_CHUNKS:
        raise ValueError(f"{name!r}: {chunks} chunks, and an upload has {MOST_CHUNKS} at most; make them larger")
    owner = None if data.get("owner") is None else owner_name(data["owner"])
    for what, text in (("upload_id", name), ("owner", owner or "")):
        if len(text) > LONGEST_NAME:
            raise ValueError(f"{what}={text[:40]!r}...: {len(text)} characters, and {LONGEST_NAME} at most")
    started = {"bytes_received": 0, "chunks_received": 0, "total_chunks": chunks}
    for field in COUNTED:
        if data.get(field) not in (None, started[field]):
            raise ValueError(f"{name!r}: {field}={data[field]!r}, and it begins at {started[field]}")
    status = {"status": "complete" if total == 0 else data.get("status", "uploading")}
    kept = {"upload_id": name, "owner": owner, "total_size": total, "chunk_size": chunk}
    return {**data, **kept, **started, **status}


def abort(records: TransferOperations, name: str) -> Op[bool]:
    """Give an upload up. False when there is none, or it is stored or aborted."""
    return ABORT(records.keys, name, saw=records.generations.of(name), container=records._owner())


def expired(records: TransferOperations, since: float = 0.0) -> Plan[list[dict[str, Any]]]:
    """List the uploads that died since then, oldest first: aborted, or their time to live ran out."""
    if isinstance(since, bool) or not isinstance(since, int | float):
        raise TypeError(f"since={since!r}: seconds since 1970")
    yield from sweep(records)
    keys = records.keys
    found: list[dict[str, Any]] = []
    while True:
        limits = ("LIMIT", len(found), PAGE_OF_DEAD)
        words = ("ZRANGEBYSCORE", keys.key("dead", ""), repr(float(since) * 1000), "+inf", "WITHSCORES", *limits)
        page: list[bytes] = yield from do(command(keys, *words, read=list))
        names, times = page[::2], page[1::2]
        if not names:
            return found
        snapshots = yield from do_all([command(keys, "HMGET", keys.key("snapshots", ""), *names, read=list)])
        found += [_dead(*facts) for facts in zip(names, times, snapshots[0], strict=True)]
        if len(names) < PAGE_OF_DEAD:
            return found


def _dead(name: bytes, at: bytes, snapshot: bytes | None) -> dict[str, Any]:
    fields = decode(snapshot) if snapshot else {"upload_id": name.decode("utf-8", "surrogateescape")}
    return {**fields, "expired_at": float(at) / 1000}
