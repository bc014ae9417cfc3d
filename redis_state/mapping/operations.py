"""Operations that records and values have in common: names, counts, and the plans built on them. Pure.

``RecordOperations`` and ``ValueOperations`` say how an entry is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from redis_state.durations import ttl_ms
from redis_state.engine.op import Op, Plan, command, do, do_all
from redis_state.engine.operation import operation
from redis_state.engine.pages import by_cursor
from redis_state.keys import Keys, Partition

PAGE_OF_VALUES = 500

V = TypeVar("V")


def _page(_: object, cursor: bytes, names: list[bytes]) -> tuple[str, list[str]]:
    return cursor.decode(), [name.decode("utf-8", "surrogateescape") for name in names]


COUNT = operation("index/count", entries=lambda _, count: int(count))
PAGE = operation("index/page", page=_page)


class EntryOperations(Generic[V]):
    """Operations on the entries of one namespace. Each method returns an ``Op`` or a ``Plan``; none of them sends."""

    __slots__ = ("keys", "ttl", "ttl_ms")

    index_slot = "partition"  # the slot of the key in which each partition lists its entries

    def __init__(self, keys: Keys, ttl: float) -> None:
        self.keys = keys
        self.ttl = ttl
        self.ttl_ms = ttl_ms(ttl)

    # --- how an entry is stored -------------------------------------------------------------------

    def entry(self, name: str) -> str:
        """Return the entry's key."""
        raise NotImplementedError

    def get(self, name: str) -> Op[V | None]:
        raise NotImplementedError

    def get_some(self, names: Sequence[str]) -> Op[list[V | None]]:
        """Read at most 500 entries of one partition."""
        raise NotImplementedError

    def put(self, name: str, value: Any, *, ttl: float | None = None) -> Op[Any]:
        raise NotImplementedError

    def create(self, name: str, value: Any, *, ttl: float | None = None) -> Op[bool]:
        """Write the entry if there is none; tell whether it was written."""
        raise NotImplementedError

    def create_or_get(self, name: str, value: Any) -> Op[V]:
        """Write the entry if there is none. Returns it as it is then, or as it was there."""
        raise NotImplementedError

    def remove(self, name: str) -> Op[bool]:
        raise NotImplementedError

    def pop(self, name: str) -> Op[V | None]:
        raise NotImplementedError

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        raise NotImplementedError

    # --- what follows from it ---------------------------------------------------------------------

    def contains(self, name: str) -> Op[bool]:
        return command(self.keys, "EXISTS", self.entry(name), name=name, read=bool)

    def ttl_of(self, name: str) -> Op[float | None]:
        """Read how many seconds the entry has left."""
        return command(self.keys, "PTTL", self.entry(name), name=name, read=lambda ms: ms / 1000 if ms >= 0 else None)

    def count(self) -> Plan[int]:
        """Count the entries, O(partitions)."""
        counts = yield from do_all([COUNT(part, partition=part.key(self.index_slot)) for part in self.keys.parts])
        return sum(counts)

    def page(self, part: Partition, cursor: str) -> Op[tuple[str, list[str]]]:
        """Read some 500 names of one partition, and the cursor of the next page ("0": there is none)."""
        return PAGE(part, partition=part.key(self.index_slot), cursor=cursor)

    def names(self) -> Plan[list[str]]:
        """Read all names, each once."""
        found: dict[str, None] = {}
        for part in self.keys.parts:
            found.update(dict.fromkeys((yield from by_cursor(partial(self.page, part)))))
        return list(found)

    def get_many(self, names: Iterable[str]) -> Plan[dict[str, V]]:
        """Read several entries, 500 of a partition in one instant; absent ones are left out."""
        wanted = list(dict.fromkeys(names))
        partitions: dict[str, list[str]] = {}
        if self.keys.partitions == 1:
            partitions[""] = wanted
        else:
            for name in wanted:
                partitions.setdefault(self.keys.of(name).head, []).append(name)
        groups = [
            members[start : start + PAGE_OF_VALUES]
            for members in partitions.values()
            for start in range(0, len(members), PAGE_OF_VALUES)
        ]
        if len(groups) == 1:
            answers = [(yield from do(self.get_some(groups[0])))]
        else:
            answers = yield from do_all([self.get_some(group) for group in groups])
        found = {
            name: value
            for group, values in zip(groups, answers, strict=True)
            for name, value in zip(group, values, strict=True)
            if value is not None
        }
        return found if len(groups) <= 1 else {name: found[name] for name in wanted if name in found}

    def clear(self) -> Plan[None]:
        """Remove every entry that is there when its page is read."""
        names = yield from self.names()
        for start in range(0, len(names), PAGE_OF_VALUES):
            yield from do_all([self.remove(name) for name in names[start : start + PAGE_OF_VALUES]])

    def pop_any(self) -> Plan[tuple[str, V] | None]:
        """Take out some entry, each to one caller; None when there is none.

        Names that others took first prove nothing: then it looks again, until it sees no new ones.
        """
        missed: set[str] = set()
        while True:
            fresh = False
            for part in self.keys.parts:
                cursor = "0"
                while True:
                    cursor, names = yield from do(self.page(part, cursor))
                    for name in names:
                        value = yield from do(self.pop(name))
                        if value is not None:
                            return name, value
                        fresh = fresh or name not in missed
                        missed.add(name)
                    if cursor == "0":
                        break
            if not fresh:
                return None

    def set_default(self, name: str, value: Any) -> Plan[V]:
        """Return the entry; write it first if there is none. One script, so the answer is of its own instant."""
        return do(self.create_or_get(name, value))
