"""Run one embedded server, and end it when its last user is gone.

Started by ``embedded.py`` as a file, not as a module, with few imports, so that it is up in a few milliseconds.

Three lock files in the server's directory decide everything. The kernel drops a lock when its last holder dies,
however it dies, so there is no count that could go wrong and nothing to poll.

``USERS``       shared by every user. To get it exclusively is to know that the server has no user, and while it
                is held so, a newcomer waits: it never meets a server that is about to end. It marks the directory
                as one of ours as well: it is made before all other files and removed after them.
``SUPERVISOR``  exclusive, taken by the user that starts this process and passed on to it. To get it is to be elected.
``SERVER``      exclusive, inherited by the server: a new one is not started beside one that still runs.

Nothing is ever removed but the files named here, and directories that were told to be ours, when they are empty.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

USERS = "redis-state.embedded"
SUPERVISOR = "redis-state.supervisor"
SERVER = "redis-state.server"
SOCKET = "redis-state.socket"  # or a link to it, where the directory's path is too long for a socket
OLD_SOCKET = "redis-state.socket.old"
PID = "redis-state.pid"
NEW_PID = "redis-state.pid.new"
LOG = "redis-state.log"
VOID = "redis-state.void"

# A server that dies this often within this many seconds is not worth another try.
MOST_DEATHS = 5
DEATHS_WINDOW = 60.0
TAKEOVER_SECONDS = 5.0

PR_SET_PDEATHSIG = 1


def main(lock: int, place: int, socket_path: str, binary: str, private: str) -> None:
    """Serve until the last user is gone.

    ``lock`` is the descriptor that holds ``SUPERVISOR``, ``place`` that of the directory; ``private`` its path if
    it is to be removed at the end.
    """
    if os.fork():
        os._exit(0)  # the user that started us reaps this one; ours to reap is init's duty
    for descriptor in (lock, place):
        os.set_inheritable(descriptor, False)
    os.chdir(place)
    os.umask(0o077)
    for keyboard in (signal.SIGINT, signal.SIGHUP):
        signal.signal(keyboard, signal.SIG_IGN)
    users = os.open(USERS, os.O_RDWR)
    serving = take_over()
    elsewhere = os.path.basename(socket_path) != SOCKET
    if elsewhere:
        os.symlink(socket_path, SOCKET)

    def serve() -> None:
        with open(NEW_PID, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        os.replace(NEW_PID, PID)  # here and not in the parent: it must be there when the server answers
        leave_for_nothing(place)
        os.set_inheritable(serving, True)
        os.execv(binary, command(binary, socket_path))

    def watch() -> None:
        os.close(lock)
        os.close(serving)
        fcntl.flock(users, fcntl.LOCK_EX)
        os._exit(0)  # the lock is our parent's too: it came by the same open file, and outlives this process

    unused = supervise(serve, watch)
    remove(socket_path)
    if elsewhere:
        remove_empty(os.path.dirname(socket_path))
    if unused:
        clear(place, private)
    else:
        remove(SOCKET, PID)
    os.close(lock)  # before ``users``, which ends with this process: who gets that one can be elected at once


def supervise(serve: Callable[[], None], watch: Callable[[], None]) -> bool:
    """Start the server again when it dies; return True when it has no users any more, False when it is given up."""
    prctl = find_prctl()
    watcher = child(watch, prctl)
    server = child(serve, prctl)
    deaths: list[float] = []
    while True:
        ended, status = os.wait()
        if ended == server:
            now = time.monotonic()
            deaths = [died for died in deaths if now - died < DEATHS_WINDOW] + [now]
            if len(deaths) == MOST_DEATHS:
                end(watcher)
                return False
            server = child(serve, prctl)
        elif status == 0:
            end(server)
            return True
        else:
            watcher = child(watch, prctl)


def child(body: Callable[[], None], prctl: Callable[..., int] | None) -> int:
    """Run ``body`` in a child that dies with this process; return its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            body()
    except BaseException as error:
        os.write(2, f"{error}\n".encode(errors="replace"))
    os._exit(1)


def find_prctl() -> Callable[..., int] | None:
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):  # Python without libffi: all works but the end by kill -9
            import ctypes

            found: Callable[..., int] = ctypes.CDLL(None).prctl
            return found
    return None


def end(pid: int) -> None:
    """Kill a child and wait for its end: an embedded server keeps nothing, so there is nothing to save."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def take_over() -> int:
    """Hold ``SERVER``, ending a server that outlived its supervisor; exit when it does not end in time."""
    lock = os.open(SERVER, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit("an earlier server still runs here and does not answer")
            ask_to_end()
            time.sleep(0.01)
        else:
            remove(OLD_SOCKET)
            return lock


def ask_to_end() -> None:
    """Send SHUTDOWN. By name, not by process id: that of a file may belong to another process by now."""
    import socket

    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(OLD_SOCKET)
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        connection.recv(1)


def leave_for_nothing(place: int) -> None:
    """Work in a directory that is removed: a client's SAVE fails there, and leaves no file."""
    with suppress(FileExistsError):
        os.mkdir(VOID)
    os.chdir(VOID)
    os.rmdir(VOID, dir_fd=place)


def command(binary: str, socket_path: str) -> list[str]:
    """Tell the command line of a server that listens on ``socket_path`` only and writes nothing but its log."""
    settings = {
        "port": "0",
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "daemonize": "no",
        "logfile": "",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    return [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))]


def clear(place: int, private: str) -> None:
    """Remove what embedded servers leave in a directory, ``USERS`` last: while it is held, no newcomer makes files."""
    with suppress(OSError):
        os.rmdir(VOID, dir_fd=place)
    remove(SOCKET, OLD_SOCKET, PID, NEW_PID, LOG, SERVER, SUPERVISOR, USERS, place=place)
    if private:
        remove_empty(private)


def remove(*names: str, place: int | None = None) -> None:
    for name in names:
        with suppress(OSError):
            os.unlink(name, dir_fd=place)


def remove_empty(directory: str) -> None:
    """Remove a directory of ours, unless a newcomer or a user has put something into it."""
    with suppress(OSError):
        os.rmdir(directory)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
