"""The text cache: entries in order of use, and a budget of bytes that they never exceed. Nothing expires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from property_tests.models.base import EMPTY, NO, NOTHING, YES, Model, Refused, Table


class Found(NamedTuple):
    """What reading an entry says. ``uses`` counts this one."""

    content: str
    mtime: int | None
    uses: int


def accounted(name: str, content: str) -> int:
    """What an entry takes, where the server's allocator rounds nothing."""
    return len(content.encode()) + 8 + 10 + 4 * len(name.encode()) + 305


@dataclass(frozen=True)
class Text(Model):
    """``entries`` are in order of use, the least recently used first."""

    budget: int
    entries: Table = EMPTY
    order: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(accounted(name, found.content) for name, found in self.entries.items())

    def put(self, said: Any, name: str, content: str, mtime: int | None = None) -> Text | bool:
        old = self.entries.get(name)
        if old and None not in (old.mtime, mtime) and mtime < old.mtime:
            return said == NO and self
        if accounted(name, content) > self.budget:
            return said == Refused("EntryTooLarge", (accounted(name, content), self.budget)) and self
        room = self._without(name)._within(self.budget - accounted(name, content))
        return said == YES and room._used(name, Found(content, mtime, 0))

    def get(self, said: Any, name: str, mtime: int | None = None) -> Text | bool:
        """Read it, which is a use; one of another state of the file is dropped."""
        found = self.entries.get(name)
        if found is None or mtime not in (None, found.mtime):
            return said == NOTHING and self._without(name)
        found = found._replace(uses=found.uses + 1)
        return said == found and self._used(name, found)

    def peek(self, said: Any, name: str, mtime: int | None = None) -> Text | bool:
        """Read it, which changes nothing."""
        found = self.entries.get(name)
        return said == (found if found is not None and mtime in (None, found.mtime) else None) and self

    def drop(self, said: Any, name: str) -> Text | bool:
        return said == (name in self.entries) and self._without(name)

    def clear(self, said: Any) -> Text | bool:
        return said == NOTHING and replace(self, entries=Table(), order=())

    def resize(self, said: Any, budget: int) -> Text | bool:
        return said == NOTHING and replace(self, budget=budget)._within(budget)

    def stats(self, said: Any) -> Text | bool:
        """Says how many entries there are, and their bytes."""
        return said == (len(self.entries), self.bytes) and self

    def account(self, said: Any) -> Text | bool:
        """Says the same, and the bytes once more as they are counted now; not at one instant."""
        return said == (len(self.entries), self.bytes, self.bytes) and self

    def wipe(self, said: Any) -> Text | bool:
        return self.clear(said)

    def _used(self, name: str, found: Found) -> Text:
        order = (*(other for other in self.order if other != name), name)
        return replace(self, entries=self.entries.having(name, found), order=order)

    def _without(self, name: str) -> Text:
        if name not in self.entries:
            return self
        order = tuple(other for other in self.order if other != name)
        return replace(self, entries=self.entries.without(name), order=order)

    def _within(self, limit: int) -> Text:
        model = self
        while model.bytes > limit:
            model = model._without(model.order[0])
        return model
