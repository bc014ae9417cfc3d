"""A private Redis or Valkey server for development and tests: ``embedded://`` and ``embedded:///path``.

It listens on a unix socket only, serves every process that names the same directory, and keeps nothing after its last
user closed it, exited or was killed; a user who comes in that instant keeps it. Each user holds a lock on one file, and
``_supervisor.py`` says how the locks decide. A fork is a user as long as it lives; a program started by exec is none
until it starts the directory itself. ``_place.py`` knows which directories are safe, ``_binary.py`` which server it is.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Self

from redis_state.clock import monotonic
from redis_state.engine._binary import find_binary as find_binary
from redis_state.engine._place import choose_socket, enter, find_socket, greet, is_still, make_private
from redis_state.engine._supervisor import LOG, OLD_SOCKET, PID, SOCKET, SUPERVISOR, USERS, clear, remove_empty
from redis_state.engine.foreign import suppressed
from redis_state.errors import ConfigError, ServerUnavailable

if sys.platform == "win32":
    raise ConfigError("embedded:// needs Linux or macOS; here, set REDIS_URL, for instance to a server in docker")

import fcntl

READY_SECONDS = 10.0
POLL_SECONDS = 0.005
log = logging.getLogger("redis_state")


@dataclass(slots=True)
class _Use:
    """This process's use of one directory, shared by all that started it here."""

    directory: Path
    identity: tuple[int, int]
    place: int  # a descriptor of it
    users: FileIO  # holds the shared lock on ``USERS``; closed: this use is over
    private: bool
    socket_path: str = ""
    binary: str = ""
    holders: set[int] = field(default_factory=set)  # each ``Embedded``, by its id()
    electing: bool = False


# By the identity of the directory: under a name, there may be another one by now.
_uses: dict[tuple[int, int], _Use] = {}
# Held around a fork, so that a child never inherits a lock that was only being passed on to a supervisor.
_guard = threading.RLock()
os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release)


class Embedded:
    """One use of an embedded server; the server ends with its last use in any process.

    One that is dropped without being closed is closed, as a file is.
    """

    _use: _Use | None = None
    socket_path = ""
    directory = ""
    binary = ""

    @property
    def pid(self) -> int:
        """Tell the server's process id; another one after a crash. FileNotFoundError when it has ended."""
        return int(Path(self.directory, PID).read_text(encoding="ascii"))

    def ensure(self, within: float = READY_SECONDS) -> None:
        """Start the server anew if its supervisor was killed or gave up; ServerUnavailable when it does not answer."""
        end = monotonic() + within
        if not _guard.acquire(timeout=max(0.0, within)):
            raise ServerUnavailable(f"another thread waits for the embedded server in {self.directory}")
        try:
            if self._use is None:
                raise ServerUnavailable(f"this use of the embedded server in {self.directory} was closed")
            _serve(self._use, end)
            self.socket_path = self._use.socket_path
        finally:
            _guard.release()

    def close(self) -> None:
        """Give up this use; again: nothing happens. A close that was interrupted goes on when it is called again."""
        with _guard:
            if self._use is not None:
                _give_back(self._use, id(self))
                self._use = None

    def __del__(self) -> None:
        if not sys.is_finalizing():  # else the kernel closes what is open
            self.close()

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
        server = Embedded()
        private = path is None
        wanted = make_private() if path is None else Path(path)
        try:
            use = _join(server, wanted, private)
            greeting = _serve(use, monotonic() + READY_SECONDS)
        except BaseException:
            server.close()
            if private:
                remove_empty(str(wanted))
            raise
        if not use.binary:
            use.binary = greeting["executable"]
            brand = "valkey" if "valkey_version" in greeting else "redis"
            log.info(
                "embedded %s-server %s on %s: for one machine, keeps nothing after its last user is gone",
                *(brand, greeting[f"{brand}_version"], use.socket_path),
            )
        server.socket_path, server.directory, server.binary = use.socket_path, str(use.directory), use.binary
        return server


def _join(server: Embedded, path: Path, private: bool) -> _Use:
    """Become a user of a directory: one of those that this process counts, or the first."""
    deadline = monotonic() + READY_SECONDS
    while True:
        with suppress(FileNotFoundError):  # a private directory, just removed: it is made anew
            use = _hold(server, path, private)
            if use is not None and not use.users.closed:  # closed: by a signal handler, as of its last holder
                return use
        if monotonic() > deadline:
            raise ServerUnavailable(f"the last server in {path} has no users and yet does not end")
        time.sleep(POLL_SECONDS)


def _hold(server: Embedded, path: Path, private: bool) -> _Use | None:
    """Hold the lock of a user; None when the last server of this directory is just ending.

    ``server`` has its use before the use has it: what interrupts this can give back all that there is.
    """
    directory, place = enter(path, USERS)
    use = users = None
    try:
        found = os.fstat(place)
        identity = found.st_dev, found.st_ino
        use = server._use = _uses.get(identity)
        if use is None and (users := _lock(place, USERS, fcntl.LOCK_SH)) is not None:
            use = server._use = _Use(directory, identity, place, users, private)
            _uses[identity] = use
        if use is not None:
            use.holders.add(id(server))
        return use
    except BaseException:
        if use is None:
            if users is not None:
                users.close()
            _clear(place, "")
        raise
    finally:
        if use is None or use.place != place:
            os.close(place)


def _give_back(use: _Use, holder: int) -> None:
    """Give up one use. With the last one goes what a server leaves that has no supervisor to remove it."""
    use.holders.discard(holder)
    if use.holders or use.users.closed:
        return
    _uses.pop(use.identity, None)
    use.users.close()  # not LOCK_UN: that would take the lock from a fork as well
    try:
        _clear(use.place, str(use.directory) if use.private else "")
    finally:
        os.close(use.place)


def _clear(place: int, private: str) -> None:
    """Remove what servers left in a directory, unless it has a user or a supervisor."""
    with suppressed(OSError):
        unused = _lock(place, USERS, fcntl.LOCK_EX, os.O_RDWR)
        if unused is None:
            return
        with closing(unused):
            elected = _lock(place, SUPERVISOR, fcntl.LOCK_EX)
            if elected is not None:
                with closing(elected):
                    clear(place, private)


def _serve(use: _Use, deadline: float) -> dict[str, str]:
    """Wait until the server answers, starting it when it has no supervisor; return what INFO says of it."""
    started = False
    while True:
        if not is_still(use.directory, use.place):
            raise ServerUnavailable(
                f"the directory {use.directory} of this embedded server was removed or replaced while it was in use; "
                "close what uses it and start anew"
            )
        if use.electing:
            raise ServerUnavailable(
                f"the embedded server in {use.directory} is just being started by what this signal handler or "
                "finalizer interrupted, and cannot start before that goes on"
            )
        started |= _elect(use, started)
        path = find_socket(use.directory, use.place)
        greeting = None if path is None else greet(path, deadline - monotonic())
        if greeting is not None:
            use.socket_path = str(path)
            return greeting
        if monotonic() > deadline:
            raise ServerUnavailable(f"the embedded server in {use.directory} does not answer. {_log_tail(use)}")
        time.sleep(POLL_SECONDS)


def _elect(use: _Use, again: bool) -> bool:
    """Start a supervisor if there is none; tell whether it was so."""
    elected = None
    use.electing = True
    try:
        elected = _lock(use.place, SUPERVISOR, fcntl.LOCK_EX)
        if elected is not None:
            if again:
                raise ServerUnavailable(f"the embedded server in {use.directory} ended at once. {_log_tail(use)}")
            _start_supervisor(elected.fileno(), use)
        return elected is not None
    finally:
        use.electing = False
        if elected is not None:
            elected.close()


def _lock(place: int, name: str, kind: int, how: int = os.O_RDWR | os.O_CREAT) -> FileIO | None:
    """Lock a file; None when others hold it, or when what was locked is no longer the file of that name.

    The file object owns the descriptor before it is locked, so an interrupt at any moment leaves no lock behind.
    """
    lock = FileIO(name, "rb+", opener=lambda name, _: os.open(name, how | os.O_NOFOLLOW, 0o600, dir_fd=place))
    try:
        got = False
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            got = os.path.samestat(os.fstat(lock.fileno()), os.stat(name, dir_fd=place, follow_symlinks=False))
    finally:
        if not got:  # by name: what an exception refers to would keep it open
            lock.close()
    return lock if got else None


def _start_supervisor(elected: int, use: _Use) -> None:
    """Start the supervisor in a session of its own, where Ctrl-C does not reach it, and pass the lock on to it."""
    binary = find_binary()
    socket_path = find_socket(use.directory, use.place) or choose_socket(use.directory)
    with suppress(FileNotFoundError):  # so that no answer of a server that outlived its supervisor is taken for ours
        os.replace(SOCKET, OLD_SOCKET, src_dir_fd=use.place, dst_dir_fd=use.place)
    program = str(Path(__file__).resolve().with_name("_supervisor.py"))
    private = str(use.directory) if use.private else ""
    words = [str(elected), str(use.place), str(socket_path), binary, private]
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    output = os.open(LOG, how, 0o600, dir_fd=use.place)
    try:
        with subprocess.Popen(
            [sys.executable or "python3", "-I", "-S", program, *words],
            pass_fds=[elected, use.place],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ):
            use.electing = False  # from here on, the server comes whatever interrupts us
    finally:
        os.close(output)


def _log_tail(use: _Use) -> str:
    with (
        suppressed(OSError),
        open(os.open(LOG, os.O_RDONLY, dir_fd=use.place), encoding="utf-8", errors="replace") as log,
    ):
        return "The end of its log:\n" + "".join(log.readlines()[-12:]).rstrip()
    return "It has no log."
