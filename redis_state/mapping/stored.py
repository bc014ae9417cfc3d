"""How a record is stored: fields, values and meta fields of a hash. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from redis_state.codec import decode, encode
from redis_state.engine.op import Word
from redis_state.errors import CorruptValue, UnsupportedType

MOST_FIELDS = 3500


class Snapshot(NamedTuple):
    """An entry as it was when it was read."""

    fields: dict[str, Any]
    version: int
    ttl: float  # seconds that each write gives it
    owner: str


def stored_name(field: str) -> str:
    if not isinstance(field, str):
        raise TypeError(f"a field's name is a string, not {type(field).__name__}: {field!r}")
    return "@" + field if field.startswith("@") else field


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
    plain = by.__plain__() if hasattr(by, "__plain__") else by
    if type(plain) is int:
        return str(plain)
    if type(plain) is float and isfinite(plain):
        return repr(plain)
    raise TypeError(f"[{name!r}][{field!r}]: only a finite int or float can be added, not {by!r}")
