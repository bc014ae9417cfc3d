"""``encode`` and ``decode``: the choice between JSON, MessagePack and a zstd frame."""

from __future__ import annotations

from typing import Any

from redis_state.codec.json_format import JSON_CONTAINERS, TEXT_OF, json_text, scan
from redis_state.codec.limits import COMPRESS_FROM, MAX_DECODED, MAX_DEPTH
from redis_state.codec.msgpack_format import KNOWN, LEAVES, loses_types, pack, unpack
from redis_state.codec.size_check import excess, excess_json
from redis_state.codec.unsupported import why_unsupported
from redis_state.codec.zstd_format import compress, decompress
from redis_state.errors import CorruptValue, UnsupportedType


def encode(value: Any, *, path: str = "value") -> bytes:
    """Turn a value into bytes.

    Takes None, bool, int, float, str, bytes, list, tuple, dict (with any keys), set, frozenset, Decimal, UUID, date,
    time, datetime, timedelta, timezone and ZoneInfo. Raises ``UnsupportedType`` for all else; ``path`` names the value.
    """
    kind = type(value)
    text_of = TEXT_OF.get(kind)
    if text_of is not None and (text := text_of(value)) is not None:
        return text
    if kind not in KNOWN and hasattr(kind, "__plain__"):
        return encode(value.__plain__(), path=path)
    try:
        packed = pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsupportedType(why_unsupported(value, path) or f"{path}: {error}") from error
    if len(packed) < COMPRESS_FROM and kind in JSON_CONTAINERS and (text := json_text(value)) is not None:
        return text
    if kind not in LEAVES and loses_types(value):
        raise UnsupportedType(why_unsupported(value, path) or f"{path} changed while it was encoded")
    if len(packed) >= MAX_DECODED:
        raise UnsupportedType(f"{path} takes {len(packed)} bytes, and may take {MAX_DECODED - 1}: store it in parts")
    if much := excess(packed):
        raise UnsupportedType(f"{path} holds {much}: store it in parts")
    return compress(b"\xc1" + packed)


def decode(data: bytes) -> Any:
    """Turn bytes from ``encode`` into the value.

    Raises ``CorruptValue`` for all others. Memory is bounded: what could take more than a gigabyte is not read.
    """
    lead = data[:1]
    if lead == b"\x28":
        data = decompress(data)
        lead = data[:1]
    if lead == b"\xc1":
        return unpack(data[1:])
    if much := excess_json(data):
        raise CorruptValue(f"not a stored value ({len(data)} bytes): {much}")
    try:
        if data.isdigit() and lead != b"0":
            return int(data)
        text = data.decode()
        value, end = scan(text, 0)
    except (ValueError, StopIteration) as error:
        raise CorruptValue(f"not a stored value ({len(data)} bytes): {error!r}") from None
    except RecursionError:
        if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
            raise  # not these bytes, but the caller's own stack is deep
        raise CorruptValue(f"not a stored value ({len(data)} bytes): nested too deep") from None
    if end != len(text):
        raise CorruptValue(f"not a stored value ({len(data)} bytes): goes on after its end")
    return value
