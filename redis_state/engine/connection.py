"""A blocking connection and its callers: what one call in flight needs.

Nothing is retried here: only the engine knows which calls may be sent again. A connection has one user at
a time.
"""

from __future__ import annotations

from typing import Any

import redis

from redis_state.clock import monotonic
from redis_state.config import Server, Settings
from redis_state.engine.delivery import Exchange
from redis_state.engine.foreign import is_foreign
from redis_state.engine.handshake import as_redis_says, greeting, heard, heard_more, to_ask
from redis_state.engine.inflight import ConnectionState
from redis_state.engine.op import Broken
from redis_state.engine.wire import Wire, dial
from redis_state.errors import ConfigError


class Connection:
    """A blocking connection."""

    __slots__ = ("__weakref__", "_settings", "_wire", "state")

    def __init__(self, settings: Settings) -> None:
        self.state = ConnectionState()
        self._settings = settings
        self._wire: Wire | None = None

    def connect(self, server: Server, end: float) -> BaseException | None:
        """Connect anew, by ``end`` in monotonic seconds. Return None, or why it failed."""
        self.close()
        self.state.server = server
        settings = self._settings
        try:
            self._wire = wire = Wire(dial(server, settings.connect_timeout, end), settings.socket_timeout)
            asked, replies = monotonic(), list[Any]()
            words, wanted = greeting(server)
            wire.exchange(words, replies, wanted, 0.0, end)
            if question := to_ask(replies):
                wire.exchange(question, more := list[Any](), 1, 0.0, end)
                heard_more(server, more[0])
            heard(self.state, server, replies, asked)
        except (redis.RedisError, ConfigError, OSError) as error:
            self.close()
            if is_foreign(error):
                raise
            return as_redis_says(error)
        except BaseException:
            self.close()
            raise
        return None

    def exchange(self, exchange: Exchange) -> list[Any]:
        """Send and read. The list ends with ``Broken`` when the connection did not live to the last reply."""
        replies: list[Any] = []
        wire = self._wire
        assert wire is not None
        try:
            wire.exchange(exchange.payload, replies, exchange.replies, exchange.blocks, exchange.end)
        except (redis.RedisError, OSError) as error:
            self.close()
            if is_foreign(error):
                raise
            replies.append(Broken(as_redis_says(error)))
        return replies

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self.state.connected = False
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
