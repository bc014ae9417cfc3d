"""The asyncio engine that is used when none is given: one for each event loop, with the default engine's settings."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from redis_state.engine.default import default_engine, of_caches
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.op import Op, Plan

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")

_engines: dict[asyncio.AbstractEventLoop, list[AsyncEngine]] = {}  # an engine refers to its loop


def default_async_engine() -> AsyncEngine:
    """Return the default engine of the running event loop; make it when there is none yet. Connects to nothing.

    Its server and settings are those of ``redis_state.default_engine()``; after ``configure`` a new one is made. An
    ``embedded://`` server belongs to one engine: name a path, to share it with blocking code.
    """
    loop = asyncio.get_running_loop()
    settings = default_engine().settings
    made = _engines.get(loop)
    if made is None:
        _drop_ended()
        made = _engines[loop] = []
    if not made or made[-1].settings is not settings:
        made.append(AsyncEngine(settings))
    return made[-1]


def _drop_ended() -> None:
    """Drop the engines of loops that are over and were not closed."""
    for loop in [loop for loop in list(_engines) if loop.is_closed()]:
        for engine in _engines.pop(loop, ()):
            engine._drop()


async def close() -> None:
    """Close the default engine of the running event loop. The ready-made objects connect again when they are used."""
    for engine in _engines.pop(asyncio.get_running_loop(), ()):
        await engine.close()


class AsyncBinding(Generic[E]):
    """An engine, and what is made for its keys. Where none was given it is the default one, whichever that is now."""

    def __init__(self, engine: AsyncEngine | None, make: Callable[[AsyncEngine], E], *, caches: bool = False) -> None:
        self._given = engine
        self._make = make
        self._caches = caches
        self._made: weakref.WeakKeyDictionary[AsyncEngine, E] = weakref.WeakKeyDictionary()
        if engine is not None:
            self.here()  # a wrong namespace or TTL is refused at once

    def here(self) -> tuple[AsyncEngine, E]:
        """Return the engine in use, and what is made for it."""
        engine = self._given or default_async_engine()
        if self._caches:
            engine = of_caches(engine)
        found = self._made.get(engine)
        if found is None:
            found = self._made.setdefault(engine, self._make(engine))
        return engine, found

    def run(
        self, build: Callable[Concatenate[E, P], Op[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        """Build an operation, and run it."""
        engine, entries = self.here()
        return engine.run(build(entries, *args, **kwargs))

    def follow(
        self, build: Callable[Concatenate[E, P], Plan[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]:
        """Build a plan, and follow it."""
        engine, entries = self.here()
        return engine.follow(build(entries, *args, **kwargs))

    def __getstate__(self) -> Any:
        raise TypeError("its engine stays in its process; make one anew there")
