"""A blocking socket whose exchanges end in time, whatever comes in between.

Three bounds count: something must move within the socket time-out (``stall``), a wait that the server
was asked for may take as long besides, and ``end`` is the end of all. Python's time-outs hold them, also
under signals and on the sockets of gevent; the kernel's would begin anew with each signal. A time-out
costs a poll() before the read. The first write needs none: it gives the kernel what it takes at once.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from typing import Any

import redis

from redis_state.clock import monotonic
from redis_state.config import Server
from redis_state.engine.foreign import is_foreign
from redis_state.engine.handshake import Stalled, fatal, reply_reader, tls_context
from redis_state.engine.lookup import look_up

if sys.platform != "win32":
    import fcntl
    import termios

SIZE = 65536  # bytes that are read at once; more than these may be long on their way
HUNG_UP = "Connection closed by server."
SLICE = 1 << 18  # bytes that are given to a slow socket at once


def dial(server: Server, connect_timeout: float, end: float) -> socket.socket:
    """Connect and encrypt. Each address has its share of the time until ``end``. OSError when none takes us."""
    context = tls_context(server)
    if server.kind == "unix":
        addresses: list[Any] = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", server.path)]
    else:
        lookup = look_up(server.host, server.port)
        lookup.wait(_left(end))
        addresses = lookup.addresses()
    for place, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(min(connect_timeout, _left(end) / (len(addresses) - place + 1)))
            if server.kind != "unix":
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.connect(address)
            return connected if context is None else context.wrap_socket(connected, server_hostname=server.host)
        except OSError as error:
            connected.close()
            if place == len(addresses) or is_foreign(error):
                raise
        except BaseException:
            connected.close()
            raise
    raise OSError(f"{server.host} has no address")


class Wire:
    """A connected socket and the parser of what comes. It has one user at a time."""

    __slots__ = ("_buffer", "_quick", "_reader", "_stall", "socket")

    def __init__(self, connected: socket.socket, stall: float) -> None:
        self.socket = connected
        connected.settimeout(stall)  # so it never blocks in the kernel
        self._quick = connected.fileno() if sys.platform != "win32" and not isinstance(connected, ssl.SSLSocket) else -1
        self._stall = stall
        self._reader = reply_reader()
        self._buffer = bytearray(SIZE)

    def exchange(self, payload: bytes, replies: list[Any], wanted: int, blocks: float, end: float) -> None:
        """Send, and add the replies to the list as they come. Raises ``Stalled``, or what the socket does."""
        moved, stall, sent = monotonic(), self._stall, 0
        if self._quick >= 0 and not blocks and len(payload) <= SIZE and end - moved >= stall:
            try:
                sent = os.write(self._quick, payload)
            except BlockingIOError as error:
                if is_foreign(error):
                    raise
            if sent == len(payload):
                receive, reader, buffer = self.socket.recv_into, self._reader, self._buffer
                while end - moved >= stall:
                    if (count := receive(buffer)) == 0:
                        raise redis.ConnectionError(HUNG_UP)
                    reader.feed(buffer, 0, count)  # type: ignore[arg-type]
                    while (reply := reader.gets()) is not False:
                        if isinstance(reply, redis.RedisError) and fatal(reply):
                            raise reply
                        replies.append(reply)
                    if len(replies) >= wanted:
                        return
                    moved = monotonic()
        self._slowly(memoryview(payload)[sent:], replies, wanted, (moved, blocks, end))

    def _slowly(self, unsent: memoryview, replies: list[Any], wanted: int, times: tuple[float, float, float]) -> None:
        """Look at the clock before each step: it is no matter of one write, or has less time than one read may take."""
        connected, stall = self.socket, self._stall
        moved, blocks, end = times
        answer_by, on_its_way = moved + blocks, queued(connected)
        while unsent or len(replies) < wanted:
            left = _left(min(max(moved, answer_by) + stall, end))
            connected.settimeout(min(left, stall / 4) if unsent or on_its_way else left)
            try:
                if unsent:
                    unsent = unsent[connected.send(unsent[:SLICE]) :]
                    answer_by, on_its_way = monotonic() + blocks, queued(connected)
                elif (count := connected.recv_into(self._buffer)) == 0:
                    raise redis.ConnectionError(HUNG_UP)
                else:
                    self._take(count, replies)
                moved = monotonic()
            except TimeoutError as error:
                if is_foreign(error):
                    raise
                before, on_its_way = on_its_way, queued(connected)
                if on_its_way != before:  # the kernel goes on with what it was given
                    moved = monotonic()
        connected.settimeout(self._stall)

    def _take(self, count: int, replies: list[Any]) -> None:
        """Parse what was read."""
        reader = self._reader
        reader.feed(self._buffer, 0, count)  # type: ignore[arg-type]
        while (reply := reader.gets()) is not False:
            if fatal(reply):
                raise reply
            replies.append(reply)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def queued(connected: socket.socket) -> int:
    """Return how many bytes the kernel still has to bring to the peer, where it tells."""
    if sys.platform == "win32" or connected.family == socket.AF_UNIX:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError) as error:  # it is closed already
        if is_foreign(error):
            raise
        return 0


def _left(end: float) -> float:
    left = end - monotonic()
    if left <= 0:
        raise Stalled("Timeout reading from socket")
    return left
