"""``as_json``: a value for readers."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import date, time
from math import isfinite
from typing import Any

from redis_state.codec.limits import WIDE


def as_json(value: Any) -> str:
    """Show a value as JSON text: bytes as base64, dates in ISO 8601, sets as lists, NaN and infinities as null.

    One way only: it is for readers, and two keys such as ``1`` and ``"1"`` become one.
    """
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else _plain(key) for key in value]
        names = [key if isinstance(key, str) else json.dumps(key, ensure_ascii=False) for key in keys]
        return dict(zip(names, map(_plain, value.values()), strict=True))
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and not -WIDE < value < WIDE:
        return hex(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)
