"""``State``: what all states are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from redis_state.config import container_id as own_container_id
from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.record_mapping import RecordMapping

E = TypeVar("E")


class State(Generic[E]):
    """The records of one namespace, and the container that owns what is created there.

    ``kind`` makes their operations, of keys, a TTL in seconds and an owner. The engine may stand in any place, see
    ``given``. A subclass gives the mapping ``_records`` a public name.
    """

    def __init__(
        self,
        kind: Callable[..., E],
        namespace: str,
        ttl: float,
        container_id: str | Engine | None,
        engine: Engine | None,
    ) -> None:
        self._container_id, engine = given(self, Engine, container_id, engine)
        made = Namespace(partial(kind, owner=partial(own_container_id, self._container_id)), namespace, ttl)
        self._bound: Binding[E] = Binding(engine, made)
        self._records: RecordMapping = RecordMapping._of(self._bound, made)

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return own_container_id(self._container_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, container {self.container_id!r}>"
