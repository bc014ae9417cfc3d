"""``RecordMapping``: a ``SharedMapping`` of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from redis_state.config import container_id as own_container_id
from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.errors import NotApplied
from redis_state.keys import of_records
from redis_state.mapping.base_mapping import SharedMapping
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.record import Record
from redis_state.mapping.record_format import Snapshot
from redis_state.mapping.record_operations import Fence, RecordOperations
from redis_state.mapping.tracked import TrackedValue
from redis_state.mapping.write_back import NUMBERS, is_pending_in, mark_written, merge_function

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # with defaults, which Python knows from 3.13 on

    R = TypeVar("R", bound=Mapping[str, Any], default=Record)
else:
    from typing import TypeVar

    R = TypeVar("R")


class RecordMapping(SharedMapping[R, Mapping[str, Any]]):
    """A record for each key: named fields, written one by one or whole.

    ``RecordMapping[Job]``, where ``Job`` is a ``TypedDict``, says which fields: a type checker then takes what comes
    out for a ``Job``. It is a ``Record`` all the same.
    """

    _bound: Binding[RecordOperations]

    def __init__(
        self,
        namespace: str | Engine,
        engine: str | Engine | None = None,
        *,
        ttl: float,
        container_id: str | None = None,
        companions: Sequence[str] = (),
    ) -> None:
        name, used = given(self, Engine, namespace, engine)
        owner = partial(own_container_id, container_id)
        made = Namespace(partial(RecordOperations, owner=owner, companions=companions), of_records(name), ttl)
        super().__init__(Binding(used, made), made.name, ttl)

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return self.entries._owner()

    @property
    def entries(self) -> RecordOperations:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]

    def _out(self, key: str, found: Snapshot) -> Any:
        return Record(self._bound, key, found)

    def _popped(self, found: Snapshot) -> dict[str, Any]:
        return found.fields

    def _is_pending(self, key: str, value: Any) -> bool:
        return (type(value) is Record and self._is_own(key, value)) or bool(self._pending(key, value))

    def _is_own(self, key: str, record: Record) -> bool:
        return record._bound is self._bound and record._key == key

    def _pending(self, key: str, value: Any) -> set[str]:
        """Return the fields that were made of what the entry's own held."""
        if not isinstance(value, dict):
            return set()
        kinds = (*NUMBERS, TrackedValue)
        return {f for f, item in value.items() if isinstance(item, kinds) and is_pending_in(item, self._bound, key, f)}

    @overload  # type: ignore[override]
    def __setitem__(self: RecordMapping[Record], key: str, value: Mapping[str, Any]) -> None: ...

    @overload
    def __setitem__(self, key: str, value: R) -> None: ...

    def __setitem__(self, key: str, value: Any) -> None:
        engine, entries = self._bound.here()
        if type(value) is Record:
            if self._is_own(key, value):
                self._put_back(key, value)
                return
            value = value.copy()
        pending = self._pending(key, value)
        if not pending:
            engine.run(entries.put(key, value))
            return
        try:
            engine.follow(entries.mutate(key, merge_function(value, pending, whole=True)))
        except KeyError:  # there is no entry any more
            engine.run(entries.put(key, value))
        mark_written(value, pending)

    def _put_back(self, key: str, record: Record) -> None:
        """Write a record whole that was read here: if nothing else was written since, or it was deleted."""
        engine, entries = self._bound.here()
        fields = record.copy()
        version = engine.run(entries.put_if_version(key, fields, record.version))
        if version is not None:
            record.version = version
        elif not engine.run(entries.create(key, fields)):
            raise NotApplied(
                f"m[{key!r}] was changed elsewhere since it was read, so nothing was written; what is written to the "
                f"record's fields is in Redis already, and m.mutate({key!r}, ...) reads, changes and writes in one step"
            )

    @overload
    def put(
        self: RecordMapping[Record],
        key: str,
        value: Mapping[str, Any],
        *,
        ttl: float | None = None,
        fence: Fence = None,
    ) -> int: ...

    @overload
    def put(self, key: str, value: R, *, ttl: float | None = None, fence: Fence = None) -> int: ...

    def put(self, key: str, value: Any, *, ttl: float | None = None, fence: Fence = None) -> int:
        """Write an entry whole; return its version. ``StaleToken`` when ``fence`` is older than a token seen before.

        It replaces all fields; what a claim or a download keeps with the entry stays, so work that is done
        does not run again. To begin anew, delete the entry first.
        """
        engine, entries = self._bound.here()
        return engine.run(entries.put(key, value, ttl=ttl, fence=fence))

    @overload
    def create(
        self: RecordMapping[Record], key: str, value: Mapping[str, Any], *, ttl: float | None = None
    ) -> bool: ...

    @overload
    def create(self, key: str, value: R, *, ttl: float | None = None) -> bool: ...

    def create(self, key: str, value: Any, *, ttl: float | None = None) -> bool:
        """Write an entry where there is none; tell whether it was written. Of many callers one writes."""
        engine, entries = self._bound.here()
        return engine.run(entries.create(key, value, ttl=ttl))

    def put_if_version(
        self, key: str, value: Mapping[str, Any], version: int, *, ttl: float | None = None, fence: Fence = None
    ) -> bool:
        """Write an entry whole if its version is still the one of ``Record.version``; tell whether it was.

        It goes on with the entry: its owner, its ``ttl`` unless another is given, and what is kept with it stay.
        """
        engine, entries = self._bound.here()
        return engine.run(entries.put_if_version(key, value, version, ttl=ttl, fence=fence)) is not None

    def patch(self, key: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> bool:
        """Merge fields into an entry. False, and nothing created, when there is none."""
        engine, entries = self._bound.here()
        return engine.run(entries.patch(key, fields, ttl=ttl, fence=fence))

    def increment(self, key: str, field: str, by: float = 1, *, fence: Fence = None) -> int | float:
        """Add to a number and return the sum. What is missing is created at 0."""
        engine, entries = self._bound.here()
        return engine.run(entries.increment(key, field, by, fence=fence))

    def delete(self, key: str, *, fence: Fence = None) -> bool:
        """Remove an entry; tell whether there was one."""
        engine, entries = self._bound.here()
        return engine.run(entries.remove(key, fence=fence))

    @overload
    def mutate(
        self: RecordMapping[Record],
        key: str,
        change: Callable[[dict[str, Any]], Mapping[str, Any] | None],
        *,
        fence: Fence = None,
    ) -> dict[str, Any]: ...

    @overload
    def mutate(self, key: str, change: Callable[[R], Mapping[str, Any] | None], *, fence: Fence = None) -> R: ...

    def mutate(self, key: str, change: Callable[[Any], Any], *, fence: Fence = None) -> Any:
        """Change a copy of an entry, and write it back if nothing was written in between, else again.

        ``change`` alters the plain dict it is given and returns nothing, or returns a new mapping; it may be
        called several times. Returns the new content. ``KeyError`` when there is no entry, ``TypeError`` when
        ``change`` returns anything else (``lambda r: r.pop("x")``): the record would become that. Two round
        trips or more.
        """
        engine, entries = self._bound.here()
        return engine.follow(entries.mutate(key, change, fence=fence))[0]

    def owner(self, key: str) -> str | None:
        """Return the container that created the entry; None when there is none."""
        engine, entries = self._bound.here()
        return engine.run(entries.owner(key))

    def owned_by(self, container_id: str) -> list[str]:
        """List the entries that a container created. O(n), 500 a round trip."""
        engine, entries = self._bound.here()
        return engine.follow(entries.owned_by(container_id))
