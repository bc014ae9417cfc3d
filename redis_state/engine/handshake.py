"""What both connections say when they connect, and what they make of the answers."""

from __future__ import annotations

import ssl
from typing import Any

import redis
from hiredis import Reader
from redis import asyncio as async_redis
from redis.connection import DefaultParser

from redis_state.clock import monotonic
from redis_state.config import Server
from redis_state.engine.inflight import ConnectionState
from redis_state.engine.packing import pack
from redis_state.engine.server_check import read_memory
from redis_state.errors import ConfigError

LARGEST_KEPT = 1 << 20  # bytes of a reply whose memory is used again for the next one
_HELLO = (("TIME",), ("COMMAND", "INFO", "GETEX", "GET"), ("INFO", "memory"), ("ROLE",))
_MODULES = pack(("EVAL", "return type(cmsgpack) == 'table' and type(cjson) == 'table' and 1 or 0", "0"))
_TOO_OLD = "it lacks GETEX: Redis 6.2 or later, or Valkey 8 or later, is needed"


class Stalled(redis.TimeoutError):
    """A connection on which nothing moved for a socket time-out, or whose call is over."""


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


def tls_context(server: Server) -> ssl.SSLContext | None:
    """Return how to encrypt, as redis-py reads the options of the URL; None where nothing is encrypted."""
    if not server.tls:
        return None
    context: ssl.SSLContext = async_redis.SSLConnection(**connection_options(server)).ssl_context.get()
    return context


def reply_reader() -> Reader:
    """Return a parser whose errors are redis-py's."""
    reader = Reader(protocolError=redis.InvalidResponse, replyError=DefaultParser.parse_error)
    reader.setmaxbuf(LARGEST_KEPT)
    return reader


def fatal(reply: Any) -> bool:
    """Tell whether a reply is the last one that a connection gives."""
    return isinstance(reply, redis.RedisError) and not isinstance(reply, redis.ResponseError)


def greeting(server: Server) -> tuple[bytes, int]:
    """Return what is said first on a connection, all in one write, and how many replies it has."""
    words: list[tuple[Any, ...]] = list(_HELLO)
    if server.db:
        words.insert(0, ("SELECT", str(server.db)))
    if server.username:
        words.insert(0, ("AUTH", server.username, server.password or ""))
    elif server.password:
        words.insert(0, ("AUTH", server.password))
    return b"".join(map(pack, words)), len(words)


def heard(state: ConnectionState, server: Server, replies: list[Any], asked: float) -> None:
    """Take what the server said when the connection was made, and raise what it refused.

    ``ReadOnlyError`` of a replica: it may be promoted in a moment, or its name may point to its primary then. A server
    that does not tell its role, or not to us, is taken for a primary.
    """
    *let_in, time, known, info, role = replies
    for reply in (*let_in, time):
        if isinstance(reply, Exception):
            raise reply
    if isinstance(known, list) and known[0] is None and known[1:] != [None]:
        raise ConfigError(f"{server} is too old: {_TOO_OLD}")
    if isinstance(role, list) and role[:1] == [b"slave"]:
        state.leaves = True
        of = f"{role[1].decode(errors='replace')}:{role[2]}"
        raise redis.ReadOnlyError(f"it is a replica of {of}; connect to the primary, or promote this one")
    seconds = int(time[0]) + int(time[1]) / 1e6
    state.clock = seconds - (asked + monotonic()) / 2
    state.memory = read_memory(info)
    state.connected = True
    state.loaded.clear()


def to_ask(replies: list[Any]) -> bytes | None:
    """Return one question more, for what does not even know GET: an emulation, or a proxy before a real server."""
    known = replies[-3]
    told = isinstance(known, list) and any(known)
    return None if told or (isinstance(known, Exception) and "unknown command" not in str(known)) else _MODULES


def heard_more(server: Server, reply: Any) -> None:
    """Refuse what runs scripts without what ours stand on: it would break in the midst of a call."""
    if reply == 0:
        raise ConfigError(
            f"{server} is an emulation: its scripts have no cmsgpack or no cjson. For tests there is embedded://, "
            "a real server that starts in a moment"
        )


def as_redis_says(error: BaseException) -> BaseException:
    """Return what a socket raised as an error of redis-py's, which all that follows knows."""
    if isinstance(error, redis.RedisError | ConfigError):
        return error
    if isinstance(error, TimeoutError):
        return Stalled("Timeout reading from socket")
    return redis.ConnectionError(str(error) or type(error).__name__)
