"""The text cache beside a plain Python model of it: after every step both hold the same, within the same budget."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from property_tests.models.text import accounted
from redis_state.cache import CacheEntry, RedisTextCache
from redis_state.cache.text.reads import GET
from redis_state.errors import EntryTooLarge

BUDGET = 20_000
TTL = 1000.0
NAMES = st.sampled_from(["a", "b", "c", "d", "e", "longer-name-☃", "f" * 100])
SIZES = st.sampled_from([0, 10, 300, 3000, 4096, 5000, 9000, 19_000, 30_000])
MTIMES = st.sampled_from([None, 1_700_000_000_000_000_001, 1_700_000_000_000_000_002, -7])
TTLS = st.sampled_from([TTL, TTL, 200.0])


@dataclass
class Modelled:
    content: str
    mtime: int | None
    bytes: int
    left: float  # seconds
    used: int = 0

    @property
    def over(self) -> bool:
        return self.left < 0


class Model:
    """Entries in order of use, the least recently used first, and what was counted."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, Modelled] = OrderedDict()
        self.budget = BUDGET
        self.begun = False  # there are totals
        self.counted: Counter[str] = Counter()

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries.values())

    def put(self, name: str, content: str, mtime: int | None, ttl: float) -> bool | None:
        """Tell whether it was written; None when it is too large."""
        self.begun = True
        entry = Modelled(content, mtime, accounted(name, content), ttl)
        old = self.entries.get(name)
        if old and not old.over and old.mtime is not None and mtime is not None and mtime < old.mtime:
            self.counted["refused"] += 1
            return False
        if entry.bytes > self.budget:
            self.counted["refused"] += 1
            return None
        self.entries.pop(name, None)
        self.make_room(self.budget - entry.bytes)
        self.entries[name] = entry
        return True

    def make_room(self, limit: int) -> None:
        """Remove what is over (there are never more than a put removes), then what was used least recently."""
        for expired in [key for key, other in self.entries.items() if other.over]:
            del self.entries[expired]
            self.counted["expirations"] += 1
        while self.bytes > limit:
            self.entries.popitem(last=False)
            self.counted["evictions"] += 1

    def peek(self, name: str, mtime: int | None = None) -> Modelled | None:
        entry = self.entries.get(name)
        if entry is None or entry.over or (mtime is not None and mtime != entry.mtime):
            return None
        return entry

    def get(self, name: str, mtime: int | None) -> Modelled | None:
        found = self.peek(name, mtime)
        if found is not None:
            self.entries.move_to_end(name)
            found.used += 1
        else:
            entry = self.entries.pop(name, None)
            self.counted["expirations"] += entry is not None and entry.over
        self.counted["hits" if found else "misses"] += self.begun
        return found

    def take(self, name: str) -> Modelled | None:
        entry = self.entries.pop(name, None)
        return None if entry is None or entry.over else entry


class TextCache(Machine):
    """Seven names, and a budget for some of them."""

    def start(self) -> None:
        self.real = RedisTextCache(engine=self.engine, budget=BUDGET)
        self.other = RedisTextCache(engine=self.observer, budget=BUDGET)
        self.real.cache.entries.budget.allocator = "libc"
        self.model = Model()

    def stock(self) -> None:
        for name in "abc":
            self.put(name, 3000, 1_700_000_000_000_000_001, "x", TTL)

    def older(self, seconds: float) -> None:
        for entry in self.model.entries.values():
            entry.left -= seconds

    @rule(name=NAMES, size=SIZES, mtime=MTIMES, letter=st.sampled_from("xyü"), ttl=TTLS)
    def put(self, name: str, size: int, mtime: int | None, letter: str, ttl: float) -> None:
        content = letter * size
        expected = self.model.put(name, content, mtime, ttl)
        if expected is None:
            with pytest.raises(EntryTooLarge) as caught:
                self.real.put(name, content, ttl=ttl, file_mtime_ns=mtime)
            assert (caught.value.size, caught.value.budget) == (accounted(name, content), self.model.budget)
        else:
            assert self.real.put(name, content, ttl=ttl, file_mtime_ns=mtime) is expected

    @rule(name=NAMES, size=SIZES)
    def setdefault(self, name: str, size: int) -> None:
        """Put it where nothing is; else the put is refused, and what is there is read."""
        self.calm()
        if self.model.peek(name) is not None:
            self.model.counted["refused"] += 1
            expected = self.model.get(name, None)
            assert expected is not None
            assert self.real.cache.setdefault(name, CacheEntry("z")).content == expected.content
        elif accounted(name, "z" * size) <= self.model.budget:
            assert self.real.cache.setdefault(name, CacheEntry("z" * size)).content == "z" * size
            self.model.put(name, "z" * size, None, 86400.0)

    @rule(name=NAMES, mtime=MTIMES, lost=st.sampled_from(["", "", "reply", "request"]))
    def get(self, name: str, mtime: int | None, lost: str) -> None:
        """Read, and perhaps lose the reply: what was counted is not counted again. Or the request: then nothing is."""
        self.calm()
        self.client.script_load(GET.script.text)
        if lost == "reply":
            self.proxy.drop_next()
        elif lost == "request":
            self.proxy.drop_requests(n=1)
        found = self.real.get(name, file_mtime_ns=mtime)
        expected = self.model.peek(name, mtime) if lost == "request" else self.model.get(name, mtime)
        self.refusing = lost == "request"
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert (found.content, found.file_mtime_ns) == (expected.content, expected.mtime)
            assert found.access_count == expected.used

    @rule(names=st.lists(NAMES, max_size=4, unique=True))
    def get_many(self, names: list[str]) -> None:
        self.calm()
        found = self.real.get_many(names)
        expected = {name: entry for name in names if (entry := self.model.get(name, None))}
        plain = {name: (entry.content, entry.access_count) for name, entry in found.items()}
        assert plain == {name: (entry.content, entry.used) for name, entry in expected.items()}

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        assert self.real.drop(name) == (self.model.take(name) is not None)

    @rule(name=NAMES)
    def pop(self, name: str) -> None:
        found, expected = self.real.cache.pop(name, None), self.model.take(name)
        assert (found and found.content) == (expected and expected.content)

    @rule(name=NAMES, ttl=TTLS)
    def touch(self, name: str, ttl: float) -> None:
        entry = self.model.peek(name)
        assert self.real.cache.touch(name, ttl) is (entry is not None)
        if entry is not None:
            entry.left = ttl

    @rule()
    def clear(self) -> None:
        self.real.clear()
        self.model.entries.clear()

    @rule(budget=st.sampled_from([BUDGET, BUDGET // 2, BUDGET * 2]))
    def resize(self, budget: int) -> None:
        self.real.resize(budget)
        self.model.begun, self.model.budget = True, budget
        self.model.make_room(budget)

    @rule(name=NAMES, by=st.sampled_from([-1, 1]))
    def repair(self, name: str, by: int) -> None:
        """Take something away that nobody should, and let the account be repaired."""
        if name in self.model.entries:
            keys = self.real.cache.entries.keys
            texts, expiries = keys.key("texts", name), keys.key("expiries", name)
            self.client.hdel(texts, name) if by > 0 else self.client.zrem(expiries, name)
            found = self.real.repair()
            assert (found.drift, found.faults) == (0, 0)
            del self.model.entries[name]

    def agrees(self, snapshot: Snapshot) -> None:
        model = self.model
        lru, ends = snapshot.of("lru"), snapshot.of("expiries")
        assert list(lru[""].holds if lru else {}) == list(model.entries)
        over = {name: at / 1000 - snapshot.now for name, at in (ends[""].holds if ends else {}).items()}
        assert over.keys() == model.entries.keys()
        assert all(near(over[name], entry.left) for name, entry in model.entries.items())
        said, found = self.other.stats(), self.other.check()
        assert said.bytes == model.bytes == found.counted_bytes <= said.budget
        assert (found.drift, found.faults, found.entries) == (0, 0, len(model.entries))
        assert said.entries == sum(not entry.over for entry in model.entries.values())
        assert said.budget == (model.budget if model.begun else BUDGET)
        counts = {name: getattr(said, name) for name in ("hits", "misses", "evictions", "expirations", "refused")}
        assert counts == {name: model.counted[name] for name in counts}
        live = {name: entry for name, entry in model.entries.items() if not entry.over}
        assert {name: entry.content for name, entry in self.other.cache.items()} == {
            name: entry.content for name, entry in live.items()
        }
        kept = [seen for kind in ("texts", "metadata", "lru", "expiries") for seen in snapshot.of(kind).values()]
        assert all(seen.left > 2 * 86400 - 40_000 for seen in kept)


@everywhere
def test_the_cache_does_what_the_model_does(kind: str) -> None:
    run(TextCache, kind, examples=36)
