"""``RedisStateManager``: sessions with a time to live and an owner, shared by all containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.engine.op import Plan, do_all
from redis_state.engine.run import Engine
from redis_state.mapping import RecordMapping
from redis_state.mapping.records import Fence, Records

SESSION_TTL = 3600.0  # seconds


class RedisStateManager:
    """Sessions of one namespace.

    ``container_id`` owns what is created here; it is ``CONTAINER_ID``, or host name and process id,
    unless given. Every method is one round trip unless it says otherwise.
    """

    def __init__(self, namespace: str, container_id: str | None = None, engine: Engine | None = None) -> None:
        self.sessions = RecordMapping(namespace, ttl=SESSION_TTL, engine=engine, container_id=container_id)

    @property
    def container_id(self) -> str:
        """Who owns what is created here."""
        return self.sessions._owner()

    def create_session(self, key: str, data: Mapping[str, Any], ttl: float = SESSION_TTL) -> bool:
        """Create a session that lives ``ttl`` seconds from each write on. False, nothing changed, when there is one."""
        sessions = self.sessions
        return sessions.engine.run(sessions.entries.create(key, data, ttl=ttl))

    def get_session(self, key: str) -> dict[str, Any] | None:
        """Read a session; None when there is none. Writes to what it returns go through, see ``Record``."""
        found: dict[str, Any] | None = self.sessions.get(key)
        return found

    def update_session(self, key: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session, atomically. False, and nothing created, when there is none."""
        return self.sessions.patch(key, updates, fence=fence)

    def delete_session(self, key: str) -> bool:
        """Remove a session; tell whether there was one."""
        return self.sessions.delete(key)

    def owner(self, key: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        sessions = self.sessions
        return sessions.engine.run(sessions.entries.owner(key))

    def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created. O(n), 500 a round trip."""
        sessions = self.sessions
        return sessions.engine.follow(owned_by(sessions.entries, container_id))

    def __repr__(self) -> str:
        return f"<RedisStateManager {self.sessions.namespace!r}, container {self.container_id!r}>"


def owned_by(records: Records, container_id: str) -> Plan[list[str]]:
    """List the records that a container created."""
    names = yield from records.names()
    owners = yield from do_all([records.owner(name) for name in names])
    return [name for name, owner in zip(names, owners, strict=True) if owner == container_id]
