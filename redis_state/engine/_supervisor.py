"""Run one embedded server, and end it when its last user is gone.

Started by ``embedded.py`` as a file, not as a module, with few imports, so that it is up in a few milliseconds.

Three lock files in the server's directory decide everything. The kernel drops a lock when its last holder dies,
however it dies, so there is no count that could go wrong and nothing to poll.

``users``       shared by every user. Whoever gets it exclusively knows that nobody uses the server, and while it
                is held so, a newcomer waits: it never meets a server that is about to end.
``supervisor``  exclusive, taken by the user that starts this process and passed on to it. To get it is to be elected.
``server``      exclusive, inherited by the server: a new one is not started beside one that still runs.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A server that dies this often within this many seconds is not worth another try.
MOST_DEATHS = 5
DEATHS_WINDOW = 60.0
TAKEOVER_SECONDS = 5.0

PR_SET_PDEATHSIG = 1

prctl: Callable[..., int] | None = None
if sys.platform == "linux":
    with suppress(ImportError, OSError, AttributeError):  # Python without libffi: all works but the end by kill -9
        import ctypes

        prctl = ctypes.CDLL(None).prctl


def main(lock: int, directory: str, socket_path: str, binary: str) -> None:
    """Serve until the last user of ``directory`` is gone; ``lock`` is the descriptor that holds ``supervisor``."""
    if os.fork():
        os._exit(0)  # the user that started us reaps this one; ours to reap is init's duty
    os.set_inheritable(lock, False)
    os.chdir(directory)
    os.umask(0o077)
    for keyboard in (signal.SIGINT, signal.SIGHUP):
        signal.signal(keyboard, signal.SIG_IGN)
    users = os.open("users", os.O_RDWR)
    serving = take_over(f"{socket_path}.old")

    def serve() -> None:
        Path("discarded.rdb").unlink(missing_ok=True)  # by a client's SAVE; the server would load it
        Path("pid.new").write_text(str(os.getpid()), encoding="ascii")
        Path("pid.new").replace("pid")  # here and not in the parent: it must be there when the server answers
        os.set_inheritable(serving, True)
        os.execv(binary, command(binary, directory, socket_path))

    def watch() -> None:
        os.close(lock)
        os.close(serving)
        fcntl.flock(users, fcntl.LOCK_EX)
        os._exit(0)  # the lock is our parent's too: it came by the same open file, and outlives this process

    watcher = child(watch)
    server = child(serve)
    deaths: list[float] = []
    while True:
        ended, status = os.wait()
        if ended == server:
            now = time.monotonic()
            deaths = [died for died in deaths if now - died < DEATHS_WINDOW] + [now]
            if len(deaths) == MOST_DEATHS:
                unused = False
                end(watcher)
                break
            server = child(serve)
        elif status == 0:
            unused = True
            end(server)
            break
        else:
            watcher = child(watch)

    for name in (socket_path, "pid"):
        Path(name).unlink(missing_ok=True)
    if unused and Path("private").exists():
        import shutil

        shutil.rmtree(directory, ignore_errors=True)
    os.close(lock)  # before ``users``, which ends with this process: who gets that one can be elected at once


def child(body: Callable[[], None]) -> int:
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


def end(pid: int) -> None:
    """Kill a child and wait for its end: an embedded server keeps nothing, so there is nothing to save."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def take_over(old_socket: str) -> int:
    """Hold ``server``, ending a server that outlived its supervisor; exit when it does not end in time."""
    lock = os.open("server", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit("an earlier server still runs here and does not answer")
            ask_to_end(old_socket)
            time.sleep(0.01)
        else:
            Path(old_socket).unlink(missing_ok=True)
            return lock


def ask_to_end(old_socket: str) -> None:
    """Send SHUTDOWN. By name, not by process id: that of a file may belong to somebody else by now."""
    import socket

    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(old_socket)
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        connection.recv(1)


def command(binary: str, directory: str, socket_path: str) -> list[str]:
    """Tell the command line of a server that listens on ``socket_path`` only and writes nothing but its log."""
    settings = {
        "port": "0",
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "daemonize": "no",
        "dir": directory,
        "logfile": f"{directory}/server.log",
        "dbfilename": "discarded.rdb",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    return [binary, *(word for name, value in settings.items() for word in (f"--{name}", value))]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4])
