"""What the text cache holds, and how it is written: pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from math import isfinite
from struct import Struct
from typing import Any

from redis_state.errors import CorruptValue

LONGEST_TTL = 86400.0  # seconds
TOKEN = 8  # random bytes in front of a text: they tell whether what was read beside a script belongs to it
FOREVER_MS = 1 << 52
_FACTS = Struct(">IddiId8s")
_MTIME = Struct(">di")  # as in the facts
_TOTALS = Struct(">ddddddddd")


@dataclass(slots=True)
class CacheEntry:
    """A text and what is known of it. Times are seconds since 1970, by the server's clock.

    What was read is a copy: to change an entry, put it again. ``size`` is always the true one (bytes
    in UTF-8), and ``last_accessed`` and ``access_count`` take in every reader of every container.
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
    """What the cache holds now, and what was done with it since its first entry."""

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
    """What was counted, beside what is accounted. All is well when ``drift`` and ``faults`` are 0."""

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
    """The account of one shard."""

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


def read_entry(blob: bytes, facts: bytes, used: Any) -> CacheEntry | None:
    """Make of a script's reply an entry; its text is '' when it was to be read beside. None: it is not whole."""
    hits, ends, seconds, nanos, _, created, token = _FACTS.unpack(facts)
    mtime = None if nanos < 0 else int(seconds) * 1_000_000_000 + nanos
    if not blob:
        return CacheEntry("", 0, created, float(used) / 1e6, hits, mtime, ends / 1000, token)
    if blob[:TOKEN] != token:
        return None
    content = read_text(blob)
    return CacheEntry(content, len(blob) - TOKEN, created, float(used) / 1e6, hits, mtime, ends / 1000, token)


def read_text(blob: bytes) -> str:
    try:
        return str(memoryview(blob)[TOKEN:], "utf-8") if len(blob) > 4096 else blob[TOKEN:].decode()
    except UnicodeDecodeError as error:
        raise CorruptValue(f"a text of the cache is not UTF-8: {error}") from None


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
    """Return an mtime as it stands in the facts of an entry."""
    return _MTIME.pack(*mtime_words(name, mtime_ns))


def checked_ttl(ttl: float) -> int:
    """Return a time to live in ms; up to a day."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl is a number of seconds, not {type(ttl).__name__}")
    if not isfinite(ttl) or not 0 < ttl <= LONGEST_TTL:
        raise ValueError(f"ttl={ttl!r}: seconds, above 0 and at most a day")
    return max(1, int(ttl * 1000))
