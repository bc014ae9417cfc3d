"""A namespace of entries, apart from any engine. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from redis_state.keys import Keys

E = TypeVar("E", covariant=True)


class _HasKeys(Protocol):
    def keys(self, namespace: str) -> Keys: ...


@dataclass(frozen=True)
class Namespace(Generic[E]):
    """The entries of one namespace, to be made for the keys of each engine. A wrong name or TTL is refused at once."""

    kind: Callable[..., E]  # of keys and a TTL in seconds
    name: str
    ttl: float

    def __post_init__(self) -> None:
        self.kind(Keys(self.name), self.ttl)

    def __call__(self, engine: _HasKeys) -> E:
        return self.kind(engine.keys(self.name), self.ttl)
