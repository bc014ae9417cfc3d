"""``StateManager``: sessions with a time to live and an owner, shared by all containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.mapping import RecordMapping
from redis_state.mapping.record_operations import Fence

SESSION_TTL = 3600.0  # seconds


class StateManager:
    """Sessions of one namespace.

    ``container_id`` owns what is created here; it is ``CONTAINER_ID``, or host name and process id,
    unless given. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self, namespace: str | Engine, container_id: str | Engine | None = None, engine: Engine | None = None
    ) -> None:
        name, owner, engine = given(self, Engine, namespace, container_id, engine)
        self.sessions = RecordMapping(name, ttl=SESSION_TTL, engine=engine, container_id=owner)

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return self.sessions.container_id

    def create_session(self, key: str, data: Mapping[str, Any], ttl: float = SESSION_TTL) -> bool:
        """Create a session that lives ``ttl`` seconds from each write on. False, nothing changed, when there is one."""
        return self.sessions.create(key, data, ttl=ttl)

    def get_session(self, key: str) -> dict[str, Any] | None:
        """Read a session; None when there is none. Writes to what it returns go through, see ``Record``."""
        return self.sessions.get(key)

    def update_session(self, key: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session, atomically. False, and nothing created, when there is none."""
        return self.sessions.patch(key, updates, fence=fence)

    def delete_session(self, key: str) -> bool:
        """Remove a session; tell whether there was one."""
        return self.sessions.delete(key)

    def owner(self, key: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        return self.sessions.owner(key)

    def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created. O(n), 500 a round trip."""
        return self.sessions.owned_by(container_id)

    def __repr__(self) -> str:
        return f"<StateManager {self.sessions.namespace!r}, container {self.container_id!r}>"


RedisStateManager = StateManager  # its first name, which stays
