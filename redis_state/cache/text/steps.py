"""Writing texts, as operations and plans: what is put, and what must go for it. Sends nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from redis_state.cache.text.entry import (
    FOREVER_MS,
    LONGEST_TTL,
    CacheEntry,
    Totals,
    blob_of,
    checked_ttl,
    mtime_words,
    read_totals,
)
from redis_state.cache.text.reading import ENTRY, Reading, Shard
from redis_state.config import checked_budget
from redis_state.engine.guard import complain, read_memory, too_small
from redis_state.engine.op import Op, Plan, command, do, do_all, just, reader
from redis_state.engine.registry import script
from redis_state.engine.run import EngineBase
from redis_state.errors import CorruptValue, EntryTooLarge, ServerFull
from redis_state.keys import Keys

PUT = script("text/put")
POP = script("text/pop")
DROP = script("text/drop")
TOUCH = script("text/touch")
SWEEP = script("text/sweep")
STATS = script("text/stats")

BUDGET = 8 << 30  # bytes
LARGEST_GROUP, LARGEST_WRITE = 100, 4 << 20  # puts, and characters
TRIES = 6  # of a put on a full server, each after twice as much was evicted
ROUNDS = 50  # of evicting for one put, in which others may fill what became free

_POP = reader(POP, ENTRY)


class Stored(NamedTuple):
    """What became of a put."""

    word: str  # "stored", "more", "kept", "too_large"
    budget: int
    bytes: int = 0


_PUT = reader(PUT, {word: partial(Stored, word) for word in ("stored", "more", "kept", "too_large")})


@dataclass(slots=True)
class Wanted:
    """A put, as its caller wants it."""

    name: str
    content: str
    ttl: float
    mtime_ns: int | None = None
    created: float = 0.0
    hits: int = 0
    until_ms: int = FOREVER_MS
    absent: bool = False


class Texts(Reading):
    """The texts of one namespace, on one engine."""

    __slots__ = ("_allocator", "_budget", "_said", "_server", "_unsafe")

    def __init__(self, keys: Keys, ttl: float, budget: int | None, unsafe: str = "warn", server: str = "") -> None:
        super().__init__(keys, ttl)
        self._said = budget is not None
        self._budget = checked_budget("budget", BUDGET if budget is None else budget) // keys.partitions
        self._allocator = ""  # of the server; asked once
        self._unsafe = unsafe
        self._server = server

    @classmethod
    def of(cls, engine: EngineBase, namespace: str, ttl: float, budget: int | None) -> Texts:
        """Return the texts on an engine, with its settings where nothing else is said."""
        settings = engine.settings
        budget = settings.text_budget if budget is None else budget
        return cls(engine.keys(namespace), ttl, budget, settings.unsafe_server, str(settings.server))

    # --- putting ----------------------------------------------------------------------------------

    def write(
        self, name: str, content: str, *, ttl: float | None = None, file_mtime_ns: int | None = None
    ) -> Plan[bool]:
        """Put a text; tell whether it was written."""
        return self.store(Wanted(name, content, self.ttl if ttl is None else ttl, file_mtime_ns))

    def write_many(self, texts: Mapping[str, str], *, ttl: float | None = None) -> Plan[dict[str, bool]]:
        """Put several texts."""
        ttl = self.ttl if ttl is None else ttl
        return self.store_many([Wanted(name, content, ttl) for name, content in texts.items()])

    def store(self, want: Wanted) -> Plan[bool]:
        """Write an entry; tell whether it was written. Several round trips when much must be evicted."""
        if not self._allocator:
            yield from self._look_at_server()
        return (yield from self._finish(want, self._put(want)))

    def _finish(self, want: Wanted, op: Op[Stored], answer: Stored | None = None) -> Plan[bool]:
        tries = rounds = 0
        while True:
            try:
                answer = answer or (yield from do(op))
            except ServerFull:
                tries += 1
                if tries > TRIES or not (yield from self._relieve(want, 2**tries)):
                    raise
                continue
            if answer.word == "too_large":
                raise EntryTooLarge(want.name, answer.bytes, answer.budget)
            if answer.word != "more":
                self._compare(answer.budget)
                return answer.word == "stored"
            rounds += 1
            if rounds > ROUNDS:
                text = f"{ROUNDS} rounds of evicting made no room, so the account may be wrong: repair() mends it"
                raise CorruptValue(f"{want.name!r} was not put: {text}")
            yield from sweep(self.shard(want.name), 0, answer.budget - answer.bytes)  # without the text
            answer = None

    def _put(self, want: Wanted) -> Op[Stored]:
        seconds, nanos = mtime_words(want.name, want.mtime_ns)
        blobs, entries, uses, ends = self.shard(want.name)
        call = PUT(
            blobs=blobs,
            entries=entries,
            uses=uses,
            ends=ends,
            name=want.name,
            blob=blob_of(want.name, want.content),
            ttl_ms=checked_ttl(want.ttl),
            until_ms=want.until_ms,
            seconds=seconds,
            nanos=nanos,
            created=want.created,
            hits=want.hits,
            budget=self._budget,
            allocator=self._allocator,
            absent=int(want.absent),
        )
        return call.read_by(_PUT)

    def store_many(self, wants: Sequence[Wanted]) -> Plan[dict[str, bool]]:
        """Write several entries, in few round trips when there is room. All are checked before the first."""
        if not self._allocator:
            yield from self._look_at_server()
        stored: dict[str, bool] = {}
        for group in _groups([(want, self._put(want)) for want in wants]):
            try:
                answers: list[Any] = yield from do_all([op for _, op in group])
            except ServerFull:  # those that were written are written again
                answers = [None] * len(group)
            for (want, op), answer in zip(group, answers, strict=True):
                stored[want.name] = yield from self._finish(want, op, answer)
        return stored

    def set_default(self, name: str, value: CacheEntry) -> Plan[CacheEntry | None]:
        """Write an entry where none is; return the one that is there, or None."""
        while True:
            if (yield from self.store(replace(self.wanted(name, value), absent=True))):
                return None
            found = yield from do(self.get(name))
            if found is not None:
                return found

    def wanted(self, name: str, entry: CacheEntry, ttl: float | None = None) -> Wanted:
        """Return the put that an entry stands for."""
        if not isinstance(entry, CacheEntry):
            raise TypeError(f"{name!r}: the text cache holds CacheEntry, not {type(entry).__name__}; put() takes text")
        until_ms = FOREVER_MS if entry.expires_at is None else int(entry.expires_at * 1000)
        if ttl is None:
            ttl = self.ttl if entry.expires_at is None else LONGEST_TTL
        created, hits = float(entry.created_at or 0.0), int(entry.access_count)
        return Wanted(name, entry.content, ttl, entry.file_mtime_ns, created, hits, until_ms)

    # --- one entry --------------------------------------------------------------------------------

    def remove(self, name: str) -> Op[bool]:
        call = DROP(**self.shard(name)._asdict(), name=name)
        return call.meaning(dropped=just(True), missing=just(False))

    def pop(self, name: str) -> Op[CacheEntry | None]:
        return POP(**self.shard(name)._asdict(), name=name).read_by(_POP)

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        shard = self.shard(name)
        ttl_ms = checked_ttl(self.ttl if ttl is None else ttl)
        call = TOUCH(entries=shard.entries, ends=shard.ends, name=name, ttl_ms=ttl_ms)
        return call.meaning(touched=just(True), missing=just(False))

    # --- the server -------------------------------------------------------------------------------

    def _look_at_server(self) -> Plan[None]:
        """Ask once how the server's memory is set up, and whether the budget fits."""
        memory = yield from do(command("INFO", "memory", read=read_memory))
        complain(too_small(memory, self._server, self._budget * self.keys.partitions), self._unsafe)
        self._allocator = memory.allocator

    def _relieve(self, want: Wanted, times: int) -> Plan[bool]:
        """Evict what was used least recently, for a server at its memory limit; False when nothing is left."""
        shard = self.shard(want.name)
        before = yield from do(totals(shard))
        if before is None or not before.entries:
            return False
        yield from sweep(shard, 0, max(0, before.bytes - times * (len(want.content) + 1024)))
        return True

    def _compare(self, budget: int) -> None:
        if budget != self._budget:
            if self._said:
                parts = self.keys.partitions
                text = (
                    f"the text cache's budget is {budget * parts} bytes, as said elsewhere, not {self._budget * parts}"
                )
                warnings.warn(f"{text}; resize() changes it for all", RuntimeWarning, stacklevel=3)
            self._budget = budget  # said once

    @property
    def budget(self) -> int:
        """The budget in bytes, as far as it is known here."""
        return self._budget * self.keys.partitions

    def take_budget(self, share: int) -> None:
        """Know the budget of each shard."""
        self._budget = share


def totals(shard: Shard) -> Op[Totals | None]:
    """Read the account of a shard; None when nothing was ever put."""
    return STATS(entries=shard.entries, ends=shard.ends).meaning(totals=read_totals, empty=just(None))


def sweep(shard: Shard, budget: int, limit: int) -> Plan[None]:
    """Remove from a shard until it has ``limit`` bytes at most, in steps that block nobody for long."""
    while not (yield from do(swept(shard, budget, limit))):
        pass


def swept(shard: Shard, budget: int, limit: int) -> Op[bool]:
    """Remove some hundreds of entries at the most; tell whether the shard is down to ``limit``."""
    return SWEEP(**shard._asdict(), budget=budget, limit=limit).meaning(swept=just(True), more=just(False))


def _groups(puts: list[tuple[Wanted, Op[Stored]]]) -> Iterator[list[tuple[Wanted, Op[Stored]]]]:
    """Cut into writes of some megabytes."""
    group, size = [], 0
    for put in puts:
        group.append(put)
        size += len(put[0].content)
        if len(group) == LARGEST_GROUP or size > LARGEST_WRITE:
            yield group
            group, size = [], 0
    if group:
        yield group
