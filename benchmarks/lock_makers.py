"""The locks that are compared: ours, our scripts over a bare connection, redis-py's, and python-redis-lock."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import redis
import redis_lock
from hiredis import pack_command
from redis.lock import Lock as RedisPyLock

from benchmarks.bench import BareConnection
from redis_state import Engine, Locks
from redis_state.keys import Keys
from redis_state.lock import operations

OURS, BARE = "redis_state", "our scripts, bare connection"
REDIS_PY, REDIS_LOCK = "redis-py Lock", "python-redis-lock"
LEASE = 30


class Bare:
    """The same scripts, sent as they are: no retries, no renewal, no errors, no threads."""

    def __init__(self, socket_path: str, name: str) -> None:
        self._connection = BareConnection(socket_path)
        keys = Keys("bare")
        self._name, self._wake = name, keys.key("wake", name)
        self._acquire = [
            keys.key("lock", name),
            keys.key("fence", name),
            keys.key("queue", name),
            keys.key("wake", name),
            keys.key("leases", name),
        ]
        self._release = [
            keys.key("lock", name),
            keys.key("queue", name),
            keys.key("wake", name),
            keys.key("leases", name),
        ]
        for text in (operations.ACQUIRE.script.text, operations.RELEASE.script.text):
            self._connection.ask(pack_command(("SCRIPT", "LOAD", text)))  # type: ignore[arg-type]
        self._owner = ""

    def acquire(self) -> None:
        self._owner = secrets.token_urlsafe(12)
        args = (self._name, self._owner, LEASE * 1000, 4000, "bench", "")
        connection = self._connection
        answer = connection.ask(connection.once(operations.ACQUIRE.script.sha, self._acquire, args))
        while answer[0] != b"held":
            wait: bytes = pack_command(("BLPOP", self._wake, 1))  # type: ignore[arg-type]
            answer = connection.ask(wait + connection.once(operations.ACQUIRE.script.sha, self._acquire, args), 2)

    def release(self) -> None:
        connection = self._connection
        connection.ask(connection.once(operations.RELEASE.script.sha, self._release, (self._name, self._owner)))


Pair = tuple[Callable[[], object], Callable[[], object]]


def ours(socket_path: str, name: str) -> Pair:
    lock = Locks("bench", Engine.from_url(f"unix://{socket_path}")).lock(name, lease=LEASE)
    return lock.__enter__, lambda: lock.__exit__(None, None, None)


def bare(socket_path: str, name: str) -> Pair:
    made = Bare(socket_path, name)
    return made.acquire, made.release


def redis_py(socket_path: str, name: str) -> Pair:
    lock = RedisPyLock(redis.Redis(unix_socket_path=socket_path), f"py:{name}", timeout=LEASE)
    return lock.acquire, lock.release


def python_redis_lock(socket_path: str, name: str) -> Pair:
    client = redis.Redis(unix_socket_path=socket_path)
    held: list[Any] = []

    def acquire() -> None:
        held[:] = [redis_lock.Lock(client, name, expire=LEASE)]
        held[0].acquire()

    return acquire, lambda: held[0].release()


MAKERS: dict[str, Callable[[str, str], Pair]] = {
    OURS: ours,
    BARE: bare,
    REDIS_LOCK: python_redis_lock,
    REDIS_PY: redis_py,
}
