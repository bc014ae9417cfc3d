"""``State``: what all states are made of, awaited. See ``redis_state.mapping.state``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from redis_state.aio.mapping import RecordMapping
from redis_state.config import container_id as own_container_id
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.mapping.namespace import Namespace

E = TypeVar("E")


class State(Generic[E]):
    """The records of one namespace, and the container that owns what is created there, awaited."""

    def __init__(
        self,
        kind: Callable[..., E],
        namespace: str,
        ttl: float,
        container_id: str | AsyncEngine | None,
        engine: AsyncEngine | None,
    ) -> None:
        self._container_id, engine = given(self, AsyncEngine, container_id, engine)
        made = Namespace(partial(kind, owner=partial(own_container_id, self._container_id)), namespace, ttl)
        self._bound: AsyncBinding[E] = AsyncBinding(engine, made)
        self._records: RecordMapping = RecordMapping._of(self._bound)

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return own_container_id(self._container_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, container {self.container_id!r}, awaited>"
