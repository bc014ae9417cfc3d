"""What records and values have in common, as operations: names, counts, and the steps built on them. Pure.

``Entries`` is one namespace of entries; ``Records`` and ``Values`` say how an entry is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, Generic, TypeVar

from redis_state.engine.op import Op, Plan, command, do, do_all
from redis_state.engine.registry import script
from redis_state.keys import Keys

COUNT = script("index/count")
PAGE = script("index/page")

LONGEST_TTL = 10 * 366 * 86400.0  # seconds
PAGE_OF_VALUES = 500

V = TypeVar("V")


class Entries(Generic[V]):
    """The entries of one namespace. Each method returns an ``Op`` or a ``Plan``; none of them sends."""

    __slots__ = ("keys", "ttl", "ttl_ms")

    def __init__(self, keys: Keys, ttl: float) -> None:
        self.keys = keys
        self.ttl = ttl
        self.ttl_ms = milliseconds(ttl)

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

    def remove(self, name: str) -> Op[bool]:
        raise NotImplementedError

    def pop(self, name: str) -> Op[V | None]:
        raise NotImplementedError

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        raise NotImplementedError

    # --- what follows from it ---------------------------------------------------------------------

    def contains(self, name: str) -> Op[bool]:
        return command("EXISTS", self.entry(name), read=bool)

    def ttl_of(self, name: str) -> Op[float | None]:
        """Read how many seconds the entry has left."""
        return command("PTTL", self.entry(name), read=lambda ms: ms / 1000 if ms >= 0 else None)

    def count(self) -> Plan[int]:
        """Count the entries, O(partitions)."""
        counts = yield from do_all([COUNT(partition=index).meaning(entries=int) for index in self.keys.indexes()])
        return sum(counts)

    def page(self, index: str, cursor: str) -> Op[tuple[str, list[str]]]:
        """Read some 500 names of one partition, and the cursor of the next page ("0": there is none)."""
        return PAGE(partition=index, cursor=cursor).meaning(page=_page)

    def names(self) -> Plan[list[str]]:
        """Read all names, each once."""
        found: dict[str, None] = {}
        for index in self.keys.indexes():
            cursor = "0"
            while True:
                cursor, names = yield from do(self.page(index, cursor))
                found.update(dict.fromkeys(names))
                if cursor == "0":
                    break
        return list(found)

    def get_many(self, names: Iterable[str]) -> Plan[dict[str, V]]:
        """Read several entries, 500 of a partition in one instant; absent ones are left out."""
        wanted = list(dict.fromkeys(names))
        partitions: dict[str, list[str]] = {}
        if self.keys.partitions == 1:
            partitions[""] = wanted
        else:
            for name in wanted:
                partitions.setdefault(self.keys.head(name), []).append(name)
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
            for index in self.keys.indexes():
                cursor = "0"
                while True:
                    cursor, names = yield from do(self.page(index, cursor))
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

    def set_default(self, name: str, value: Any) -> Plan[V | None]:
        """Create the entry, or read the one that is there; None when it was created."""
        create = self.create(name, value)
        while True:
            if (yield from do(create)):
                return None
            found = yield from do(self.get(name))
            if found is not None:
                return found


def milliseconds(ttl: float) -> int:
    """Return a TTL in whole milliseconds, at least 1."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl is a number of seconds, not {type(ttl).__name__}")
    if not isfinite(ttl) or not 0 < ttl <= LONGEST_TTL:
        raise ValueError(f"ttl={ttl!r}: seconds, above 0 and at most ten years (nothing lives forever)")
    return max(1, int(ttl * 1000))


def _page(cursor: bytes, names: list[bytes]) -> tuple[str, list[str]]:
    return cursor.decode(), [name.decode("utf-8", "surrogateescape") for name in names]
