"""MessagePack, and the types that it lacks."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack

from redis_state.codec.json_format import SCALARS
from redis_state.codec.limits import MAX_DEPTH
from redis_state.codec.pool import borrow
from redis_state.codec.size_check import excess
from redis_state.errors import CorruptValue

_VERIFY_FROM = 4096  # below this, lists that lie about their length cannot cost more than 32 MB


class _Form(NamedTuple):
    """A type as a list: ``take`` gives what stands behind the mark, ``make`` the value from it."""

    mark: msgpack.ExtType
    take: Callable[[Any], list[Any]]
    make: Callable[[list[Any]], Any]


def _clock(value: time | datetime) -> list[Any]:
    return [value.hour, value.minute, value.second, value.microsecond, value.tzinfo, value.fold]


def _timezone(parts: list[Any]) -> timezone:
    unnamed = timezone(parts[0])
    return unnamed if unnamed.tzname(None) == parts[1] else timezone(*parts)


# Stored values hold the codes: never change one, never use one again.
_CODES: list[tuple[int, type, Callable[[Any], list[Any]], Callable[[list[Any]], Any]]] = [
    (1, tuple, list, tuple),
    (2, set, list, set),
    (3, frozenset, list, frozenset),
    (4, int, lambda n: [n.to_bytes(n.bit_length() // 8 + 1, signed=True)], lambda p: int.from_bytes(p[0], signed=True)),
    (5, Decimal, lambda d: [str(d)], lambda p: Decimal(p[0])),
    (6, UUID, lambda u: [u.bytes], lambda p: UUID(bytes=p[0])),
    (7, timedelta, lambda t: [t.days, t.seconds, t.microseconds], lambda p: timedelta(*p)),
    (8, date, lambda d: [d.year, d.month, d.day], lambda p: date(*p)),
    (9, time, _clock, lambda p: time(*p[:5], fold=p[5])),
    (10, datetime, lambda d: [d.year, d.month, d.day, *_clock(d)], lambda p: datetime(*p[:8], fold=p[8])),  # noqa: DTZ001
    (11, timezone, lambda z: [z.utcoffset(None), z.tzname(None)], _timezone),
    (12, ZoneInfo, lambda z: [z.key], lambda p: ZoneInfo(p[0])),
]
_FORMS = {kind: _Form(msgpack.ExtType(code, b""), take, make) for code, kind, take, make in _CODES}
_BY_CODE = {form.mark.code: form for form in _FORMS.values()}

CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
LEAVES = SCALARS | {bytes} | (_FORMS.keys() - CONTAINERS)
KNOWN = CONTAINERS | LEAVES
_ALTERED = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})  # msgpack takes them, as another type

_packers: list[msgpack.Packer] = []


def _new_packer() -> msgpack.Packer:
    return msgpack.Packer(default=_form, strict_types=True, buf_size=4096)


def pack(value: Any) -> bytes:
    packer = borrow(_packers, _new_packer)
    packed: bytes = packer.pack(value)
    if len(packed) < 1 << 20:  # its buffer never shrinks
        _packers.append(packer)
    return packed


def _form(value: Any) -> Any:
    if hasattr(type(value), "__plain__"):
        value = value.__plain__()
        if -(1 << 63) <= value < 1 << 64 if type(value) is int else type(value) not in _FORMS:
            return value
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} is not supported")
    return [form.mark, *form.take(value)]


def loses_types(value: Any) -> bool:
    """Tell whether ``pack`` took what would come back as another type, or nested too deep. Level by level, in C."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if kinds & _ALTERED:
            return True
        if not kinds <= KNOWN:
            level = [item.__plain__() if hasattr(type(item), "__plain__") else item for item in level]
        if not kinds <= CONTAINERS:
            level = [item for item in level if type(item) in CONTAINERS]
        if not level:
            return False
        level = gc.get_referents(*level)  # all items, keys and values; of a dict whose keys are all str, values alone
    return True


class _Marks:
    """Builder of the values of one MessagePack text; it counts the marks that still wait for their list."""

    waiting = 0

    def mark(self, code: int, data: bytes) -> _Form:
        if data:
            raise ValueError(f"extension {code} has content")
        self.waiting += 1
        return _BY_CODE[code]

    def items(self, items: list[Any]) -> Any:
        if items and type(items[0]) is _Form:
            self.waiting -= 1
            return items.pop(0).make(items)
        return items


def unpack(packed: bytes) -> Any:
    if much := excess(packed):
        raise CorruptValue(f"not a stored value ({len(packed)} bytes): {much}")
    marks = _Marks()
    try:
        if len(packed) > _VERIFY_FROM:  # lists are allocated by the length they claim: walk through them first
            verifier = msgpack.Unpacker(max_buffer_size=len(packed), strict_map_key=False)
            verifier.feed(packed)
            verifier.skip()
        value = msgpack.unpackb(packed, strict_map_key=False, timestamp=3, ext_hook=marks.mark, list_hook=marks.items)
    except MemoryError:
        raise
    except Exception as error:  # constructors raise anything on arguments that were never stored
        raise CorruptValue(f"not a stored value ({len(packed)} bytes): {error!r}") from None
    if marks.waiting:
        raise CorruptValue(f"not a stored value ({len(packed)} bytes): a mark without its list")
    return value
