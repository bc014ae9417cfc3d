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

::

    encoding         encode and decode: the choice between the formats
    json_format  msgpack_format  zstd_format    the formats
    limits  size_check    how large a value may be, and the check of stored bytes
    unsupported      the error text for a value of a type that is not kept
    json_view        as_json: a value for readers, one way only
    pool             compressors and packers that are used again
"""

from redis_state.codec.encoding import decode, encode
from redis_state.codec.json_view import as_json
from redis_state.codec.limits import COMPRESS_FROM, MAX_CONTAINERS, MAX_DECODED, MAX_DEPTH, MAX_ITEMS

__all__ = ["COMPRESS_FROM", "MAX_CONTAINERS", "MAX_DECODED", "MAX_DEPTH", "MAX_ITEMS", "as_json", "decode", "encode"]
