"""Reading the texts of one namespace, as operations. Sends nothing.

A shard is four keys, changed together by one script: texts, facts (and the totals), order of use,
order of expiry. There is one for each partition, with its share of the budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from redis_state.cache.text.entry import CacheEntry, checked_ttl, packed_mtime, read_entry
from redis_state.engine.op import Beside, Call, Op, Plan, command, do, do_all, just, reader
from redis_state.engine.registry import script
from redis_state.engine.script import Script
from redis_state.keys import Keys
from redis_state.mapping.entries import Entries

GET = script("text/get")
PEEK = script("text/peek")

BESIDE = 4096  # bytes; larger texts are read beside the script
SMALL_IN_A_ROW = 8  # so many, and the next text is taken to be small as well

OVERTAKEN = CacheEntry("")  # in place of an entry: another put came in between
ENTRY = {"hit": read_entry, "miss": just(None)}
_GET, _PEEK = reader(GET, ENTRY), reader(PEEK, ENTRY)
_NOTED = reader(GET, {"hit": lambda _, facts, used: (facts, used), "miss": just(None)})


class Shard(NamedTuple):
    """The keys of one partition."""

    blobs: str
    entries: str
    uses: str
    ends: str


class ShardKeys(Keys):
    """The keys of the text cache. Its orders of expiry serve as the index."""

    __slots__ = ()

    def indexes(self) -> list[str]:
        return [ends for _, _, _, ends in self.shards()]


class Reading(Entries[CacheEntry]):
    """The texts of one namespace, to be read."""

    __slots__ = ("_shards", "_small")

    def __init__(self, keys: Keys, ttl: float) -> None:
        checked_ttl(ttl)
        shards = ShardKeys(keys.namespace, prefix=keys.prefix, partitions=keys.partitions)
        super().__init__(shards, ttl)
        self._shards = {blobs[:-1]: Shard(blobs, *rest) for blobs, *rest in shards.shards()}
        self._small = 0

    def shard(self, name: str) -> Shard:
        """Return the keys of the name's partition."""
        return self._shards[self.keys.head(name)]

    @property
    def shards(self) -> list[Shard]:
        """The keys of each partition."""
        return list(self._shards.values())

    def read(self, name: str, mtime_ns: int | None = None, whole: int = 1) -> Op[CacheEntry | None]:
        """Read an entry, and count it as used."""
        return self._look(GET, name, mtime_ns, whole).read_by(_GET)

    def peek(self, name: str, mtime_ns: int | None = None, whole: int = 1) -> Op[CacheEntry | None]:
        """Read an entry, and count nothing."""
        return self._look(PEEK, name, mtime_ns, whole).read_by(_PEEK)

    def _look(self, which: Script, name: str, mtime_ns: int | None, whole: int) -> Call:
        blobs, entries, uses, ends = self.shard(name)
        mtime = b"" if mtime_ns is None else packed_mtime(name, mtime_ns)
        return which(blobs=blobs, entries=entries, uses=uses, ends=ends, name=name, mtime=mtime, whole=whole)

    def get(self, name: str) -> Op[CacheEntry | None]:
        return self.read(name)

    def fetch(self, name: str, *, file_mtime_ns: int | None = None) -> Plan[CacheEntry | None]:
        """Read an entry, and count it as used."""
        entry = yield from do(self.likely(name, file_mtime_ns))
        if entry is OVERTAKEN:
            entry = yield from do(self.peek(name, file_mtime_ns))
        self.learn(entry)
        return entry

    def likely(self, name: str, mtime_ns: int | None = None) -> Op[CacheEntry | None]:
        """Read an entry the way that costs least, to go by those read before. It may be ``OVERTAKEN``."""
        if self._small >= SMALL_IN_A_ROW:
            return self.read(name, mtime_ns)
        call = self._look(GET, name, mtime_ns, 0)
        return Beside(call, ("HGET", call.keys[0], name), _joined)

    def learn(self, entry: CacheEntry | None) -> None:
        """Remember what kind of text was read."""
        if entry is not None:
            self._small = self._small + 1 if entry.size <= BESIDE else 0

    def fetch_many(self, names: Iterable[str]) -> Plan[dict[str, CacheEntry]]:
        """Read several entries, each by itself, in one round trip for 500; absent ones are left out."""
        wanted = list(dict.fromkeys(names))
        found = yield from do_all([self.read(name) for name in wanted])
        return {name: entry for name, entry in zip(wanted, found, strict=True) if entry is not None}

    get_many = fetch_many

    def peek_many(self, names: Iterable[str]) -> Plan[dict[str, CacheEntry]]:
        wanted = list(names)
        found = yield from do_all([self.peek(name) for name in wanted])
        return {name: entry for name, entry in zip(wanted, found, strict=True) if entry is not None}

    def contains(self, name: str) -> Op[bool]:
        shard = self.shard(name)
        call = PEEK(**shard._asdict(), name=name, mtime=b"", whole=0)
        return call.meaning(hit=just(True), miss=just(False))

    def time_left(self, name: str) -> Plan[float | None]:
        """Tell how many seconds an entry has left."""
        time = command("TIME", read=lambda reply: int(reply[0]) + int(reply[1]) / 1e6)
        both: list[Op[Any]] = [self.peek(name, whole=0), time]
        entry, now = yield from do_all(both)
        return None if entry is None else max(0.0, entry.expires_at - now)


def _joined(replies: list[Any]) -> CacheEntry | None:
    noted, blob = replies
    known = _NOTED(noted)
    if known is None:
        return None
    return (read_entry(blob, *known) if blob else None) or OVERTAKEN
