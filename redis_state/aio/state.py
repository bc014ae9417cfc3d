"""Sessions, progress and conversions, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any

from redis_state import state_manager
from redis_state.aio.face import Bound, op, plan
from redis_state.aio.mapping import RecordMapping
from redis_state.claim import steps as claim_steps
from redis_state.claim.awaited import Taking
from redis_state.engine.arun import AsyncEngine
from redis_state.lock.awaited import Locks
from redis_state.mapping.records import Fence
from redis_state.state import conversion, progress
from redis_state.state.progress import Progress


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


class ProgressState(Bound):
    """Progress of work that is cut into segments, awaited. See ``RedisProgressState``."""

    def __init__(
        self,
        engine: AsyncEngine,
        container_id: str | None = None,
        *,
        ttl: float | None = None,
        completion_lease: float = progress.COMPLETION_LEASE,
    ) -> None:
        self._lease = completion_lease
        progress._ms(completion_lease)
        self.segment_progress = RecordMapping(
            engine,
            progress.NAMESPACE,
            ttl=progress.TTL if ttl is None else ttl,
            container_id=container_id,
            companions=progress.COMPANIONS,
        )
        self._engine = engine
        self._entries = self.segment_progress._entries

    begin = op(progress.begin)
    fail = op(progress.fail)
    get = op(progress.read)
    confirm_completion = op(progress.confirm_completion)
    pending_completions = plan(progress.pending_completions)

    async def advance(self, key: str, by: int = 1) -> Progress:
        """Count ``by`` more segments, within 0 and the total."""
        return await self._engine.run(progress.advance(self._entries, key, by, lease=self._lease))

    async def mark(self, key: str, segment: int) -> Progress:
        """Count one finished segment, once however often it is said."""
        return await self._engine.run(progress.mark(self._entries, key, segment, lease=self._lease))

    async def claim_completion(self, key: str) -> Progress | None:
        """Take over a completion whose receiver did not confirm it in time; None when there is none."""
        return await self._engine.run(progress.claim_completion(self._entries, key, lease=self._lease))

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


class ConversionState(Bound):
    """Conversions that run once, awaited. See ``RedisConversionState``."""

    def __init__(self, engine: AsyncEngine, container_id: str | None = None, *, ttl: float = conversion.TTL) -> None:
        self.active_conversions = RecordMapping(engine, conversion.NAMESPACE, ttl=ttl, container_id=container_id)
        self.locks = Locks(engine, conversion.NAMESPACE, container_id)
        self.lock = self.locks.lock
        self._engine = engine
        self._entries = self.active_conversions._entries

    def claim(
        self,
        conversion_id: str,
        data: Mapping[str, Any] | None = None,
        *,
        max_attempts: int = conversion.MAX_ATTEMPTS,
        backoff: float = conversion.BACKOFF,
        **options: Any,
    ) -> Taking:
        """Take a conversion: ``async with state.claim(...) as claim:``, or ``claim = await state.claim(...)``."""
        terms = conversion.terms(max_attempts, backoff)
        return Taking(self._engine, self._entries, conversion_id, data, terms, **options)

    stalled = plan(claim_steps.stalled)
    owned_by = plan(state_manager.owned_by)
    retry_failed = op(claim_steps.reopen)
