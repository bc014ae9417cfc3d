"""The same operations, awaited: an asyncio face for everything, a line for each.

Both faces share the operations, the scripts and the engine's conversation; only the waiting differs.
There is no item syntax here, since ``await`` cannot stand in an assignment: ``put``, ``patch`` and
``increment`` say what they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis_state import state_manager
from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op, Plan
from redis_state.keys import Keys
from redis_state.mapping.entries import Entries
from redis_state.mapping.records import Fence, Records, Snapshot
from redis_state.mapping.values import Values
from redis_state.state import progress
from redis_state.state.progress import Progress

__all__ = ["AsyncEngine", "ProgressState", "RecordMapping", "StateManager", "ValueMapping"]

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound="Entries[Any]")


class _Bound:
    """Something that runs the operations of some entries on an engine."""

    _engine: AsyncEngine
    _entries: Any


def op(build: Callable[Concatenate[E, P], Op[T]]) -> Callable[Concatenate[_Bound, P], Awaitable[T]]:
    """Make a method of an operation: build it for our entries, and run it."""

    @wraps(build)
    async def method(self: _Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(build(self._entries, *args, **kwargs))

    return method


def plan(build: Callable[Concatenate[E, P], Plan[T]]) -> Callable[Concatenate[_Bound, P], Awaitable[T]]:
    """Make a method of a plan."""

    @wraps(build)
    async def method(self: _Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.follow(build(self._entries, *args, **kwargs))

    return method


class _Mapping(_Bound):
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


class ValueMapping(_Mapping):
    """An opaque value for each key, awaited."""

    def __init__(self, engine: AsyncEngine, namespace: str, *, ttl: float) -> None:
        super().__init__(engine, Values(engine.keys(namespace), ttl))

    put = op(Values.put)
    create = op(Values.create)
    delete = op(Values.remove)
    touch = op(Values.touch)


class RecordMapping(_Mapping):
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


class StateManager:
    """Sessions with a time to live and an owner, awaited. See ``RedisStateManager``."""

    def __init__(self, engine: AsyncEngine, namespace: str, container_id: str | None = None) -> None:
        self.sessions = RecordMapping(engine, namespace, ttl=state_manager.SESSION_TTL, container_id=container_id)

    async def create_session(self, key: str, data: Mapping[str, Any], ttl: float = state_manager.SESSION_TTL) -> bool:
        """Create a session. False, nothing changed, when there is one."""
        return await self.sessions.create(key, data, ttl=ttl)

    async def get_session(self, key: str) -> dict[str, Any] | None:
        """Read a session; None when there is none."""
        found: dict[str, Any] | None = await self.sessions.get(key)
        return found

    async def update_session(self, key: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session. False, and nothing created, when there is none."""
        return await self.sessions.patch(key, updates, fence=fence)

    async def delete_session(self, key: str) -> bool:
        """Remove a session; tell whether there was one."""
        return await self.sessions.delete(key)

    async def owner(self, key: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        return await self.sessions.owner(key)

    async def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created."""
        return await self.sessions.owned_by(container_id)


class ProgressState(_Bound):
    """Progress of work that is cut into segments, awaited. See ``RedisProgressState``."""

    def __init__(self, engine: AsyncEngine, container_id: str | None = None, *, ttl: float = progress.TTL) -> None:
        self.segment_progress = RecordMapping(
            engine, progress.NAMESPACE, ttl=ttl, container_id=container_id, companions=progress.COMPANIONS
        )
        self._engine = engine
        self._entries = self.segment_progress._entries

    begin = op(progress.begin)
    advance = op(progress.advance)
    mark = op(progress.mark)
    fail = op(progress.fail)
    get = op(progress.read)
    confirm_completion = op(progress.confirm_completion)
    claim_completion = op(progress.claim_completion)
    pending_completions = plan(progress.pending_completions)

    async def watch(self, key: str, timeout: float | None = None) -> AsyncIterator[Progress]:
        """Yield the progress at once, and then on each change. See ``RedisProgressState.watch``."""
        watch = progress.Watch(self._entries, key)
        seen = await self._engine.follow(watch.look())
        while True:
            yield seen
            if seen.finished:
                return
            quiet_until = None if timeout is None else monotonic() + timeout
            last = seen
            while seen == last:
                left = progress.NEWS_WAIT if quiet_until is None else quiet_until - monotonic()
                if left <= 0:
                    return
                seen = await self._engine.follow(watch.wait(left))
