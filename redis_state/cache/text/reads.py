"""Reading the texts of one namespace, as operations. Sends nothing.

A shard is four keys, changed together by one script: texts, metadata (and the totals), order of use, order of
expiry. Each partition has one, with its share of the budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from redis_state.cache.text.entry import CacheEntry, checked_ttl, packed_mtime, read_entry
from redis_state.engine.op import Op, Plan, ScriptThenRead, command, do, do_all, just
from redis_state.engine.operation import Meaning, Operation, ScriptOp, operation
from redis_state.keys import Keys
from redis_state.mapping.operations import EntryOperations

BESIDE = 4096  # bytes; larger texts are read beside the script
SMALL_IN_A_ROW = 8  # so many, and the next text is taken to be small as well

STALE_READ = CacheEntry("")  # in place of an entry: another put came between the script and the read beside it

ENTRY: dict[str, Meaning] = {"hit": read_entry, "miss": just(None)}

GET = operation("text/get", **ENTRY)
NOTE = operation("text/get", hit=lambda _, __, metadata, used: (metadata, used), miss=just(None))
PEEK = operation("text/peek", **ENTRY)
CONTAINS = operation("text/peek", hit=just(True), miss=just(False))


class ReadMode:
    """Mode of the next read: the text by the script, or beside it, to go by the sizes of those read before."""

    __slots__ = ("small",)

    def __init__(self) -> None:
        self.small = 0  # texts in a row

    def note_size(self, entry: CacheEntry | None) -> None:
        """Note how large a text was that was read."""
        if entry is not None:
            self.small = self.small + 1 if entry.size <= BESIDE else 0


class TextReads(EntryOperations[CacheEntry]):
    """The texts of one namespace, to be read."""

    __slots__ = ("mode",)

    index_slot = "expiries"

    def __init__(self, keys: Keys, ttl: float) -> None:
        checked_ttl(ttl)
        super().__init__(keys, ttl)
        self.mode = ReadMode()

    def read(self, name: str, mtime_ns: int | None = None) -> Op[CacheEntry | None]:
        """Read an entry, and count it as used."""
        return self._look(GET, name, mtime_ns, 1)

    def peek(self, name: str, mtime_ns: int | None = None, whole: int = 1) -> Op[CacheEntry | None]:
        """Read an entry, and count nothing."""
        return self._look(PEEK, name, mtime_ns, whole)

    def read_adaptive(self, name: str, mtime_ns: int | None = None) -> Op[CacheEntry | None]:
        """Read an entry as ``read`` does, in the mode that is likely to cost least. It may be ``STALE_READ``."""
        mtime = b"" if mtime_ns is None else packed_mtime(name, mtime_ns)
        if self.mode.small >= SMALL_IN_A_ROW:
            return GET(self.keys, name, mtime=mtime, whole=1)
        note = NOTE(self.keys, name, mtime=mtime, whole=0)
        return ScriptThenRead(note, ("HGET", note.keys[0], name), partial(_joined, note))

    def _look(self, look: Operation, name: str, mtime_ns: int | None, whole: int) -> ScriptOp[Any]:
        mtime = b"" if mtime_ns is None else packed_mtime(name, mtime_ns)
        return look(self.keys, name, mtime=mtime, whole=whole)

    def get(self, name: str) -> Op[CacheEntry | None]:
        return self.read(name)

    def fetch(self, name: str, *, file_mtime_ns: int | None = None) -> Plan[CacheEntry | None]:
        """Read an entry, and count it as used. A second round trip when a put came in between."""
        entry = yield from do(self.read_adaptive(name, file_mtime_ns))
        if entry is STALE_READ:
            entry = yield from do(self.peek(name, file_mtime_ns))
        self.mode.note_size(entry)
        return entry

    def fetch_many(self, names: Iterable[str]) -> Plan[dict[str, CacheEntry]]:
        """Read several entries, each by itself, in one round trip for 500; absent ones are left out."""
        asked = list(dict.fromkeys(names))
        found = yield from do_all([self.read(name) for name in asked])
        return {name: entry for name, entry in zip(asked, found, strict=True) if entry is not None}

    get_many = fetch_many

    def peek_many(self, names: Iterable[str]) -> Plan[dict[str, CacheEntry]]:
        """Read several entries, and count nothing."""
        asked = list(names)
        found = yield from do_all([self.peek(name) for name in asked])
        return {name: entry for name, entry in zip(asked, found, strict=True) if entry is not None}

    def contains(self, name: str) -> Op[bool]:
        return CONTAINS(self.keys, name, mtime=b"", whole=0)

    def time_left(self, name: str) -> Plan[float | None]:
        """Tell how many seconds an entry has left."""
        time = command(None, "TIME", read=lambda reply: int(reply[0]) + int(reply[1]) / 1e6)
        both: list[Op[Any]] = [self.peek(name, whole=0), time]
        entry, now = yield from do_all(both)
        return None if entry is None else max(0.0, entry.expires_at - now)


def _joined(note: ScriptOp[Any], replies: list[Any]) -> CacheEntry | None:
    noted, blob = replies
    known = note.read(noted)
    if known is None:
        return None
    return (read_entry(note, blob, *known) if blob else None) or STALE_READ
