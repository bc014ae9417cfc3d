"""How a record is stored: fields, values and meta fields of a hash. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from redis_state.codec import decode, encode
from redis_state.engine.op import Word
from redis_state.errors import CorruptValue, UnsupportedType
from redis_state.keys import text_of

MOST_FIELDS = 3500


class Snapshot(NamedTuple):
    """An entry as it was when it was read."""

    fields: dict[str, Any]
    version: int
    ttl: float  # seconds that each write gives it
    owner: str


def stored_name(field: str) -> str:
    if type(field) is not str:
        field = text_of(field, "a field's name")
    return "@" + field if field.startswith("@") else field


def own_name(stored: str) -> str:
    """Return the name of a field as the application gave it."""
    return stored.removeprefix("@")


def stored_fields(name: str, value: Mapping[str, Any]) -> list[Word]:
    """Return field, value, field, value, ... as they are stored."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name!r}: a record is a mapping of fields, not {type(value).__name__}")
    if len(value) > MOST_FIELDS:
        raise ValueError(
            f"{name!r}: {len(value)} fields, and a record has {MOST_FIELDS} at most; nest them in one field"
        )
    flat: list[Word] = []
    try:
        for field, item in value.items():
            flat += (stored_name(field), encode(item, path=field))
    except UnsupportedType as error:
        raise UnsupportedType(f"{name!r}: {error}") from None
    return flat


def snapshot(name: str, flat: Sequence[bytes]) -> Snapshot | None:
    if not flat:
        return None
    pairs = iter(flat)
    raw = dict(zip(pairs, pairs, strict=True))
    fields: dict[str, Any] = {}
    try:
        version, ttl = int(raw.pop(b"@version")), int(raw.pop(b"@ttl")) / 1000
        for field, item in raw.items():
            if field[:1] != b"@":
                fields[field.decode()] = decode(item)
            elif field[1:2] == b"@":
                fields[field[1:].decode()] = decode(item)
    except CorruptValue as error:
        raise CorruptValue(f"[{name!r}][{field.decode(errors='replace')!r}]: {error}") from None
    except (KeyError, ValueError):
        raise CorruptValue(f"[{name!r}]: this hash was not written by redis_state") from None
    return Snapshot(fields, version, ttl, raw.get(b"@owner", b"").decode(errors="replace"))


def stored_number(name: str, field: str, by: float) -> str:
    return plain_number(f"[{name!r}][{field!r}]", by)


def plain_number(where: str, by: float) -> str:
    plain = by.__plain__() if hasattr(by, "__plain__") else by
    if type(plain) is int:
        return str(plain)
    if type(plain) is float and isfinite(plain):
        return repr(plain)
    raise TypeError(f"{where}: only a finite int or float can be added, not {by!r}")


def short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:20]}...{text[-10:]}"


def whole_number(raw: bytes | None) -> int | None:
    """Return a stored number, whole; None for a value that is none: applications write fields of ours, too."""
    try:
        return int(float(raw or b""))
    except (ValueError, OverflowError):
        return None
