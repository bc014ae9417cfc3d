"""The engine that is used when none is given: made on first use, from the environment or ``configure``."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_state.config import Settings
from redis_state.engine.channel import connection_options
from redis_state.engine.op import command
from redis_state.engine.run import Engine

_lock = threading.Lock()
_engine: Engine | None = None
_cache_engine: Engine | None = None
_configured: Settings | None = None


def configure(url: str | None = None, **settings: Any) -> None:
    """Set the default engine's server and settings, before or after its first use.

    What is not given comes from the environment. The engine in use so far is closed; the ready-made
    objects (``progress_state`` and the like) go on with the new one.
    """
    global _configured, _engine, _cache_engine
    changed = (Settings() if url is not None else Settings.from_env()).with_changes(url=url, **settings)
    with _lock:
        old, _engine, _cache_engine, _configured = (_engine, _cache_engine), None, None, changed
    for engine in old:
        if engine is not None:
            engine.close()


def default_engine() -> Engine:
    """Return the default engine; make it when there is none yet. Connects to nothing."""
    global _engine
    engine = _engine
    if engine is None:
        with _lock:
            engine = _engine = _engine or Engine(_configured or Settings.from_env())
    return engine


def default_cache_engine() -> Engine:
    """Return the engine of the ready-made caches: the default one, unless REDIS_CACHE_URL names another server."""
    global _cache_engine
    main = default_engine()
    server = main.settings.cache_server
    if server is None:
        return main
    engine = _cache_engine
    if engine is None:
        with _lock:
            engine = _cache_engine = _cache_engine or Engine(replace(main.settings, server=server))
    return engine


class Bound:
    """Something that uses the engine it was given, or else the default one, whichever that is at the time."""

    _default = staticmethod(default_engine)

    def __init__(self, engine: Engine | None = None) -> None:
        self._given = engine
        self._bound_to: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        engine = self._given or self._default()
        if engine is not self._bound_to:
            self._bind(engine)
            self._bound_to = engine
        return engine

    def _bind(self, engine: Engine) -> None:
        """Take over what depends on the engine's settings: the keys."""
        raise NotImplementedError


class RedisClient:
    """redis-py's client for the default engine's server, for commands of your own.

    ``ping`` goes through the engine, with its retries; everything else is redis-py as it is, without
    any: a call that fails may or may not have run.
    """

    def __init__(self) -> None:
        self._client: redis.Redis | None = None
        self._made_for: Engine | None = None

    def ping(self) -> bool:
        """Return True once the server answers; raise ``ServerUnavailable`` when it does not inside the deadline."""
        return default_engine().run(command("PING", read=lambda reply: bool(reply == b"PONG")))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        engine = default_engine()
        if self._client is None or self._made_for is not engine:
            server = engine._server()
            options = connection_options(server)
            if server.kind == "unix":
                options["unix_socket_path"] = options.pop("path")
            options["ssl"] = server.tls
            self._client, self._made_for = redis.Redis(**options, retry=Retry(NoBackoff(), 0)), engine
        return getattr(self._client, name)

    def __repr__(self) -> str:
        return f"<redis client of {default_engine()!r}>"


redis_client = RedisClient()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)
