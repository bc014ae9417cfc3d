"""Which directory an embedded server may live in, where its socket is, and who listens there: no other user.

Each step of the path is looked at in turn, from the root on. What was found safe cannot be changed by others any
more, so the next step is looked at in peace. No link of another user is followed.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from redis_state.engine._supervisor import SOCKET
from redis_state.engine.foreign import suppressed
from redis_state.errors import ConfigError

if sys.platform != "win32":  # here, not where it is needed: a signal handler may interrupt an import, and need it too
    import grp
    import pwd

MOST_LINKS = 40  # as the kernel's
LONGEST_SOCKET_PATH = 103  # bytes: macOS has room for no more, and a server cuts off the rest in silence
PREFIX = "redis-state-"  # of directories that are ours from the beginning
OF_YOUR_OWN = "name a directory of your own, or use embedded:// alone"


def enter(path: Path, mark: str) -> tuple[Path, int]:
    """Make a directory, mode 0700, if it is missing; return its path without links, and a descriptor of it.

    ConfigError when others could change it, and when it holds anything without being marked as ours.
    """
    try:
        directory = real(path, make=True)
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise  # a private one, just removed
    except OSError as error:
        raise ConfigError(f"embedded://{path}: cannot be used: {error}; {OF_YOUR_OWN}") from error
    try:
        _check_own(directory, os.fstat(place))
        if not (_marked(place, mark) or not os.listdir(place) or _marked(place, mark)):
            raise ConfigError(
                f"embedded://{directory}: it holds files that no embedded server made; "
                "name a directory that is new or empty, or use embedded:// alone"
            )
    except BaseException:
        os.close(place)
        raise
    return directory, place


def is_still(directory: Path, place: int) -> bool:
    """Tell whether a path still leads to the directory that was entered; ConfigError when others could change it."""
    with suppress(FileNotFoundError):
        return is_own(directory) and os.path.samestat(directory.lstat(), os.fstat(place))
    return False


def is_own(directory: Path) -> bool:
    """Tell whether a path is that of a directory, by no link; ConfigError when others could change it."""
    _check_own(directory, directory.lstat())
    return real(directory) == directory


def short_home(longest: int) -> Path:
    """Find a safe place for a new directory with a socket in it; its path has ``longest`` bytes at most.

    Not ``$XDG_RUNTIME_DIR`` first: it is removed when its user logs out, also under programs that run on.
    """
    for home in (tempfile.gettempdir(), "/tmp", os.environ.get("XDG_RUNTIME_DIR", "")):
        with suppressed(ConfigError, OSError):
            found = real(Path(home))
            if home.startswith("/") and len(os.fsencode(found)) <= longest and os.access(found, os.W_OK | os.X_OK):
                return found
    raise ConfigError(f"embedded://: no safe directory for temporary files; set TMPDIR, or {OF_YOUR_OWN}")


def make_private() -> Path:
    """Make a directory with a name that no other user can know before."""
    longest = LONGEST_SOCKET_PATH - len(f"/{PREFIX}12345678/{SOCKET}")
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=short_home(longest)))


def find_socket(directory: Path, place: int) -> Path | None:
    """Tell where a server of this directory is reached: there, or where a link says if the path is too long."""
    path = directory / SOCKET
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    with suppressed(OSError, ConfigError):
        path = Path(os.readlink(SOCKET, dir_fd=place))
        return path if is_own(path.parent) else None
    return None


def choose_socket(directory: Path) -> Path:
    """Choose where a new server of a directory listens: there, or in a short place with a name that is new."""
    path = directory / SOCKET
    return path if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH else make_private() / "socket"


def real(path: Path, *, make: bool = False) -> Path:
    """Resolve a path, step by step; ConfigError at a step that others could replace. Missing steps are made, 0700."""
    root = os.lstat("/")
    trusted = (os.geteuid(), 0, root.st_uid)  # we, and those that can replace any directory whatever we do
    _check(path, "/", root, trusted)
    here, links = "", 0
    ahead = list(path.absolute().parts[:0:-1])
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.rpartition("/")[0]
            continue
        step = f"{here}/{name}"
        found = _make(step) if make else os.lstat(step)
        if not stat.S_ISLNK(found.st_mode):
            _check(path, step, found, trusted)
            here = step
            continue
        links += 1
        if found.st_uid not in trusted or links > MOST_LINKS:
            raise ConfigError(f"embedded://{path}: {step} is a link that user {found.st_uid} made; {OF_YOUR_OWN}")
        target = Path(os.readlink(step))
        here = "" if target.is_absolute() else here
        ahead += [part for part in reversed(target.parts) if part != target.anchor]
    return Path(here or "/")


def greet(socket_path: Path, within: float = 1.0) -> dict[str, str] | None:
    """Ask a server of ours who it is; None when it does not answer, or another user's process listens there."""
    with suppressed(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(max(0.001, min(within, 1.0)))
        connection.connect(str(socket_path))
        if not _same_user(connection):
            return None
        connection.sendall(b"PING\r\nINFO server\r\n")
        with connection.makefile("rb") as replies:
            if replies.readline() != b"+PONG\r\n":
                return None
            body = replies.read(int(replies.readline()[1:])).decode()
        return dict(line.split(":", 1) for line in body.splitlines() if ":" in line)
    return None


def _same_user(connection: socket.socket) -> bool:
    """Tell whether the process at the other end of a unix socket runs as our user; True where no system call tells."""
    if sys.platform == "darwin":
        sol_local, local_peercred = 0, 1  # a struct xucred: version, uid, groups
        uid = struct.unpack_from("=II", connection.getsockopt(sol_local, local_peercred, 76))[1]
    elif sys.platform == "linux":
        uid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    else:
        return True
    return bool(uid == os.geteuid())


def _make(step: str) -> os.stat_result:
    """Make a directory for us alone unless there is something; return what there is."""
    with suppress(FileNotFoundError):
        return os.lstat(step)
    with suppress(FileExistsError):
        os.mkdir(step, 0o700)
    return os.lstat(step)


def _check(path: Path, step: str, found: os.stat_result, trusted: tuple[int, ...]) -> None:
    """Raise ConfigError when others could put something else in the place of what a directory holds."""
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"embedded://{path}: {step} is not a directory; {OF_YOUR_OWN}")
    if found.st_uid not in trusted:
        raise ConfigError(f"embedded://{path}: {step} belongs to user {found.st_uid}; {OF_YOUR_OWN}")
    if _others_write(found) and not found.st_mode & stat.S_ISVTX:
        raise ConfigError(f"embedded://{path}: others may write to {step}; chmod go-w {step}, or {OF_YOUR_OWN}")


def _check_own(directory: Path, found: os.stat_result) -> None:
    """Raise ConfigError when others own a directory or may make files in it."""
    if directory == Path("/"):
        raise ConfigError(f"embedded:///: that is the directory of all directories; {OF_YOUR_OWN}")
    if found.st_uid != os.geteuid() or _others_write(found):
        raise ConfigError(f"embedded://{directory}: others own it or may write to it; {OF_YOUR_OWN}")


def _others_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWGRP and not _alone_in(found.st_gid):
        return True
    return bool(found.st_mode & stat.S_IWOTH)


def _alone_in(gid: int) -> bool:
    """Tell whether a group is the one that many systems make for each user, with that user alone in it."""
    with suppress(KeyError):
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
        return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return False


def _marked(place: int, mark: str) -> bool:
    """Tell whether an embedded server made files here: they stand beside an empty file of a name that is ours alone."""
    with suppress(FileNotFoundError):
        found = os.stat(mark, dir_fd=place, follow_symlinks=False)
        return stat.S_ISREG(found.st_mode) and found.st_size == 0
    return False
