"""The dicts, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from redis_state import state_manager
from redis_state.aio.face import Bound, op, plan
from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.keys import Keys
from redis_state.mapping.entries import Entries
from redis_state.mapping.records import Fence, Records
from redis_state.mapping.stored import Snapshot
from redis_state.mapping.values import Values


class Shared(Bound):
    """What both kinds of mapping share. See ``redis_state.mapping``."""

    _entries: Entries[Any]

    def __init__(self, engine: AsyncEngine, entries: Entries[Any]) -> None:
        self._engine = engine
        self._entries = entries

    contains = op(Entries.contains)
    ttl = op(Entries.ttl_of)
    count = plan(Entries.count)
    keys = plan(Entries.names)
    clear = plan(Entries.clear)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Read several entries in one round trip; absent ones are left out."""
        found = await self._engine.follow(self._entries.get_many(keys))
        return {key: _plain(value) for key, value in found.items()}

    async def put_many(self, items: Mapping[str, Any], *, ttl: float | None = None) -> None:
        """Write several entries in one round trip (500 at a time), each by itself."""
        await self._engine.run_all([self._entries.put(key, value, ttl=ttl) for key, value in items.items()])

    async def get(self, key: str, default: Any = None) -> Any:
        """Read an entry as plain data; ``default`` when there is none."""
        found = await self._engine.run(self._entries.get(key))
        return default if found is None else _plain(found)

    async def pop(self, key: str, default: Any = None) -> Any:
        """Take an entry out; ``default`` when there is none. Of many callers one gets it."""
        found = await self._engine.run(self._entries.pop(key))
        return default if found is None else _plain(found)

    async def popitem(self) -> tuple[str, Any] | None:
        """Take some entry out; None when there is none."""
        found = await self._engine.follow(self._entries.pop_any())
        return None if found is None else (found[0], _plain(found[1]))

    async def setdefault(self, key: str, default: Any) -> Any:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes."""
        found = await self._engine.follow(self._entries.set_default(key, default))
        return default if found is None else _plain(found)

    async def items(self) -> AsyncIterator[tuple[str, Any]]:
        """Iterate over keys and entries, 500 a round trip."""
        names = await self._engine.follow(self._entries.names())
        for start in range(0, len(names), 500):
            for key, value in (await self.get_many(names[start : start + 500])).items():
                yield key, value

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[str]:
        for name in await self._engine.follow(self._entries.names()):
            yield name


def _plain(found: Any) -> Any:
    return found.fields if isinstance(found, Snapshot) else found


class ValueMapping(Shared):
    """An opaque value for each key, awaited."""

    def __init__(self, engine: AsyncEngine, namespace: str, *, ttl: float) -> None:
        super().__init__(engine, Values(engine.keys(namespace), ttl))

    put = op(Values.put)
    create = op(Values.create)
    delete = op(Values.remove)
    touch = op(Values.touch)


class RecordMapping(Shared):
    """A record for each key, awaited."""

    def __init__(
        self,
        engine: AsyncEngine,
        namespace: str,
        *,
        ttl: float,
        container_id: str | None = None,
        companions: Sequence[Callable[[Keys], Callable[[str], str]]] = (),
    ) -> None:
        keys = engine.keys(namespace)
        made = [companion(keys) for companion in companions]
        super().__init__(engine, Records(keys, ttl, lambda: container_id or own_container_id(), made))

    put = op(Records.put)
    put_if_version = op(Records.put_if_version)
    create = op(Records.create)
    patch = op(Records.patch)
    increment = op(Records.increment)
    delete = op(Records.remove)
    touch = op(Records.touch)
    owner = op(Records.owner)
    owned_by = plan(state_manager.owned_by)

    async def mutate(
        self, key: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None], *, fence: Fence = None
    ) -> dict[str, Any]:
        """Change a copy of an entry, and write it back if nobody wrote in between, else again."""
        entries: Any = self._entries
        fields, _ = await self._engine.follow(entries.mutate(key, change, fence=fence))
        return fields  # type: ignore[no-any-return]
