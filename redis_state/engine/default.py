"""The engine that is used when none is given: made on first use, from the environment or ``configure``."""

from __future__ import annotations

import os
import threading
from typing import Any, TypeVar

from redis_state.config import Settings
from redis_state.engine.engine import Engine

E = TypeVar("E")

_lock = threading.RLock()  # a signal handler or a finalizer may come here while its thread is here already
_engine: Engine | None = None
_configured: Settings | None = None


def configure(url: str | None = None, **settings: Any) -> None:
    """Set the default engine's server and settings, before or after its first use.

    What is not given comes from the environment. The engine in use so far is closed; the ready-made
    objects (``progress_state`` and the like) go on with the new one.
    """
    global _configured, _engine
    changed = (Settings() if url is not None else Settings.from_env()).with_changes(url=url, **settings)
    with _lock:
        old, _engine, _configured = _engine, None, changed
    if old is not None:
        old.close()


def default_engine() -> Engine:
    """Return the default engine; make it when there is none yet. Connects to nothing."""
    global _engine
    engine = _engine
    if engine is None:
        with _lock:
            made = _engine or Engine(_configured or Settings.from_env())
            engine = _engine = _engine or made
    return engine


def default_cache_engine() -> Engine:
    """Return the engine of the ready-made caches: the default one, unless REDIS_CACHE_URL names another server."""
    return of_caches(default_engine())


def of_caches(engine: E) -> E:
    """Return the engine of caches that are given this one: of ``cache_server``, where its settings have one."""
    return getattr(engine, "_of_caches", None) or engine


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)
