"""Reasons for refusing a value: the path to the unsupported part, and what to write instead."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from redis_state.codec.limits import MAX_DEPTH
from redis_state.codec.msgpack_format import CONTAINERS, KNOWN


def why_unsupported(value: Any, path: str, room: int = MAX_DEPTH) -> str | None:
    """Find what makes a value unsupported: its path, and what to write instead. Slow, and only run after a refusal."""
    kind = type(value)
    if hasattr(kind, "__plain__"):
        value = value.__plain__()
        kind = type(value)
    if kind is str and any("\ud800" <= letter <= "\udfff" for letter in value):
        return f"{path} holds a lone surrogate, which no encoding can keep: write x.encode('utf-8', 'surrogatepass')"
    if kind not in KNOWN:
        return f"{path} is of type {kind.__qualname__}, and would not come back as one: {_remedy(value)}"
    if kind in CONTAINERS and room < 1:
        return f"{path} is nested deeper than {MAX_DEPTH} levels, or holds itself"
    parts: list[tuple[str, Any]] = []
    if kind is dict:
        parts = [(f"a key of {path}", key) for key in value]
        parts += [(path + _step(key), item) for key, item in value.items()]
    elif kind in (list, tuple):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    elif kind in (set, frozenset):
        parts = [(f"an element of {path}", item) for item in value]
    elif kind in (time, datetime):
        parts = [(f"{path}.tzinfo", value.tzinfo)]
    return next((found for where, part in parts if (found := why_unsupported(part, where, room - 1))), None)


def _step(key: Any) -> str:
    if type(key) is not str:
        return f"[{key!r}]"
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"


def _remedy(value: Any) -> str:
    if is_dataclass(value):
        return "write dataclasses.asdict(x)"
    if isinstance(value, Enum):
        return "write x.value"
    if isinstance(value, bytearray | memoryview):
        return "write bytes(x)"
    bases = (str, bytes, int, float, dict, list, tuple, set, frozenset, Decimal)
    return next((f"write {base.__name__}(x)" for base in bases if isinstance(value, base)), "write plain data")
