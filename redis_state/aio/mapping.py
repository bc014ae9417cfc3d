"""The dicts, awaited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from redis_state.aio.shared import Shared
from redis_state.config import container_id as own_container_id
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.keys import Keys, of_records
from redis_state.mapping.record_format import Snapshot
from redis_state.mapping.record_operations import Fence, RecordOperations
from redis_state.mapping.value_operations import ValueOperations

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # with defaults, which Python knows from 3.13 on

    T = TypeVar("T", default=Any)
    R = TypeVar("R", bound=Mapping[str, Any], default=dict[str, Any])
else:
    from typing import TypeVar

    T, R = TypeVar("T"), TypeVar("R")


class ValueMapping(Shared[T, T]):
    """An opaque value for each key: anything ``codec`` takes, except None, awaited. ``ValueMapping[int]`` holds
    numbers."""

    def __init__(self, namespace: str | AsyncEngine, engine: str | AsyncEngine | None = None, *, ttl: float) -> None:
        name, used = given(self, AsyncEngine, namespace, engine)
        ValueOperations(Keys(name), ttl)  # wrong ones are refused here
        super().__init__(AsyncBinding(used, lambda engine: ValueOperations(engine.keys(name), ttl)))

    @property
    def entries(self) -> ValueOperations:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]  # type: ignore[no-any-return]

    async def put(self, key: str, value: T, *, ttl: float | None = None) -> None:
        """Write an entry that lives ``ttl`` seconds."""
        await self.engine.run(self.entries.put(key, value, ttl=ttl))

    async def create(self, key: str, value: T, *, ttl: float | None = None) -> bool:
        """Write an entry where there is none; tell whether it was written. Of many callers one writes."""
        return await self.engine.run(self.entries.create(key, value, ttl=ttl))

    add = create

    async def increment(self, key: str, by: float = 1) -> int | float:
        """Add to a number and return the sum. What is missing is created at 0.

        Exact: ``OverflowError`` where a sum could not be, ``TypeError`` for what is no number. The entry lives the
        mapping's ``ttl`` from now, or as long as it would have, whichever is longer.
        """
        return await self.engine.run(self.entries.increment(key, by))

    async def mutate(self, key: str, change: Callable[[T], T | None]) -> T:
        """Change a value, and write it back if the same one is still there, else again. Returns the new value.

        ``change`` alters the plain list, dict or set it is given and returns nothing, or returns a new value; it may
        be called several times. ``KeyError`` when there is no entry; ``TypeError`` when a list, dict or set would be
        replaced by what ``change`` happened to return. Two round trips or more; the entry lives as after ``increment``.
        """
        return await self.engine.follow(self.entries.mutate(key, change))

    async def delete(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return await self.engine.run(self.entries.remove(key))

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several entries, each by itself; return how many there were. 500 a round trip."""
        return await self.engine.follow(self.entries.remove_many(keys))


class RecordMapping(Shared[R, Mapping[str, Any]]):
    """A record for each key: named fields, written one by one or whole, awaited.

    ``RecordMapping[Job]``, where ``Job`` is a ``TypedDict``, says which fields.
    """

    def __init__(
        self,
        namespace: str | AsyncEngine,
        engine: str | AsyncEngine | None = None,
        *,
        ttl: float,
        container_id: str | None = None,
        companions: Sequence[str] = (),
    ) -> None:
        name, used = given(self, AsyncEngine, namespace, engine)
        name = of_records(name)

        def made(keys: Keys) -> RecordOperations:
            return RecordOperations(keys, ttl, lambda: container_id or own_container_id(), companions)

        made(Keys(name))  # a wrong namespace or TTL is refused here
        super().__init__(AsyncBinding(used, lambda engine: made(engine.keys(name))))

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return self.entries._owner()

    @property
    def entries(self) -> RecordOperations:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]  # type: ignore[no-any-return]

    def _out(self, key: str, found: Snapshot) -> Any:
        return found.fields

    @overload
    async def put(
        self: RecordMapping[dict[str, Any]],
        key: str,
        value: Mapping[str, Any],
        *,
        ttl: float | None = None,
        fence: Fence = None,
    ) -> int: ...

    @overload
    async def put(self, key: str, value: R, *, ttl: float | None = None, fence: Fence = None) -> int: ...

    async def put(self, key: str, value: Any, *, ttl: float | None = None, fence: Fence = None) -> int:
        """Write an entry whole; return its version. ``StaleToken`` when ``fence`` is older than a token seen before.

        It replaces all fields; what a claim or a download keeps with the entry stays, so work that is done
        does not run again. To begin anew, delete the entry first.
        """
        return await self.engine.run(self.entries.put(key, value, ttl=ttl, fence=fence))

    @overload
    async def create(
        self: RecordMapping[dict[str, Any]], key: str, value: Mapping[str, Any], *, ttl: float | None = None
    ) -> bool: ...

    @overload
    async def create(self, key: str, value: R, *, ttl: float | None = None) -> bool: ...

    async def create(self, key: str, value: Any, *, ttl: float | None = None) -> bool:
        """Write an entry where there is none; tell whether it was written. Of many callers one writes."""
        return await self.engine.run(self.entries.create(key, value, ttl=ttl))

    async def put_if_version(
        self, key: str, value: Mapping[str, Any], version: int, *, ttl: float | None = None, fence: Fence = None
    ) -> bool:
        """Write an entry whole if its version is still this one, which ``put`` returned; tell whether it was.

        It goes on with the entry: its owner, its ``ttl`` unless another is given, and what is kept with it stay.
        """
        put = self.entries.put_if_version(key, value, version, ttl=ttl, fence=fence)
        return await self.engine.run(put) is not None

    async def patch(
        self, key: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None
    ) -> bool:
        """Merge fields into an entry. False, and nothing created, when there is none."""
        return await self.engine.run(self.entries.patch(key, fields, ttl=ttl, fence=fence))

    async def increment(self, key: str, field: str, by: float = 1, *, fence: Fence = None) -> int | float:
        """Add to a number and return the sum. What is missing is created at 0."""
        return await self.engine.run(self.entries.increment(key, field, by, fence=fence))

    async def delete(self, key: str, *, fence: Fence = None) -> bool:
        """Remove an entry; tell whether there was one."""
        return await self.engine.run(self.entries.remove(key, fence=fence))

    async def mutate(self, key: str, change: Callable[[R], Mapping[str, Any] | None], *, fence: Fence = None) -> R:
        """Change a copy of an entry, and write it back if nothing was written in between, else again.

        ``change`` alters the plain dict it is given and returns nothing, or returns a new mapping; it may be
        called several times. Returns the new content. ``KeyError`` when there is no entry, ``TypeError`` when
        ``change`` returns anything else (``lambda r: r.pop("x")``): the record would become that. Two round
        trips or more.
        """
        altered: Callable[[Any], Mapping[str, Any] | None] = change
        fields: Any = (await self.engine.follow(self.entries.mutate(key, altered, fence=fence)))[0]
        return fields  # type: ignore[no-any-return]

    async def owner(self, key: str) -> str | None:
        """Return the container that created the entry; None when there is none."""
        return await self.engine.run(self.entries.owner(key))

    async def owned_by(self, container_id: str) -> list[str]:
        """List the entries that a container created. O(n), 500 a round trip."""
        return await self.engine.follow(self.entries.owned_by(container_id))
