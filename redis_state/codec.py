"""Values to bytes and back: what comes out equals what went in, and has its type.

The first byte says what the rest is::

    { [ " digit - t f n    JSON text, so that redis-cli shows it and HINCRBY counts in it
    C1                     MessagePack (which never uses C1 itself)
    28 B5 2F FD            a zstd frame around one of these two

JSON holds what it round-trips, up to 1 KB. All else is MessagePack: several times as fast, and it loses neither bytes
nor keys that are no strings nor NaN; from 1 KB compressed, if that makes it smaller. A type that MessagePack lacks
(tuple, set, Decimal, datetime, ...) is a list that opens with an empty extension naming the type: no value lies inside
the payload of another, so reading needs no recursion, however the bytes are nested.

A subclass would come back as its base, so it is refused. Excepted are classes with a method ``__plain__``, which
returns the int, float, list or dict to store instead. Stored bytes are not trusted, and nothing is ever unpickled.
"""

from __future__ import annotations

import gc
import json
from base64 import b64encode
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import zstandard

from redis_state.errors import CorruptValue, UnsupportedType

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECODED = 64 << 20  # bytes of one value, before compression
MAX_DEPTH = 100  # containers inside each other
COMPRESS_FROM = 1024  # bytes
_VERIFY_FROM = 4096  # below this, lists that lie about their length cannot cost more than 32 MB
_WIDE = 10**600  # a Python may be set to read no more than 640 digits

T = TypeVar("T")


def encode(value: Any, *, path: str = "value") -> bytes:
    """Turn a value into bytes.

    Takes None, bool, int, float, str, bytes, list, tuple, dict (with any keys), set, frozenset, Decimal, UUID, date,
    time, datetime, timedelta, timezone and ZoneInfo. Raises ``UnsupportedType`` for all else; ``path`` names the value.
    """
    kind = type(value)
    text_of = _TEXT_OF.get(kind)
    if text_of is not None and (text := text_of(value)) is not None:
        return text
    if kind not in _KNOWN and hasattr(kind, "__plain__"):
        return encode(value.__plain__(), path=path)
    try:
        packed = _pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsupportedType(_fault(value, path) or f"{path}: {error}") from error
    if len(packed) < COMPRESS_FROM and kind in _JSON_CONTAINERS and (text := _json_text(value)) is not None:
        return text
    if kind not in _LEAVES and _is_altered(value):
        raise UnsupportedType(_fault(value, path) or f"{path} changed while it was encoded")
    if len(packed) >= MAX_DECODED:
        raise UnsupportedType(f"{path} takes {len(packed)} bytes, and may take {MAX_DECODED - 1}: store it in parts")
    return _compressed(b"\xc1" + packed)


def decode(data: bytes) -> Any:
    """Turn bytes from ``encode`` into the value.

    Raises ``CorruptValue`` for all others. Memory is bounded by a multiple of their length, or of ``MAX_DECODED``.
    """
    lead = data[:1]
    if lead == b"\x28":
        data = _inflated(data)
        lead = data[:1]
    if lead == b"\xc1":
        return _unpacked(data[1:])
    try:
        if data.isdigit() and lead != b"0":
            return int(data)
        text = data.decode()
        value, end = _scan(text, 0)
    except (ValueError, StopIteration) as error:
        raise CorruptValue(f"not a stored value ({len(data)} bytes): {error!r}") from None
    except RecursionError:
        if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
            raise  # not these bytes, but the caller's own stack is deep
        raise CorruptValue(f"not a stored value ({len(data)} bytes): nested too deep") from None
    if end != len(text):
        raise CorruptValue(f"not a stored value ({len(data)} bytes): goes on after its end")
    return value


def as_json(value: Any) -> str:
    """Show a value as JSON text: bytes as base64, dates in ISO 8601, sets as lists, NaN and infinities as null.

    One way only: it is for readers, and two keys such as ``1`` and ``"1"`` become one.
    """
    return json.dumps(_shown(value), ensure_ascii=False)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else _shown(key) for key in value]
        names = [key if isinstance(key, str) else json.dumps(key, ensure_ascii=False) for key in keys]
        return dict(zip(names, map(_shown, value.values()), strict=True))
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and not -_WIDE < value < _WIDE:
        return hex(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _json_text(value: Any) -> bytes | None:
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
_TEXT_OF: dict[type, Callable[[Any], bytes | None]] = {
    int: lambda value: b"%d" % value if -_WIDE < value < _WIDE else None,
    str: _str_text,
    float: lambda value: repr(value).encode() if isfinite(value) else None,
    bool: lambda value: b"true" if value else b"false",
    type(None): lambda _: b"null",
}


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

_SCALARS = frozenset(_TEXT_OF)
_KEYS = frozenset({str})
_JSON_CONTAINERS = frozenset({dict, list})
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
_LEAVES = _SCALARS | {bytes} | (_FORMS.keys() - _CONTAINERS)
_KNOWN = _CONTAINERS | _LEAVES
_ALTERED = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})  # msgpack takes them, as another type

# Each is used by one caller at a time; more are made while these are out, and one lost to an exception is not missed.
_packers: list[msgpack.Packer] = []
_compressors: list[zstandard.ZstdCompressor] = []
_decompressors: list[zstandard.ZstdDecompressor] = []


def _borrow(pool: list[T], make: Callable[[], T]) -> T:
    try:
        return pool.pop()
    except IndexError:
        return make()


def _new_packer() -> msgpack.Packer:
    return msgpack.Packer(default=_form, strict_types=True, buf_size=4096)


def _new_compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=3, write_checksum=True)


def _pack(value: Any) -> bytes:
    packer = _borrow(_packers, _new_packer)
    packed: bytes = packer.pack(value)
    if len(packed) < 1 << 20:  # its buffer never shrinks
        _packers.append(packer)
    return packed


def _form(value: Any) -> Any:
    if hasattr(type(value), "__plain__"):
        value = value.__plain__()
        if type(value) is not int or -(1 << 63) <= value < 1 << 64:
            return value
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} is not supported")
    return [form.mark, *form.take(value)]


def _is_json(value: Any, room: int) -> bool:
    """Tell whether JSON keeps all types of a value that ``_pack`` took."""
    kind = type(value)
    if kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            return False
        items = value.values()
    elif kind is list:
        items = value
    else:
        return hasattr(kind, "__plain__") and _is_json([value.__plain__()], room)
    if _SCALARS.issuperset(map(type, items)):
        return True
    if room > 1:
        for item in items:
            if type(item) not in _SCALARS and not _is_json(item, room - 1):
                return False
    return room > 1


def _is_altered(value: Any) -> bool:
    """Tell whether ``_pack`` took what would come back as another type, or nested too deep. Level by level, in C."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if kinds & _ALTERED:
            return True
        if not kinds <= _KNOWN:
            level = [item.__plain__() if hasattr(type(item), "__plain__") else item for item in level]
        if not kinds <= _CONTAINERS:
            level = [item for item in level if type(item) in _CONTAINERS]
        if not level:
            return False
        level = gc.get_referents(*level)  # all items, keys and values; of a dict whose keys are all str, values alone
    return True


def _fault(value: Any, path: str, room: int = MAX_DEPTH) -> str | None:
    """Find what makes a value unsupported: its path, and what to write instead. Slow, and only run after a refusal."""
    kind = type(value)
    if hasattr(kind, "__plain__"):
        value = value.__plain__()
        kind = type(value)
    if kind is str and any("\ud800" <= letter <= "\udfff" for letter in value):
        return f"{path} holds a lone surrogate, which no encoding can keep: write x.encode('utf-8', 'surrogatepass')"
    if kind not in _KNOWN:
        return f"{path} is of type {kind.__qualname__}, and would not come back as one: {_remedy(value)}"
    if kind in _CONTAINERS and room < 1:
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
    return next((fault for where, part in parts if (fault := _fault(part, where, room - 1))), None)


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


class _Marks:
    """Makes the forms of one MessagePack text, and counts the marks that still wait for their list."""

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


def _unpacked(packed: bytes) -> Any:
    marks = _Marks()
    try:
        if len(packed) > _VERIFY_FROM:  # lists are allocated by the length they claim: walk through them first
            verifier = msgpack.Unpacker(max_buffer_size=len(packed), strict_map_key=False)
            verifier.feed(packed)
            verifier.skip()
        value = msgpack.unpackb(packed, strict_map_key=False, timestamp=3, ext_hook=marks.mark, list_hook=marks.items)
    except MemoryError:
        raise
    except Exception as error:  # whatever a constructor says of arguments that we never stored
        raise CorruptValue(f"not a stored value ({len(packed)} bytes): {error!r}") from None
    if marks.waiting:
        raise CorruptValue(f"not a stored value ({len(packed)} bytes): a mark without its list")
    return value


def _compressed(body: bytes) -> bytes:
    if len(body) < COMPRESS_FROM:
        return body
    compressor = _borrow(_compressors, _new_compressor)
    frame = compressor.compress(body)
    _compressors.append(compressor)
    return frame if len(frame) < len(body) else body


def _inflated(frame: bytes) -> bytes:
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if size > min(MAX_DECODED, len(frame) << 15):  # a block holds 128 KB and takes 4 bytes; unknown is 2**64 - 1
            raise CorruptValue(f"a frame of {len(frame)} bytes cannot hold {size}, or does not say how many")
        decompressor = _borrow(_decompressors, zstandard.ZstdDecompressor)
        body = decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptValue(f"a damaged frame of {len(frame)} bytes: {error}") from None
    _decompressors.append(decompressor)
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _plain(value: Any) -> Any:
    return value.__plain__()


# The C halves of json, kept: for small values ``json.dumps`` and ``json.loads`` spend half their time on making them.
_scan = json.JSONDecoder(parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]
_chunks = c_make_encoder(None, _plain, encode_basestring, None, ":", ",", False, False, False)
