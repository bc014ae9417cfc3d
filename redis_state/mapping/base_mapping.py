"""``SharedMapping``: a real ``MutableMapping`` whose entries live in Redis.

What ``MutableMapping`` would do as check-then-act is one script here, or one script for each entry.
Every method is one round trip unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, Generic, Self, TypeVar, cast, overload

from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.operations import EntryOperations
from redis_state.mapping.record import Record
from redis_state.mapping.snapshots import thaw
from redis_state.mapping.write_back import MISSING

V = TypeVar("V")  # what comes out
W = TypeVar("W")  # what is written
D = TypeVar("D")


class SharedMapping(MutableMapping[str, V], Generic[V, W]):
    """Common base of all mappings. Keys are strings. What comes out and what is written may differ in type."""

    _bound: Binding[EntryOperations[Any]]

    def __init__(self, bound: Binding[EntryOperations[Any]], namespace: str, ttl: float) -> None:
        self._bound = bound
        self.namespace = namespace
        self.default_ttl = ttl

    @classmethod
    def _of(cls, bound: Binding[Any], made: Namespace[Any]) -> Self:
        """Return the mapping of entries that are bound already: of a state or a cache that does more with them."""
        mapping = cls.__new__(cls)
        SharedMapping.__init__(mapping, bound, made.name, made.ttl)
        return mapping

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._bound.here()[0]

    @property
    def entries(self) -> EntryOperations[Any]:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]

    def _out(self, key: str, found: Any) -> V:
        """Turn the result of an operation into the value that the mapping hands out."""
        raise NotImplementedError

    # --- one entry --------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> V:
        engine, entries = self._bound.here()
        found = engine.run(entries.get(key))
        if found is None:
            raise KeyError(key)
        return self._out(key, found)

    @overload
    def get(self, key: str, default: None = None) -> V | None: ...

    @overload
    def get(self, key: str, default: V | D) -> V | D: ...

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        engine, entries = self._bound.here()
        found = engine.run(entries.get(key))
        return default if found is None else self._out(key, found)

    def __contains__(self, key: object) -> bool:
        engine, entries = self._bound.here()
        return engine.run(entries.contains(cast("str", key)))

    def __setitem__(self, key: str, value: W) -> None:  # type: ignore[override]
        engine, entries = self._bound.here()
        engine.run(entries.put(key, value))

    def __delitem__(self, key: str) -> None:
        engine, entries = self._bound.here()
        if not engine.run(entries.remove(key)):
            raise KeyError(key)

    def setdefault(self, key: str, default: W | None = None) -> V:  # type: ignore[override]
        """Return the entry; write ``default`` first if there is none. Of many callers one writes."""
        engine, entries = self._bound.here()
        return self._out(key, engine.follow(entries.set_default(key, default)))

    def pop(self, key: str, default: Any = MISSING) -> Any:
        """Take an entry out. Of many callers one gets it."""
        engine, entries = self._bound.here()
        found = engine.run(entries.pop(key))
        if found is not None:
            return self._popped(found)
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Take some entry out; ``KeyError`` when there is none. Of many callers one gets it. Two round trips."""
        engine, entries = self._bound.here()
        found = engine.follow(entries.pop_any())
        if found is None:
            raise KeyError("popitem(): there is no entry")
        return found[0], self._popped(found[1])

    def _popped(self, found: Any) -> Any:
        return found

    def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        engine, entries = self._bound.here()
        return engine.run(entries.ttl_of(key))

    def touch(self, key: str, ttl: float | None = None) -> bool:
        """Renew an entry's time, or give it another; False when there is none."""
        engine, entries = self._bound.here()
        return engine.run(entries.touch(key, ttl))

    # --- many entries -----------------------------------------------------------------------------

    def get_many(self, keys: Iterable[str]) -> dict[str, V]:
        """Read several entries in one round trip, 500 at one instant; absent ones are left out."""
        engine, entries = self._bound.here()
        found = engine.follow(entries.get_many(keys))
        return {key: self._out(key, value) for key, value in found.items()}

    def put_many(self, items: Mapping[str, W], *, ttl: float | None = None) -> None:
        """Write several entries in one round trip (500 at a time), each by itself. All are checked before the first."""
        engine, entries = self._bound.here()
        engine.run_all([entries.put(key, value, ttl=ttl) for key, value in items.items()])

    def update(  # type: ignore[override]
        self, other: Mapping[str, W] | Iterable[tuple[str, W]] = (), /, **more: W
    ) -> None:
        """Write several entries, like ``put_many``; values that were made from an entry of this mapping, one by one."""
        items = dict(other, **more)
        pending = {key: items.pop(key) for key in list(items) if self._is_pending(key, items[key])}
        self.put_many(items)
        for key, value in pending.items():
            self[key] = value

    def _is_pending(self, key: str, value: Any) -> bool:
        """Tell whether a value was made from the entry, so that it may not simply replace it."""
        return False

    def clear(self) -> None:
        """Remove all entries. O(n), in steps of 500."""
        engine, entries = self._bound.here()
        engine.follow(entries.clear())

    def __len__(self) -> int:
        engine, entries = self._bound.here()
        return engine.follow(entries.count())

    def __iter__(self) -> Iterator[str]:
        for page in self._pages():
            yield from page

    def _pages(self) -> Iterator[list[str]]:
        """Read the names page by page, each name once."""
        engine, entries = self._bound.here()
        told: set[str] = set()
        for part in entries.keys.parts:
            cursor = "0"
            while True:
                cursor, names = engine.run(entries.page(part, cursor))
                fresh = [name for name in dict.fromkeys(names) if name not in told]
                told.update(fresh)
                yield fresh
                if cursor == "0":
                    break

    def _iter_items(self) -> Iterator[tuple[str, V]]:
        for page in self._pages():
            yield from self.get_many(page).items()

    def items(self) -> ItemsView[str, V]:
        """Iterate over keys and entries, 500 a round trip."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """Iterate over entries, 500 a round trip."""
        return _Values(self)

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with plain copies of all entries."""
        return {key: thaw(dict(value) if isinstance(value, Record) else value) for key, value in self._iter_items()}

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.copy()

    def __or__(self, other: Any) -> dict[str, Any]:
        return self.copy() | dict(other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> dict[str, Any]:
        return dict(other) | self.copy() if isinstance(other, Mapping) else NotImplemented

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))

    @classmethod
    def fromkeys(cls, *_: object) -> Any:
        """Refuse: a mapping has a namespace."""
        raise TypeError(f"{cls.__name__} has a namespace and a ttl; write m.update(dict.fromkeys(keys, value))")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self._iter_items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r}, {self.default_ttl:g} s>"


class _Items(ItemsView[str, V]):
    _mapping: SharedMapping[V, Any]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._iter_items()


class _Values(ValuesView[V]):
    _mapping: SharedMapping[V, Any]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._iter_items())

    def __contains__(self, value: object) -> bool:
        return any(value == found for found in self)
