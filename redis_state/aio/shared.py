"""What the dicts share, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Generic, Self, TypeVar, overload

from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.mapping.operations import PAGE_OF_VALUES, EntryOperations
from redis_state.mapping.write_back import MISSING

V = TypeVar("V")  # what comes out
W = TypeVar("W")  # what is written
D = TypeVar("D")


class Shared(Generic[V, W]):
    """What both kinds of mapping share. Keys are strings; what comes out is plain data."""

    def __init__(self, bound: AsyncBinding[Any]) -> None:
        self._bound = bound

    @classmethod
    def _of(cls, bound: AsyncBinding[Any]) -> Self:
        """Return the mapping of entries that are bound already: of a state that does more with them."""
        mapping = cls.__new__(cls)
        Shared.__init__(mapping, bound)
        return mapping

    @property
    def engine(self) -> AsyncEngine:
        """The engine in use."""
        return self._bound.here()[0]

    @property
    def entries(self) -> EntryOperations[Any]:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]  # type: ignore[no-any-return]

    def _out(self, key: str, found: Any) -> Any:
        """Make of what an operation returned what the mapping gives out."""
        return found

    # --- one entry --------------------------------------------------------------------------------

    @overload
    async def get(self, key: str, default: None = None) -> V | None: ...

    @overload
    async def get(self, key: str, default: V | D) -> V | D: ...

    async def get(self, key: str, default: Any = None) -> Any:
        """Read an entry as plain data; ``default`` when there is none."""
        found = await self.engine.run(self.entries.get(key))
        return default if found is None else self._out(key, found)

    async def contains(self, key: str) -> bool:
        """Tell whether there is an entry."""
        return await self.engine.run(self.entries.contains(key))

    async def setdefault(self, key: str, default: W | None = None) -> V:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes."""
        found: V = self._out(key, await self.engine.follow(self.entries.set_default(key, default)))
        return found

    @overload
    async def pop(self, key: str) -> V: ...

    @overload
    async def pop(self, key: str, default: V | D) -> V | D: ...

    async def pop(self, key: str, default: Any = MISSING) -> Any:
        """Take an entry out; ``default``, or else ``KeyError``, when there is none. Of many callers one gets it."""
        found = await self.engine.run(self.entries.pop(key))
        if found is not None:
            return self._out(key, found)
        if default is MISSING:
            raise KeyError(key)
        return default

    async def popitem(self) -> tuple[str, V]:
        """Take some entry out; ``KeyError`` when there is none. Of many callers one gets it. Two round trips."""
        found = await self.engine.follow(self.entries.pop_any())
        if found is None:
            raise KeyError("popitem(): there is no entry")
        return found[0], self._out(*found)

    async def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        return await self.engine.run(self.entries.ttl_of(key))

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Renew an entry's time, or give it another; False when there is none."""
        return await self.engine.run(self.entries.touch(key, ttl))

    # --- many entries -----------------------------------------------------------------------------

    async def get_many(self, keys: Iterable[str]) -> dict[str, V]:
        """Read several entries in one round trip, 500 at one instant; absent ones are left out."""
        found = await self.engine.follow(self.entries.get_many(keys))
        return {key: self._out(key, value) for key, value in found.items()}

    async def put_many(self, items: Mapping[str, W], *, ttl: float | None = None) -> None:
        """Write several entries in one round trip (500 at a time), each by itself. All are checked before the first."""
        entries = self.entries
        await self.engine.run_all([entries.put(key, value, ttl=ttl) for key, value in items.items()])

    async def update(self, other: Mapping[str, W] | Iterable[tuple[str, W]] = (), /, **more: W) -> None:
        """Write several entries, like ``put_many``."""
        await self.put_many(dict(other, **more))

    async def clear(self) -> None:
        """Remove all entries. O(n), in steps of 500."""
        await self.engine.follow(self.entries.clear())

    async def count(self) -> int:
        """Count the entries."""
        return await self.engine.follow(self.entries.count())

    async def keys(self) -> list[str]:
        """List the names of the entries. O(n), 500 a round trip."""
        return await self.engine.follow(self.entries.names())

    async def items(self) -> AsyncIterator[tuple[str, V]]:
        """Iterate over keys and entries, 500 a round trip."""
        names = await self.keys()
        for start in range(0, len(names), PAGE_OF_VALUES):
            for key, value in (await self.get_many(names[start : start + PAGE_OF_VALUES])).items():
                yield key, value

    async def values(self) -> AsyncIterator[V]:
        """Iterate over entries, 500 a round trip."""
        async for _, value in self.items():  # noqa: PERF102  (this is what values() is)
            yield value

    async def copy(self) -> dict[str, V]:
        """Return a plain dict with all entries."""
        return {key: value async for key, value in self.items()}

    async def __aiter__(self) -> AsyncIterator[str]:
        for name in await self.keys():
            yield name
