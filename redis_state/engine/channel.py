"""A connection and its callers: what one call in flight needs.

redis-py connects, authenticates and encrypts, and hiredis parses. The blocking channel then uses the
socket itself, since redis-py does more for each reply than parse it. Nothing is retried here: only the
engine knows which calls may be sent again. A channel has one user at a time.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from time import monotonic
from typing import Any

import redis
from hiredis import Reader, pack_command
from redis import asyncio as async_redis

from redis_state.config import Server, Settings
from redis_state.engine.call import Broken, Session
from redis_state.engine.converse import Exchange
from redis_state.engine.guard import read_memory
from redis_state.errors import ConfigError

_HELLO = (("TIME",), ("COMMAND", "INFO", "GETEX"), ("INFO", "memory"))
_HELLO_BYTES = b"".join(pack_command(words) for words in _HELLO)  # type: ignore[arg-type]
LARGEST_KEPT = 1 << 20  # bytes of a reply whose memory is used again for the next one
_TOO_OLD = "it lacks GETEX: Redis 6.2 or later, or Valkey 8 or later, is needed"


def connection_options(server: Server) -> dict[str, Any]:
    """Return what redis-py's connections take to reach a server, without time-outs."""
    options: dict[str, Any] = {
        "db": server.db,
        "username": server.username,
        "password": server.password,
        "protocol": 2,
        "driver_info": None,
    }
    if server.kind == "unix":
        options["path"] = server.path
    else:
        options |= {"host": server.host, "port": server.port, **dict(server.tls_options)}
    return options


def _heard(session: Session, server: Server, replies: list[Any], asked: float) -> None:
    """Take what the server said when the connection was made."""
    time, known, info = replies
    if isinstance(time, Exception):
        raise time
    if known == [None]:
        raise ConfigError(f"{server} is too old: {_TOO_OLD}")
    seconds = int(time[0]) + int(time[1]) / 1e6
    session.clock = seconds - (asked + monotonic()) / 2
    session.memory = read_memory(info)
    session.connected = session.fresh = True


class Channel:
    """A blocking connection."""

    __slots__ = ("_buffer", "_connection", "_patience", "_reader", "_settings", "_socket", "session")

    def __init__(self, settings: Settings) -> None:
        self.session = Session()
        self._settings = settings
        self._connection: Any = None
        self._socket: Any = None
        self._reader: Any = None
        self._buffer = bytearray(65536)
        self._patience: float | None = None  # the time-out that Python gives the socket; None: the kernel's is enough

    def connect(self, server: Server, within: float) -> BaseException | None:
        """Connect anew. Return None, or why it failed."""
        self.close()
        self.session.server = server
        options = connection_options(server)
        # Four waits at the most (socket, AUTH, SELECT, hello) share the time that is left.
        options["socket_connect_timeout"] = min(self._settings.connect_timeout, within / 4)
        options["socket_timeout"] = min(self._settings.socket_timeout, within / 4)
        connection: Any
        if server.kind == "unix":
            connection = redis.UnixDomainSocketConnection(**options)  # type: ignore[abstract,no-untyped-call]
        else:
            connection = (redis.SSLConnection if server.tls else redis.Connection)(**options)
        try:
            connection.connect()
            self._socket = connection._sock
            self._reader = Reader(protocolError=redis.InvalidResponse, replyError=connection._parser.parse_error)
            self._reader.setmaxbuf(LARGEST_KEPT)
            asked = monotonic()
            self._socket.sendall(_HELLO_BYTES)
            replies: list[Any] = []
            self._hear(replies, len(_HELLO))
            _heard(self.session, server, replies, asked)
            self._watch(server)
        except (redis.RedisError, ConfigError, OSError) as error:
            connection.disconnect()
            return error
        self._connection = connection
        return None

    def _watch(self, server: Server) -> None:
        """Let the kernel watch over the socket's time, where it can.

        Python's own time-out is a poll() before every send and every read, which also hands the lock of the
        interpreter to other threads: a tenth of a call. Half the time for sending, since a stalled server is
        noticed by the second send(): the first one returns what it could.
        """
        seconds = self._settings.socket_timeout
        self._patience = seconds if server.tls or sys.platform == "win32" else None
        self._socket.settimeout(self._patience)
        if self._patience is None:
            for option, limit in ((socket.SO_RCVTIMEO, seconds), (socket.SO_SNDTIMEO, seconds / 2)):
                microseconds = max(1, int(limit * 1e6))
                self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", *divmod(microseconds, 1_000_000)))

    def exchange(self, ask: Exchange) -> list[Any]:
        """Send and read. The list ends with ``Broken`` when the connection did not live to the last reply."""
        replies: list[Any] = []
        try:
            self._socket.sendall(ask.payload)
            self._hear(replies, ask.replies, ask.blocks)
        except (redis.RedisError, OSError) as error:
            self.close()
            if isinstance(error, TimeoutError | BlockingIOError):  # Python's time-out, or the kernel's
                error = redis.TimeoutError("Timeout reading from socket")
            replies.append(Broken(error))
        return replies

    def _hear(self, replies: list[Any], wanted: int, blocks: float = 0.0) -> None:
        """Read so many replies, as hiredis parses them, in one socket time-out. An error of the server is a reply."""
        connected, reader, buffer = self._socket, self._reader, self._buffer
        patience = self._settings.socket_timeout
        end = monotonic() + patience + blocks
        timed = blocks > 0
        while True:
            if timed:
                left = end - monotonic()
                if left <= 0:
                    raise TimeoutError
                connected.settimeout(left)
            count = connected.recv_into(buffer)
            if count == 0:
                raise redis.ConnectionError("Connection closed by server.")
            reader.feed(buffer, 0, count)
            while (reply := reader.gets()) is not False:
                if isinstance(reply, redis.RedisError) and not isinstance(reply, redis.ResponseError):
                    raise reply
                replies.append(reply)
            if len(replies) >= wanted:
                break
            timed = timed or end - monotonic() < 0.9 * patience  # pieces that drip may take no longer than one
        if timed:
            connected.settimeout(self._patience)

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self.session.connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


class AsyncChannel:
    """An asyncio connection, of the event loop that made it."""

    __slots__ = ("_connection", "_settings", "session")

    def __init__(self, settings: Settings) -> None:
        self.session = Session()
        self._settings = settings
        self._connection: Any = None

    async def connect(self, server: Server, within: float) -> BaseException | None:
        """Connect anew. Return None, or why it failed."""
        await self.close()
        self.session.server = server
        # One time-out of ours around everything: redis-py's own would start a task for each write.
        options = connection_options(server) | {"socket_connect_timeout": None, "socket_timeout": None}
        if server.kind == "unix":
            connection: Any = async_redis.UnixDomainSocketConnection(**options)
        else:
            connection = (async_redis.SSLConnection if server.tls else async_redis.Connection)(**options)
        patience = min(within, self._settings.connect_timeout + self._settings.socket_timeout)
        try:
            async with asyncio.timeout(patience):
                await connection.connect()
                asked = monotonic()
                await connection.send_packed_command((_HELLO_BYTES,), check_health=False)
                replies = [await _async_read(connection) for _ in _HELLO]
            _heard(self.session, server, replies, asked)
        except (redis.RedisError, ConfigError, OSError) as error:  # asyncio's TimeoutError is an OSError
            await connection.disconnect(nowait=True)
            return error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        return None

    async def exchange(self, ask: Exchange) -> list[Any]:
        """Send and read. The list ends with ``Broken`` when the connection did not live to the last reply."""
        connection = self._connection
        replies: list[Any] = []
        try:
            async with asyncio.timeout(self._settings.socket_timeout + ask.blocks):
                await connection.send_packed_command((ask.payload,), check_health=False)
                for _ in range(ask.replies):  # one by one: a break keeps what was read
                    replies.append(await _async_read(connection))  # noqa: PERF401
        except (redis.RedisError, OSError) as error:
            await self.close()
            replies.append(Broken(error))
        return replies

    async def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self.session.connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def _async_read(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error
