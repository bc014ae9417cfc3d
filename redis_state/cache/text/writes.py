"""Writing the texts of one namespace, as operations and plans. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from redis_state.cache.text.budget import Budget
from redis_state.cache.text.entry import (
    FOREVER_MS,
    LONGEST_TTL,
    CacheEntry,
    blob_of,
    checked_ttl,
    mtime_words,
)
from redis_state.cache.text.reads import ENTRY, TextReads
from redis_state.engine.base import EngineBase
from redis_state.engine.op import Op, Plan, do, do_all, just
from redis_state.engine.operation import Meaning, operation
from redis_state.errors import CorruptValue, EntryTooLarge, NotApplied, ServerFull, ServerUnavailable
from redis_state.keys import Keys

LARGEST_GROUP, LARGEST_WRITE = 100, 4 << 20  # puts, and characters
TRIES = 6  # of a put on a full server, each after twice as much was evicted
MOST_TRIES = 200  # of setting a default, while others write and drop the text
ROUNDS = 50  # of evicting for one put, in which others may fill what became free


class Stored(NamedTuple):
    """Outcome of a put."""

    tag: str  # "stored", "more", "kept", "too_large"
    budget: int  # of the shard
    bytes: int = 0  # that the text takes


def _stored(tag: str) -> Meaning:
    return lambda _, budget, size=0: Stored(tag, budget, size)


PUT = operation("text/put", **{tag: _stored(tag) for tag in ("stored", "more", "kept", "too_large")})
POP = operation("text/pop", **ENTRY)
DROP = operation("text/drop", dropped=just(True), missing=just(False))
TOUCH = operation("text/touch", touched=just(True), missing=just(False))


@dataclass(slots=True)
class PutRequest:
    """A put, as its caller asked for it."""

    name: str
    content: str
    ttl: float
    mtime_ns: int | None = None
    created: float = 0.0
    hits: int = 0
    until_ms: int = FOREVER_MS
    absent: bool = False  # only where no entry is


class TextOperations(TextReads):
    """The texts of one namespace: what can be read of them, and what is written."""

    __slots__ = ("budget",)

    def __init__(self, keys: Keys, ttl: float, budget: Budget) -> None:
        super().__init__(keys, ttl)
        self.budget = budget

    @classmethod
    def of(cls, engine: EngineBase, namespace: str, ttl: float, budget: int | None) -> TextOperations:
        """Return the texts on an engine, with its settings where no budget is given."""
        settings, keys = engine.settings, engine.keys(namespace)
        size = settings.text_budget if budget is None else budget
        return cls(keys, ttl, Budget(keys, size, settings.unsafe_server, str(settings.server), engine.events))

    # --- putting ----------------------------------------------------------------------------------

    def put_text(
        self, name: str, content: str, *, ttl: float | None = None, file_mtime_ns: int | None = None
    ) -> Plan[bool]:
        """Put a text; tell whether it was written."""
        return self._put_one(PutRequest(name, content, self.ttl if ttl is None else ttl, file_mtime_ns))

    def put_texts(self, texts: Mapping[str, str], *, ttl: float | None = None) -> Plan[dict[str, bool]]:
        """Put several texts, in few round trips when there is room. All are checked before the first."""
        ttl = self.ttl if ttl is None else ttl
        return self._put_many([PutRequest(name, content, ttl) for name, content in texts.items()])

    def put_entry(self, name: str, entry: CacheEntry) -> Plan[bool]:
        """Put an entry; tell whether it was written."""
        return self._put_one(self._request(name, entry))

    def put_entries(self, entries: Mapping[str, CacheEntry], *, ttl: float | None = None) -> Plan[dict[str, bool]]:
        """Put several entries, as ``put_texts`` does."""
        return self._put_many([self._request(name, entry, ttl) for name, entry in entries.items()])

    def set_default(self, name: str, value: Any) -> Plan[CacheEntry]:
        """Return the entry; put ``value`` first where none is. Two round trips."""
        request = replace(self._request(name, value), absent=True)
        for _ in range(MOST_TRIES):
            if (yield from self._put_one(request)):
                try:
                    found = yield from do(self.peek(name))
                except ServerUnavailable:  # the put itself is done
                    found = None
                return value if found is None else found
            found = yield from do(self.get(name))
            if found is not None:
                return found
        raise NotApplied(f"{name!r} came and went under each of {MOST_TRIES} attempts to set it")

    def _request(self, name: str, entry: CacheEntry, ttl: float | None = None) -> PutRequest:
        if not isinstance(entry, CacheEntry):
            raise TypeError(f"{name!r}: the text cache holds CacheEntry, not {type(entry).__name__}; put() takes text")
        until_ms = FOREVER_MS if entry.expires_at is None else int(entry.expires_at * 1000)
        if ttl is None:
            ttl = self.ttl if entry.expires_at is None else LONGEST_TTL
        created, hits = float(entry.created_at or 0.0), int(entry.access_count)
        return PutRequest(name, entry.content, ttl, entry.file_mtime_ns, created, hits, until_ms)

    def put_once(self, request: PutRequest) -> Op[Stored]:
        """Try a put once."""
        seconds, nanos = mtime_words(request.name, request.mtime_ns)
        return PUT(
            self.keys,
            request.name,
            blob=blob_of(request.name, request.content),
            ttl_ms=checked_ttl(request.ttl),
            until_ms=request.until_ms,
            seconds=seconds,
            nanos=nanos,
            created=request.created,
            hits=request.hits,
            budget=self.budget.share,
            allocator=self.budget.allocator,
            absent=int(request.absent),
        )

    def _put_one(self, request: PutRequest) -> Plan[bool]:
        if not self.budget.allocator:
            yield from self.budget.probe()
        return (yield from self._put_until_settled(request, self.put_once(request)))

    def _put_many(self, requests: Sequence[PutRequest]) -> Plan[dict[str, bool]]:
        if not self.budget.allocator:
            yield from self.budget.probe()
        stored: dict[str, bool] = {}
        for group in _groups([(request, self.put_once(request)) for request in requests]):
            try:
                answers: list[Any] = yield from do_all([op for _, op in group])
            except ServerFull:  # those that were written are written again
                answers = [None] * len(group)
            for (request, op), answer in zip(group, answers, strict=True):
                stored[request.name] = yield from self._put_until_settled(request, op, answer)
        return stored

    def _put_until_settled(self, request: PutRequest, op: Op[Stored], answer: Stored | None = None) -> Plan[bool]:
        """Put, and evict, until the text is written or refused. ``answer``: to the first try, if it was made."""
        shard = self.keys.of(request.name)
        tries = rounds = 0
        while True:
            try:
                answer = answer or (yield from do(op))
            except ServerFull:
                tries += 1
                size = 2**tries * (len(request.content) + 1024)
                if tries > TRIES or not (yield from self.budget.make_room(shard, size)):
                    raise
                continue
            if answer.tag == "too_large":
                raise EntryTooLarge(request.name, answer.bytes, answer.budget)
            if answer.tag != "more":
                self.budget.agree(answer.budget)
                return answer.tag == "stored"
            rounds += 1
            if rounds > ROUNDS:
                text = f"{ROUNDS} rounds of evicting made no room, so the account may be wrong: repair() mends it"
                raise CorruptValue(f"{request.name!r} was not put: {text}")
            yield from self.budget.sweep(shard, answer.budget - answer.bytes)  # without the text
            answer = None

    # --- one entry --------------------------------------------------------------------------------

    def remove(self, name: str) -> Op[bool]:
        return DROP(self.keys, name)

    def pop(self, name: str) -> Op[CacheEntry | None]:
        return POP(self.keys, name)

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        return TOUCH(self.keys, name, ttl_ms=checked_ttl(self.ttl if ttl is None else ttl))


def _groups(puts: list[tuple[PutRequest, Op[Stored]]]) -> Iterator[list[tuple[PutRequest, Op[Stored]]]]:
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
