"""``ValueMapping``: a ``SharedMapping`` of opaque values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.mapping.base_mapping import SharedMapping
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.snapshots import ValueOrigin, read
from redis_state.mapping.tracked import TrackedValue, thaw
from redis_state.mapping.value_operations import ValueOperations
from redis_state.mapping.write_back import NUMBERS, is_pending, reapplied

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # with defaults, which Python knows from 3.13 on

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

D = TypeVar("D")


class ValueMapping(SharedMapping[T, T]):
    """An opaque value for each key: anything ``codec`` takes, except None. ``ValueMapping[int]`` holds numbers.

    What comes out refuses to be changed, or remembers where from: ``m[k] += 1`` and ``m[k] = m.get(k, 0) + 1`` add to
    what Redis holds, ``m[k] = m[k] + [item]`` is written only if the same value is still there, else ``NotApplied``.
    What ``pop``, ``popitem`` and ``copy`` give is plain.
    """

    _bound: Binding[ValueOperations]

    def __init__(self, namespace: str | Engine, engine: str | Engine | None = None, *, ttl: float) -> None:
        name, used = given(self, Engine, namespace, engine)
        super().__init__(Binding(used, Namespace(ValueOperations, name, ttl)), name, ttl)

    def _out(self, key: str, found: Any) -> Any:
        return read(found, ValueOrigin(self._bound, key, found))

    def _is_pending(self, key: str, value: Any) -> bool:
        return isinstance(value, (*NUMBERS, TrackedValue)) and is_pending(value, key, "") and self._is_of(value.origin)

    def _is_of(self, origin: Any) -> bool:
        return isinstance(origin, ValueOrigin) and origin.bound is self._bound

    @overload
    def get(self, key: str, default: None = None) -> T | None: ...

    @overload
    def get(self, key: str, default: T | D) -> T | D: ...

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        engine, entries = self._bound.here()
        found = engine.run(entries.get(key))
        if found is None and type(default) in (int, float):
            return self._out(key, default)  # put back with something added, it is added to what is there by then
        return default if found is None else self._out(key, found)

    def __setitem__(self, key: str, value: T) -> None:
        if not self._is_pending(key, value):
            self.put(key, thaw(value))
        else:
            self._write_pending(key, value)

    def _write_pending(self, key: str, value: Any) -> None:
        """Write a pending value: a number is added, anything else replaces what was read."""
        seen = value.origin.seen
        if isinstance(value, TrackedValue):
            self.mutate(key, lambda current: reapplied(value, current))
        elif value.delta is None:
            raise value.origin.advice("this change")
        else:
            engine, entries = self._bound.here()
            engine.run(entries.increment(key, value.delta, start=seen))
        value.origin.written = True

    def put(self, key: str, value: T, *, ttl: float | None = None) -> None:
        """Write an entry that lives ``ttl`` seconds."""
        engine, entries = self._bound.here()
        engine.run(entries.put(key, value, ttl=ttl))

    def create(self, key: str, value: T, *, ttl: float | None = None) -> bool:
        """Write an entry where there is none; tell whether it was written. Of many callers one writes."""
        engine, entries = self._bound.here()
        return engine.run(entries.create(key, value, ttl=ttl))

    add = create

    def increment(self, key: str, by: float = 1) -> int | float:
        """Add to a number and return the sum. What is missing is created at 0.

        Exact: ``OverflowError`` where a sum could not be, ``TypeError`` for what is no number. The entry lives the
        mapping's ``ttl`` from now, or as long as it would have, whichever is longer.
        """
        engine, entries = self._bound.here()
        return engine.run(entries.increment(key, by))

    def mutate(self, key: str, change: Callable[[T], T | None]) -> T:
        """Change a value, and write it back if the same one is still there, else again. Returns the new value.

        ``change`` alters the plain list, dict or set it is given and returns nothing, or returns a new value; it may
        be called several times. ``KeyError`` when there is no entry; ``TypeError`` when a list, dict or set would be
        replaced by what ``change`` happened to return. Two round trips or more; the entry lives as after ``increment``.
        """
        engine, entries = self._bound.here()
        return engine.follow(entries.mutate(key, change))  # type: ignore[no-any-return]

    def delete(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        engine, entries = self._bound.here()
        return engine.run(entries.remove(key))

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several entries, each by itself; return how many there were. 500 a round trip."""
        engine, entries = self._bound.here()
        return engine.follow(entries.remove_many(keys))

    @property
    def entries(self) -> ValueOperations:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]
