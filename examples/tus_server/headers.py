"""What a request says in its headers. Whatever cannot be meant is refused, before anything is done."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from starlette.requests import Request

VERSION = "1.0.0"
ALGORITHMS = ("sha1", "sha256", "md5")
MOST_METADATA = 4096  # characters
BODY = "application/offset+octet-stream"


class Refused(Exception):
    """A request that cannot be served. The text is for the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def one(request: Request, header: str) -> str | None:
    """Return a header that may come once; None when it is not there."""
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise Refused(400, f"{header}: comes {len(values)} times; send it once")
    return values[0].strip() if values else None


def check_version(request: Request) -> None:
    if one(request, "Tus-Resumable") != VERSION:
        raise Refused(412, f"Tus-Resumable: send {VERSION}")


def check_media_type(request: Request) -> None:
    """Look whether the body is what it must be; media types have no case, and may have parameters."""
    if (one(request, "Content-Type") or "").partition(";")[0].strip().lower() != BODY:
        raise Refused(415, f"Content-Type: send {BODY}")


def number(request: Request, header: str) -> int:
    """Return a number of bytes that must be there."""
    text = one(request, header) or ""
    if not re.fullmatch("[0-9]{1,19}", text):
        raise Refused(400, f"{header}: send a number of bytes")
    return int(text)


def length_at_first(request: Request, largest: int) -> int | None:
    """Return the length of a new upload; None when it comes later. Exactly one of the two must be said."""
    later = one(request, "Upload-Defer-Length")
    if (later is None) == ("Upload-Length" not in request.headers):
        raise Refused(400, "send either Upload-Length, or Upload-Defer-Length: 1")
    if later is None:
        return _within(number(request, "Upload-Length"), largest)
    if later != "1":
        raise Refused(400, "Upload-Defer-Length: send 1, or Upload-Length in its place")
    return None


def length_by_now(request: Request, offset: int, largest: int) -> int | None:
    """Return the length that comes with a part; None when none comes."""
    if "Upload-Length" not in request.headers:
        return None
    if "Upload-Defer-Length" in request.headers:
        raise Refused(400, "Upload-Length and Upload-Defer-Length contradict each other")
    length = _within(number(request, "Upload-Length"), largest)
    if length < offset:
        raise Refused(400, "Upload-Length and Upload-Offset contradict each other: the part begins behind the end")
    return length


def metadata(request: Request) -> str:
    """Return Upload-Metadata as it came: pairs of a key, which comes once, and a value in base64, or none."""
    text = ",".join(request.headers.getlist("Upload-Metadata")).strip()
    if len(text) > MOST_METADATA:
        raise Refused(431, f"Upload-Metadata: at most {MOST_METADATA} characters")
    keys = set()
    for pair in text.split(",") if text else ():
        key, _, value = pair.strip().partition(" ")
        if not key or key in keys:
            raise Refused(400, "Upload-Metadata: each key must come once, and have a name")
        keys.add(key)
        _decoded(value, "Upload-Metadata: a value must be in base64")
    return text


def checksum(request: Request) -> tuple[str, bytes] | None:
    """Return the algorithm and the digest that a part must have; None when it may have any."""
    header = one(request, "Upload-Checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Refused(400, f"Upload-Checksum: use one of {', '.join(ALGORITHMS)}")
    wanted = _decoded(encoded, "Upload-Checksum: send the digest in base64")
    if len(wanted) != hashlib.new(algorithm).digest_size:
        raise Refused(400, f"Upload-Checksum: {len(wanted)} bytes are no digest of {algorithm}")
    return algorithm, wanted


def _within(length: int, largest: int) -> int:
    if length > largest:
        raise Refused(413, f"Upload-Length: at most {largest} bytes")
    return length


def _decoded(text: str, why: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, why) from None
