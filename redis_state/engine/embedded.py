"""A private Redis or Valkey server for development and tests: ``embedded://`` and ``embedded:///path``.

It listens on a unix socket only, serves every process that names the same directory, and keeps nothing after its
last user is gone, whether that one closed it, exited or was killed. Who comes in that very instant may still meet
it, and keeps it. Each user holds a lock on the file ``users``; ``_supervisor.py`` says how the locks decide. A fork
is a user as long as it lives; a program started by exec is not one until it starts the directory itself.
``_binary.py`` says which server it is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from redis_state.engine._binary import find_binary as find_binary
from redis_state.errors import ConfigError, ServerUnavailable

if sys.platform == "win32":
    raise ConfigError("embedded:// needs Linux or macOS; here, set REDIS_URL, for instance to a server in docker")

import fcntl

READY_SECONDS = 10.0
POLL_SECONDS = 0.005
LONGEST_SOCKET_PATH = 99  # bytes, and 4 for ".old": macOS has room for 103, and a server cuts off the rest in silence

log = logging.getLogger("redis_state")


@dataclass(slots=True)
class _Use:
    """This process's use of one directory, shared by all that started it here."""

    directory: Path
    socket_path: Path
    users: int
    binary: str = ""
    holders: int = 0


_uses: dict[Path, _Use] = {}
# Held around a fork, so that a child never inherits a lock that was only being passed on to a supervisor.
_guard = threading.RLock()
os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release)


class Embedded:
    """One use of an embedded server; the server ends with its last use in any process."""

    def __init__(self, use: _Use) -> None:
        self._use: _Use | None = use
        self.socket_path = str(use.socket_path)
        self.directory = str(use.directory)
        self.binary = use.binary

    @property
    def pid(self) -> int:
        """Tell the server's process id; another one after a crash. FileNotFoundError when it has ended."""
        return int(Path(self.directory, "pid").read_text(encoding="ascii"))

    def ensure(self) -> None:
        """Start the server anew if its supervisor was killed or gave up; ServerUnavailable when it does not answer."""
        with _guard:
            if self._use is None:
                raise ServerUnavailable(f"this use of the embedded server in {self.directory} was closed")
            _serve(self._use, time.monotonic() + READY_SECONDS)

    def close(self) -> None:
        """Give up this use; again: nothing happens."""
        with _guard:
            use, self._use = self._use, None
            if use is None:
                return
            use.holders -= 1
            if use.holders == 0:
                del _uses[use.directory]
                os.close(use.users)  # not LOCK_UN: that would take the lock from a fork as well

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Embedded {self.socket_path}{'' if self._use else ' (closed)'}>"


def start(path: str | os.PathLike[str] | None = None) -> Embedded:
    """Use the server of the directory ``path``, starting it if it does not run; without a path, one of your own.

    Takes about 0.1 s, and 10 s at most. ConfigError when no binary is found or the directory is not safe,
    ServerUnavailable when the server does not answer; its message holds the end of the server's log.
    """
    with _guard:
        directory = (_private() if path is None else Path(path)).resolve()
        use = _uses.get(directory)
        deadline = time.monotonic() + READY_SECONDS
        try:
            if use is None:
                use = _Use(directory, _socket_path(directory), _join(directory, deadline))
            greeting = _serve(use, deadline)
        except BaseException:
            if use is not None and use.holders == 0:
                os.close(use.users)
            if path is None:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        if use.holders == 0:
            use.binary = greeting["executable"]
            _uses[directory] = use
            brand = "valkey" if "valkey_version" in greeting else "redis"
            log.info(
                "embedded %s-server %s on %s: for one machine, keeps nothing after its last user is gone",
                *(brand, greeting[f"{brand}_version"], use.socket_path),
            )
        use.holders += 1
        return Embedded(use)


def _join(directory: Path, deadline: float) -> int:
    """Become a user of ``directory``: return a descriptor that holds the shared lock on ``users``."""
    while True:
        _own(directory)
        with suppress(FileNotFoundError):  # a private directory, just removed: it is made anew
            users = _lock(directory, "users", fcntl.LOCK_SH)
            if users is not None:
                return users
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"the last server in {directory} has no users and yet does not end")
        time.sleep(POLL_SECONDS)


def _serve(use: _Use, deadline: float) -> dict[str, str]:
    """Wait until the server answers, starting it when nobody supervises it; return what INFO says of it."""
    started = False
    while True:
        elected = _lock(use.directory, "supervisor", fcntl.LOCK_EX)
        if elected is not None:
            try:
                if started:
                    raise ServerUnavailable(f"the embedded server in {use.directory} ended at once. {_log_tail(use)}")
                _start_supervisor(elected, use)
                started = True
            finally:
                os.close(elected)
        greeting = _greeting(use.socket_path)
        if greeting is not None:
            return greeting
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"the embedded server in {use.directory} does not answer. {_log_tail(use)}")
        time.sleep(POLL_SECONDS)


def _lock(directory: Path, name: str, kind: int) -> int | None:
    """Lock a file; None when others hold it, or when what was locked is no longer the file of that name."""
    path = directory / name
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _start_supervisor(elected: int, use: _Use) -> None:
    """Start the supervisor in a session of its own, where Ctrl-C does not reach it, and pass the lock on to it."""
    with suppress(FileNotFoundError):  # so that no answer of a server that outlived its supervisor is taken for ours
        use.socket_path.replace(f"{use.socket_path}.old")
    program = str(Path(__file__).resolve().with_name("_supervisor.py"))
    words = [str(elected), str(use.directory), str(use.socket_path), find_binary()]
    with (use.directory / "server.log").open("wb") as output:
        subprocess.run(
            [sys.executable or "python3", "-I", "-S", program, *words],
            pass_fds=[elected],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )


def _greeting(socket_path: Path) -> dict[str, str] | None:
    """Ask a server who it is; None when it does not answer."""
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(socket_path))
        connection.sendall(b"PING\r\nINFO server\r\n")
        with connection.makefile("rb") as replies:
            if replies.readline() != b"+PONG\r\n":
                return None
            body = replies.read(int(replies.readline()[1:])).decode()
        return dict(line.split(":", 1) for line in body.splitlines() if ":" in line)
    return None


def _log_tail(use: _Use) -> str:
    with suppress(OSError):
        lines = (use.directory / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "The end of its log:\n" + "\n".join(lines[-12:])
    return "It has no log."


def _socket_path(directory: Path) -> Path:
    """Tell where all processes that name ``directory`` look for its socket."""
    path = directory / "socket"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    # In /tmp whatever TMPDIR says: users with another TMPDIR must find it too.
    runtime = Path(f"/tmp/redis-state-{os.geteuid()}")
    _own(runtime)
    return runtime / hashlib.sha256(os.fsencode(directory)).hexdigest()[:24]


def _private() -> Path:
    """Make a directory that the supervisor removes after its last user."""
    directory = Path(tempfile.mkdtemp(prefix="redis-state-"))
    (directory / "private").touch()
    return directory


def _own(directory: Path) -> None:
    """Make ``directory`` with mode 0700 if it is missing; ConfigError when others own it or could write to it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise ConfigError(f"embedded://{directory}: cannot be used: {error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"embedded://{directory}: others own it or may write to it; name a directory of your own, or a new one"
        )
