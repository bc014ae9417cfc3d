"""Sessions with a time to live and an owner, awaited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state import state_manager
from redis_state.aio.mapping import RecordMapping
from redis_state.config import container_id as own_container_id
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.mapping.record_operations import Fence


class StateManager:
    """Sessions of one namespace, awaited.

    ``container_id`` owns what is created here; it is ``CONTAINER_ID``, or host name and process id,
    unless given. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        namespace: str | AsyncEngine,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
    ) -> None:
        name, self._container_id, engine = given(self, AsyncEngine, namespace, container_id, engine)
        self.sessions = RecordMapping(name, engine, ttl=state_manager.SESSION_TTL, container_id=self._container_id)
        self._bound = self.sessions._bound

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return self._container_id or own_container_id()

    async def create_session(self, key: str, data: Mapping[str, Any], ttl: float = state_manager.SESSION_TTL) -> bool:
        """Create a session that lives ``ttl`` seconds from each write on. False, nothing changed, when there is one."""
        return await self.sessions.create(key, data, ttl=ttl)

    async def get_session(self, key: str) -> dict[str, Any] | None:
        """Read a session as plain data; None when there is none."""
        found: dict[str, Any] | None = await self.sessions.get(key)
        return found

    async def update_session(self, key: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session, atomically. False, and nothing created, when there is none."""
        return await self.sessions.patch(key, updates, fence=fence)

    async def delete_session(self, key: str) -> bool:
        """Remove a session; tell whether there was one."""
        return await self.sessions.delete(key)

    async def owner(self, key: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        return await self.sessions.owner(key)

    async def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created. O(n), 500 a round trip."""
        return await self.sessions.owned_by(container_id)

    def __repr__(self) -> str:
        return f"<StateManager, container {self.container_id!r}, awaited>"
