"""How an operation becomes a method that is awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis_state.cache.voice_access import Voices
from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op, Plan
from redis_state.mapping.entries import Entries

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound="Entries[Any] | Voices")


class Bound:
    """Something that runs the operations of some entries on an engine."""

    _engine: AsyncEngine
    _entries: Any


def op(build: Callable[Concatenate[E, P], Op[T]]) -> Callable[Concatenate[Bound, P], Awaitable[T]]:
    """Make a method of an operation: build it for our entries, and run it."""

    @wraps(build)
    async def method(self: Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(build(self._entries, *args, **kwargs))

    return method


def plan(build: Callable[Concatenate[E, P], Plan[T]]) -> Callable[Concatenate[Bound, P], Awaitable[T]]:
    """Make a method of a plan."""

    @wraps(build)
    async def method(self: Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.follow(build(self._entries, *args, **kwargs))

    return method
