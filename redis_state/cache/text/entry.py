"""Entries of the text cache, and their format. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from struct import Struct

from redis_state.durations import DAY, ttl_ms
from redis_state.errors import CorruptValue
from redis_state.mapping.snapshots import told_instead

LONGEST_TTL = DAY
TOKEN = 8  # random bytes in front of a text: they tell whether what was read beside a script belongs to it
FOREVER_MS = 1 << 52
_METADATA = Struct(">IddiId8s")
_MTIME = Struct(">di")  # as in the metadata
_TOTALS = Struct(">ddddddddd")


@told_instead("text_cache.cache[name] = dataclasses.replace(entry, ...)")
@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A text, its size, times and uses. Times are seconds since 1970, by the server's clock.

    What was read is a copy, and cannot be changed: to change an entry, put another (``dataclasses.replace``).
    ``size`` is always the true one (bytes in UTF-8), and ``last_accessed`` and ``access_count`` take in every reader of
    every container.
    """

    content: str
    size: int = 0
    created_at: float = 0.0
    last_accessed: float = 0.0
    access_count: int = 0
    file_mtime_ns: int | None = None
    expires_at: float | None = None
    token: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TextCacheStats:
    """The account of the cache: what it holds now, and its uses since its first entry.

    Reads before that, or three days after the last entry, are not counted: a cache without an entry keeps nothing.
    """

    entries: int = 0  # that are not expired
    bytes: int = 0  # of the server's memory, as accounted
    budget: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    expirations: int = 0
    refused: int = 0  # puts: too large, or older than what is there

    @property
    def hit_ratio(self) -> float:
        """Hits of all reads, 0.0 to 1.0."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0


@dataclass(frozen=True, slots=True)
class TextCacheCheck:
    """A count of all entries, beside the account. All is well when ``drift`` and ``faults`` are 0."""

    entries: int = 0  # counted
    bytes: int = 0  # accounted
    counted_bytes: int = 0
    faults: int = 0  # entries that are not whole

    @property
    def drift(self) -> int:
        """Bytes accounted beyond those counted."""
        return self.bytes - self.counted_bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """The account of one shard, as it was read."""

    live: int
    packed: bytes
    hits: int
    misses: int
    bytes: int
    entries: int
    budget: int
    evictions: int
    expirations: int
    refused: int


def read_totals(live: int, packed: bytes) -> Totals:
    _, *counts = _TOTALS.unpack(packed)
    return Totals(live, packed, *map(int, counts))


class _OpenEntry:
    """A ``CacheEntry`` that is being filled: it has the same slots, and becomes one by its class.

    A frozen dataclass fills itself by eight calls of ``object.__setattr__``, which cost a fifth of reading an entry.
    """

    __slots__ = CacheEntry.__slots__

    content: str
    size: int
    created_at: float
    last_accessed: float
    access_count: int
    file_mtime_ns: int | None
    expires_at: float
    token: bytes


def read_entry(_: object, blob: bytes, metadata: bytes, used: int) -> CacheEntry | None:
    """Make an entry of a script's reply; its text is '' when it was to be read beside. None: it is not whole."""
    entry = _OpenEntry()
    entry.access_count, ends, seconds, nanos, _, entry.created_at, entry.token = _METADATA.unpack(metadata)
    entry.last_accessed = used / 1e6
    entry.file_mtime_ns = None if nanos < 0 else int(seconds) * 1_000_000_000 + nanos
    entry.expires_at = ends / 1000
    if not blob:
        entry.content, entry.size = "", 0
    elif blob.startswith(entry.token):
        entry.size = size = len(blob) - TOKEN
        try:
            entry.content = str(memoryview(blob)[TOKEN:], "utf-8") if size > 4096 else blob[TOKEN:].decode()
        except UnicodeDecodeError as error:
            raise CorruptValue(f"a text of the cache is not UTF-8: {error}") from None
    else:
        return None
    entry.__class__ = CacheEntry  # type: ignore[assignment]
    return entry  # type: ignore[return-value]


def blob_of(name: str, content: str) -> bytes:
    """Return the bytes to store."""
    if not isinstance(content, str):
        raise TypeError(f"{name!r}: the text cache holds text, not {type(content).__name__}")
    try:
        return secrets.token_bytes(TOKEN) + content.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name!r}: its text is none that UTF-8 can hold: {error.reason}") from None


def mtime_words(name: str, mtime_ns: int | None) -> tuple[int, int]:
    """Split an mtime into seconds and nanoseconds; (0, -1) for none."""
    if mtime_ns is None:
        return 0, -1
    if type(mtime_ns) is not int:
        raise TypeError(f"{name!r}: file_mtime_ns is a whole number like st_mtime_ns, not {type(mtime_ns).__name__}")
    seconds, nanos = divmod(mtime_ns, 1_000_000_000)
    if abs(seconds) > 1 << 52:
        raise ValueError(f"{name!r}: file_mtime_ns={mtime_ns} is no time of a file")
    return seconds, nanos


def packed_mtime(name: str, mtime_ns: int) -> bytes:
    """Return an mtime as it stands in the metadata of an entry."""
    return _MTIME.pack(*mtime_words(name, mtime_ns))


def checked_ttl(ttl: float) -> int:
    """Return a time to live in ms; up to a day."""
    return ttl_ms(ttl, LONGEST_TTL)
