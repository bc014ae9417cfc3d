"""JSON text, for values that it keeps without loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from math import isfinite
from typing import Any

from redis_state.codec.limits import COMPRESS_FROM, MAX_DEPTH, WIDE

JSON_CONTAINERS = frozenset({dict, list})
_KEYS = frozenset({str})


def json_text(value: Any) -> bytes | None:
    if not _is_json(value, MAX_DEPTH):
        return None
    try:
        text = "".join(_chunks(value, 0)).encode()
    except ValueError:  # NaN, an infinity, or an int of thousands of digits
        return None
    return text if len(text) < COMPRESS_FROM else None


def _str_text(value: str) -> bytes | None:
    if len(value) >= COMPRESS_FROM:
        return None
    try:
        text = encode_basestring(value).encode()
    except UnicodeEncodeError:
        return None
    return text if len(text) < COMPRESS_FROM else None


# The JSON text of a scalar; None where it is long, or would lose something.
TEXT_OF: dict[type, Callable[[Any], bytes | None]] = {
    int: lambda value: b"%d" % value if -WIDE < value < WIDE else None,
    str: _str_text,
    float: lambda value: repr(value).encode() if isfinite(value) else None,
    bool: lambda value: b"true" if value else b"false",
    type(None): lambda _: b"null",
}

SCALARS = frozenset(TEXT_OF)


def _is_json(value: Any, room: int) -> bool:
    """Tell whether JSON keeps all types of a value that ``pack`` took."""
    kind = type(value)
    if kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            return False
        items = value.values()
    elif kind is list:
        items = value
    else:
        return hasattr(kind, "__plain__") and _is_json([value.__plain__()], room)
    if SCALARS.issuperset(map(type, items)):
        return True
    if room > 1:
        for item in items:
            if type(item) not in SCALARS and not _is_json(item, room - 1):
                return False
    return room > 1


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _plain(value: Any) -> Any:
    return value.__plain__()


# The C halves of json, kept: for small values ``json.dumps`` and ``json.loads`` spend half their time on making them.
scan = json.JSONDecoder(parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]
_chunks = c_make_encoder(None, _plain, encode_basestring, None, ":", ",", False, False, False)
