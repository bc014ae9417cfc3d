"""redis-py's client for the server of the default engine."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_state.clock import monotonic
from redis_state.engine.default import default_engine
from redis_state.engine.engine import Engine
from redis_state.engine.handshake import connection_options
from redis_state.engine.op import command


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
        return default_engine().run(command(None, "PING", read=lambda reply: bool(reply == b"PONG")))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        engine = default_engine()
        if self._client is None or self._made_for is not engine:
            server = engine._server(monotonic() + engine.settings.deadline)
            options = connection_options(server)
            if server.kind == "unix":
                options["unix_socket_path"] = options.pop("path")
            options["ssl"] = server.tls
            if self._client is not None:
                self._client.close()
            self._client, self._made_for = redis.Redis(**options, retry=Retry(NoBackoff(), 0)), engine
        return getattr(self._client, name)

    def __repr__(self) -> str:
        return f"<redis client of {default_engine()!r}>"


redis_client = RedisClient()
