"""``SharedMapping``: a real ``MutableMapping`` whose entries live in Redis.

What ``MutableMapping`` would do as check-then-act is one script here, or one script for each entry.
Every method is one round trip unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, TypeVar, cast

from redis_state.engine.default import Bound
from redis_state.engine.op import Op
from redis_state.engine.run import Engine
from redis_state.errors import ServerUnavailable
from redis_state.keys import Keys
from redis_state.mapping.entries import Entries
from redis_state.mapping.frozen import thaw
from redis_state.mapping.record import Record

V = TypeVar("V")
_MISSING: Any = object()


class SharedMapping(Bound, MutableMapping[str, V]):
    """What both kinds share. Keys are strings."""

    _entries: Entries[Any]

    def __init__(self, namespace: str, *, ttl: float, engine: Engine | None = None) -> None:
        super().__init__(engine)
        self.namespace = namespace
        self.default_ttl = ttl
        self._entries_of(Keys(namespace))  # a wrong namespace or TTL is refused here, not at first use

    def _entries_of(self, keys: Keys) -> Entries[Any]:
        raise NotImplementedError

    @property
    def entries(self) -> Entries[Any]:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine  # binds them to the keys of the engine in use
        return self._entries

    def _bind(self, engine: Engine) -> None:
        self._entries = self._entries_of(engine.keys(self.namespace))

    def _out(self, key: str, found: Any) -> V:
        """Make of what an operation returned what the mapping gives out."""
        raise NotImplementedError

    # --- one entry --------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> V:
        found = self.engine.run(self._entries.get(key))
        if found is None:
            raise KeyError(key)
        return self._out(key, found)

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        found = self.engine.run(self._entries.get(key))
        return default if found is None else self._out(key, found)

    def __contains__(self, key: object) -> bool:
        return self.engine.run(self._entries.contains(cast("str", key)))

    def __setitem__(self, key: str, value: Any) -> None:
        self.engine.run(self._entries.put(key, value))

    def __delitem__(self, key: str) -> None:
        if not self.engine.run(self._entries.remove(key)):
            raise KeyError(key)

    def setdefault(self, key: str, default: Any = None) -> V:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes. Two round trips."""
        found = self.engine.follow(self._entries.set_default(key, default))
        return self._created(key, default) if found is None else self._out(key, found)

    def _created(self, key: str, value: Any) -> V:
        """Return an entry that was just created, though somebody may have taken it away since."""
        raise NotImplementedError

    def _read_back(self, op: Op[Any]) -> Any:
        """Read what was just written; None when nobody answers, since the write itself is done."""
        try:
            return self.engine.run(op)
        except ServerUnavailable:
            return None

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Take an entry out. Of many callers one gets it."""
        found = self.engine.run(self._entries.pop(key))
        if found is not None:
            return self._popped(found)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Take some entry out; ``KeyError`` when there is none. Of many callers one gets it. Two round trips."""
        found = self.engine.follow(self._entries.pop_any())
        if found is None:
            raise KeyError("popitem(): there is no entry")
        return found[0], self._popped(found[1])

    def _popped(self, found: Any) -> Any:
        return found

    def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        return self.engine.run(self._entries.ttl_of(key))

    def touch(self, key: str, ttl: float | None = None) -> bool:
        """Renew an entry's time, or give it another; False when there is none."""
        return self.engine.run(self._entries.touch(key, ttl))

    # --- many entries -----------------------------------------------------------------------------

    def get_many(self, keys: Iterable[str]) -> dict[str, V]:
        """Read several entries in one round trip, 500 at one instant; absent ones are left out."""
        found = self.engine.follow(self._entries.get_many(keys))
        return {key: self._out(key, value) for key, value in found.items()}

    def put_many(self, items: Mapping[str, Any], *, ttl: float | None = None) -> None:
        """Write several entries in one round trip (500 at a time), each by itself. All are checked before the first."""
        self.engine.run_all([self.entries.put(key, value, ttl=ttl) for key, value in items.items()])

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Write several entries, like ``put_many``."""
        self.put_many(dict(other, **more))

    def clear(self) -> None:
        """Remove all entries. O(n), in steps of 500."""
        self.engine.follow(self._entries.clear())

    def __len__(self) -> int:
        return self.engine.follow(self._entries.count())

    def __iter__(self) -> Iterator[str]:
        for page in self._pages():
            yield from page

    def _pages(self) -> Iterator[list[str]]:
        """Read the names page by page, each name once."""
        told: set[str] = set()
        for index in self.entries.keys.indexes():
            cursor = "0"
            while True:
                cursor, names = self.engine.run(self._entries.page(index, cursor))
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

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self._iter_items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __ior__(self, other: Any) -> SharedMapping[V]:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace!r}, {self.default_ttl:g} s>"


class _Items(ItemsView[str, V]):
    _mapping: SharedMapping[V]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping._iter_items()


class _Values(ValuesView[V]):
    _mapping: SharedMapping[V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._iter_items())

    def __contains__(self, value: object) -> bool:
        return any(value == found for found in self)
