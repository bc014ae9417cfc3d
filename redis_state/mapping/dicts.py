"""``RecordMapping`` and ``ValueMapping``: what they add to a ``SharedMapping``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis_state.config import container_id as own_container_id
from redis_state.engine.run import Engine
from redis_state.keys import Keys
from redis_state.mapping.frozen import thaw
from redis_state.mapping.record import Record
from redis_state.mapping.records import Fence, Records
from redis_state.mapping.shared import SharedMapping
from redis_state.mapping.stored import Snapshot
from redis_state.mapping.values import Values


class ValueMapping(SharedMapping[Any]):
    """An opaque value for each key: anything ``codec`` takes, except None."""

    _entries: Values

    def _entries_of(self, keys: Keys) -> Values:
        return Values(keys, self.default_ttl)

    def _out(self, key: str, found: Any) -> Any:
        return found

    def _created(self, key: str, value: Any) -> Any:
        return value

    def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Write an entry that lives ``ttl`` seconds."""
        self.engine.run(self._entries.put(key, value, ttl=ttl))

    def delete(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return self.engine.run(self._entries.remove(key))


class RecordMapping(SharedMapping[Record]):
    """A record for each key: named fields, written one by one or whole."""

    _entries: Records

    @property
    def entries(self) -> Records:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine
        return self._entries

    def __init__(
        self,
        namespace: str,
        *,
        ttl: float,
        engine: Engine | None = None,
        container_id: str | None = None,
        companions: Sequence[Callable[[Keys], Callable[[str], str]]] = (),
    ) -> None:
        self.container_id = container_id
        self._companions = companions
        super().__init__(namespace, ttl=ttl, engine=engine)

    def _entries_of(self, keys: Keys) -> Records:
        return Records(keys, self.default_ttl, self._owner, [companion(keys) for companion in self._companions])

    def _owner(self) -> str:
        return self.container_id or own_container_id()

    def _out(self, key: str, found: Snapshot) -> Record:
        return Record(self, key, found)

    def _created(self, key: str, value: Mapping[str, Any]) -> Record:
        seen = self._read_back(self._entries.get(key))
        return self._out(key, seen or Snapshot(thaw(dict(value)), version=0, ttl=self.default_ttl, owner=self._owner()))

    def _popped(self, found: Snapshot) -> dict[str, Any]:
        return found.fields

    def put(self, key: str, value: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> None:
        """Write an entry whole. ``StaleToken`` when ``fence`` is older than a token seen before."""
        self.engine.run(self._entries.put(key, value, ttl=ttl, fence=fence))

    def put_if_version(
        self, key: str, value: Mapping[str, Any], version: int, *, ttl: float | None = None, fence: Fence = None
    ) -> bool:
        """Write an entry whole if its version is still the one of ``Record.version``; tell whether it was."""
        return self.engine.run(self._entries.put_if_version(key, value, version, ttl=ttl, fence=fence)) is not None

    def patch(self, key: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> bool:
        """Merge fields into an entry. False, and nothing created, when there is none."""
        return self.engine.run(self._entries.patch(key, fields, ttl=ttl, fence=fence))

    def increment(self, key: str, field: str, by: float = 1, *, fence: Fence = None) -> int | float:
        """Add to a number and return the sum. What is missing is created at 0."""
        return self.engine.run(self._entries.increment(key, field, by, fence=fence))

    def delete(self, key: str, *, fence: Fence = None) -> bool:
        """Remove an entry; tell whether there was one."""
        return self.engine.run(self._entries.remove(key, fence=fence))

    def mutate(
        self, key: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None], *, fence: Fence = None
    ) -> dict[str, Any]:
        """Change a copy of an entry, and write it back if nobody wrote in between, else again.

        ``change`` alters the plain dict it is given, or returns a new one, and may be called several
        times. Returns the new content; ``KeyError`` when there is no entry. Two round trips or more.
        """
        return self.engine.follow(self._entries.mutate(key, change, fence=fence))[0]
