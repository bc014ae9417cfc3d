"""An asyncio connection and its callers: the twin of ``connection``, of the event loop that made it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Any

import redis

from redis_state.clock import monotonic
from redis_state.config import Server, Settings
from redis_state.engine.delivery import Exchange
from redis_state.engine.foreign import is_foreign
from redis_state.engine.handshake import (
    Stalled,
    as_redis_says,
    fatal,
    greeting,
    heard,
    heard_more,
    reply_reader,
    tls_context,
    to_ask,
)
from redis_state.engine.inflight import ConnectionState
from redis_state.engine.lookup import Lookup, look_up
from redis_state.engine.op import Broken
from redis_state.engine.wire import SIZE, queued
from redis_state.errors import ConfigError


class Line(asyncio.Protocol):
    """What is connected, and the exchange that is on. It is looked at now and then, and ended when it stands still."""

    def __init__(self, connected: socket.socket, stall: float) -> None:
        self.socket = connected
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.replies: list[Any] = []
        self._stall = stall
        self._reader = reply_reader()
        self._over: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._wanted = 0
        self._moved = self._answer_by = self._end = 0.0
        self._unsent = 0  # bytes that had not left when it was looked at last

    async def exchange(self, exchange: Exchange) -> BaseException | None:
        """Send, and wait until the replies have come. Return what ended it before."""
        self.replies, self._wanted, self._end = [], exchange.replies, exchange.end
        if self._error is None:
            self._over = over = self.loop.create_future()
            self._moved = monotonic()
            self._answer_by = self._moved + exchange.blocks
            self.transport.write(exchange.payload)
            self._unsent = self._on_its_way() if len(exchange.payload) > SIZE else 0
            self._look_later()
            try:
                await over
            finally:
                self._over = None
                self._timer.cancel()
        return self._error if len(self.replies) < self._wanted else None

    def _look_later(self) -> None:
        left = min(max(self._moved, self._answer_by) + self._stall, self._end) - monotonic()
        if self._unsent:  # that it moves is seen only by looking
            left = min(left, self._stall / 4)
        self._timer = self.loop.call_later(max(0.0, left), self._look)

    def _look(self) -> None:
        now = monotonic()
        if self._unsent and (unsent := self._on_its_way()) != self._unsent:
            self._unsent, self._moved = unsent, now
        if now >= min(max(self._moved, self._answer_by) + self._stall, self._end):
            self._finish(Stalled("Timeout reading from socket"))
        else:
            self._look_later()

    def _on_its_way(self) -> int:
        return int(self.transport.get_write_buffer_size()) + queued(self.socket)

    def _finish(self, error: BaseException | None = None) -> None:
        self._error = self._error or error
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._moved = monotonic()
        reader, replies = self._reader, self.replies
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                if fatal(reply):
                    raise reply
                replies.append(reply)
        except redis.RedisError as error:
            self._finish(error)
        if len(replies) >= self._wanted:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it broke. asyncio tells here, too, what a signal handler raised while it read."""
        self._finish(exc or redis.ConnectionError("Connection closed by server."))

    def hang_up(self) -> None:
        """Close at once; from any loop, also when that of the connection is gone."""
        if self.loop.is_closed():
            self.socket.close()
        elif self.loop is _running_loop():
            self.transport.abort()
        else:
            with suppress(RuntimeError):  # it was closed this instant
                self.loop.call_soon_threadsafe(self.transport.abort)


class AsyncConnection:
    """An asyncio connection, of the event loop that made it."""

    __slots__ = ("__weakref__", "_line", "_settings", "state")

    def __init__(self, settings: Settings) -> None:
        self.state = ConnectionState()
        self._settings = settings
        self._line: Line | None = None

    async def connect(self, server: Server, end: float) -> BaseException | None:
        """Connect anew, by ``end`` in monotonic seconds. Return None, or why it failed."""
        self.close()
        self.state.server = server
        try:
            async with asyncio.timeout(max(0.0, end - monotonic())):
                self._line = line = await dial(server, self._settings, end)
            words, wanted = greeting(server)
            asked = monotonic()
            error = await line.exchange(Exchange(words, wanted, 0.0, end))
            if error is not None:
                raise error
            replies = line.replies
            if question := to_ask(replies):
                if (error := await line.exchange(Exchange(question, 1, 0.0, end))) is not None:
                    raise error
                heard_more(server, line.replies[0])
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

    async def exchange(self, exchange: Exchange) -> list[Any]:
        """Send and read. The list ends with ``Broken`` when the connection did not live to the last reply."""
        line = self._line
        assert line is not None
        error = await line.exchange(exchange)
        replies = line.replies
        if error is not None:
            self.close()
            if is_foreign(error):
                raise error
            replies = [*replies[: exchange.replies - 1], Broken(as_redis_says(error))]
        return replies

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        self.state.connected = False
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()


async def dial(server: Server, settings: Settings, end: float) -> Line:
    """Connect and encrypt. Each address has its share of the time until ``end``. OSError when none takes us."""
    context = tls_context(server)
    if server.kind == "unix":
        addresses: list[Any] = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", server.path)]
    else:
        lookup = look_up(server.host, server.port)
        await _answer(lookup)
        addresses = lookup.addresses()
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        line = Line(socket.socket(family, kind, protocol), settings.socket_timeout)
        share = (end - monotonic()) / (len(addresses) - place)
        try:
            async with asyncio.timeout(min(settings.connect_timeout, share)):
                await _open(line, address, server, context)
            return line
        except OSError as error:
            line.socket.close()
            if place == len(addresses) - 1 or is_foreign(error):
                raise
        except BaseException:
            line.socket.close()
            raise
    raise OSError(f"{server.host} has no address")


async def _open(line: Line, address: Any, server: Server, context: ssl.SSLContext | None) -> None:
    line.socket.setblocking(False)
    await line.loop.sock_connect(line.socket, address)
    if server.kind == "unix":
        await line.loop.create_unix_connection(lambda: line, sock=line.socket)
    else:
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = server.host if context else None
        await line.loop.create_connection(lambda: line, sock=line.socket, ssl=context, server_hostname=name)


async def _answer(lookup: Lookup) -> None:
    """Wait until a name is looked up; cancelling it leaves the question on its way."""
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is over, and no caller waits
            loop.call_soon_threadsafe(answered.set)

    lookup.then(tell)
    await answered.wait()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
