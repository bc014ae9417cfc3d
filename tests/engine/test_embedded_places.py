"""Where an embedded server may live, what it leaves there, and whom it talks to: nothing of yours is ever lost."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import redis

from redis_state import Engine
from redis_state.engine import _place, _supervisor, embedded
from redis_state.errors import ConfigError, ServerUnavailable
from tests.support import servers
from tests.support.waits import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(embedded.__file__).parents[2]
PATIENCE = 15.0
OTHER = 65534  # the user id of another user
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that belongs to another user")

OURS = [value for name, value in vars(_supervisor).items() if name.isupper() and str(value).startswith("redis-state.")]
COMMON = ["private", "pid", "socket", "server", "server.log", "users", "supervisor", "log", "lock", "data", "db", "src"]
COMMON += [
    "dump.rdb",
    "discarded.rdb",
    "appendonly.aof",
    "appendonlydir",
    "redis.conf",
    ".git",
    ".gitkeep",
    "README.md",
]


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory of our own with a short path."""
    with tempfile.TemporaryDirectory(prefix="rs-places-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def _default_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_STATE_SERVER", raising=False)


def everything(directory: Path) -> dict[str, tuple[os.stat_result, bytes]]:
    """All that can be known of a directory and what is in it, but when it was read."""
    found = {}
    for path in (directory, *directory.rglob("*")):
        info = os.stat_result((*path.lstat()[:7], 0, *path.lstat()[8:10]))
        found[str(path)] = (info, path.read_bytes() if path.is_file() else b"")
    return found


def processes_of(directory: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and str(directory) in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def put(directory: Path, name: str, kind: str) -> None:
    if kind == "folder":
        (directory / name).mkdir(parents=True)
        (directory / name / "diary").write_text("mine")
    else:
        directory.mkdir(exist_ok=True)
        (directory / name).write_text("mine")


# --- what is there stays there ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", [*COMMON, *OURS])
def test_a_directory_with_anything_in_it_is_refused_and_left_alone(parent: Path, name: str, kind: str) -> None:
    directory = parent / "home"
    put(directory, name, kind)
    before = everything(directory)
    with pytest.raises(ConfigError, match="new or empty"):
        embedded.start(directory)
    assert everything(directory) == before


def test_all_of_them_together_and_through_an_engine(parent: Path) -> None:
    for number, name in enumerate([*COMMON, *OURS]):
        put(parent / "home", name, ("file", "folder")[number % 2])
    before = everything(parent / "home")
    with pytest.raises(ConfigError, match="new or empty"), Engine.from_url(f"embedded://{parent}/home") as engine:
        engine.run(embedded_ping())
    assert everything(parent / "home") == before


def embedded_ping() -> object:
    from redis_state.engine.op import command

    return command(None, "PING", read=bool)


def test_the_root_directory_is_refused() -> None:
    before = sorted(os.listdir("/"))
    for name in ("/", "//", "/tmp/.."):
        with pytest.raises(ConfigError, match="a directory of your own"):
            embedded.start(name)
    assert sorted(os.listdir("/")) == before


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("made", [False, True])
def test_afterwards_there_is_only_what_was_there_before(parent: Path, long: bool, made: bool) -> None:
    directory = parent / ("home" * (40 if long else 1))
    if made:
        directory.mkdir(0o755)
    temporary = set(os.listdir("/tmp"))
    with embedded.start(directory) as server:
        near = Path(server.socket_path).parent
        assert set(os.listdir(directory)) <= set(OURS)
        assert long == (near != directory)
    eventually(lambda: not os.listdir(directory), "all files of the server are gone")
    assert not long or not near.exists()
    assert stat.S_IMODE(directory.stat().st_mode) == (0o755 if made else 0o700)
    assert not {name for name in set(os.listdir("/tmp")) - temporary if name == near.name}


def test_what_was_put_beside_its_files_stays_also_when_all_users_were_killed(parent: Path) -> None:
    directory = parent / "home"
    program = """
import sys; from redis_state.engine import embedded
server = embedded.start(sys.argv[1]); print(flush=True); sys.stdin.read()"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", program, str(directory)], env=environ, stdin=pipe, stdout=pipe
    ) as user:
        assert user.stdout is not None
        user.stdout.readline()
        for name in ("private", "server.log"):
            put(directory, name, "folder")
        with embedded.start(directory) as second:
            assert ask(second, "PING")
        user.kill()
    eventually(lambda: not set(os.listdir(directory)) & set(OURS), "the files of the server are gone")
    assert {name: (directory / name / "diary").read_text() for name in os.listdir(directory)} == {
        "private": "mine",
        "server.log": "mine",
    }


def test_a_private_directory_with_a_file_of_yours_in_it_stays() -> None:
    with embedded.start() as server:
        directory = Path(server.directory)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "mine").write_text("mine")
    try:
        eventually(lambda: os.listdir(directory) == ["mine"], "the files of the server are gone")
        time.sleep(0.2)
        assert (directory / "mine").read_text() == "mine"
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("kind", [*servers.available()])
def test_a_client_that_saves_leaves_no_file(monkeypatch: pytest.MonkeyPatch, parent: Path, kind: str) -> None:
    monkeypatch.setenv("REDIS_STATE_SERVER", str(servers.available()[kind].path))
    with embedded.start(parent / "home") as server:
        ask(server, "SET", "key", "value")
        for words in (["SAVE"], ["BGSAVE"], ["BGREWRITEAOF"], ["CONFIG", "SET", "appendonly", "yes"]):
            with contextlib.suppress(redis.ResponseError):
                ask(server, *words)
        assert ask(server, "GET", "key") == "value"
        assert ask(server, "SET", "key", "value")
        assert set(os.listdir(parent / "home")) <= set(OURS)
    eventually(lambda: not os.listdir(parent / "home"), "all files of the server are gone")


def test_files_are_for_their_user_alone_whatever_the_umask(parent: Path) -> None:
    before = os.umask(0)
    try:
        with embedded.start(parent / "a" / "b" / "c") as server:
            found = [parent / "a", parent / "a" / "b", *Path(server.directory).iterdir(), Path(server.directory)]
            assert [path for path in found if path.lstat().st_mode & 0o077] == []
    finally:
        os.umask(before)


def test_the_engine_removes_no_tree() -> None:
    for source in Path(embedded.__file__).parent.glob("*.py"):
        assert "rmtree" not in source.read_text(encoding="utf-8"), source


# --- no other user can take its place ---------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777])
def test_a_directory_that_others_could_write_to_is_refused(parent: Path, mode: int) -> None:
    directory = parent / "home"
    directory.mkdir()
    directory.chmod(mode)
    os.chown(directory, -1, _foreign_group())
    with pytest.raises(ConfigError, match="a directory of your own"):
        embedded.start(directory)
    assert os.listdir(directory) == []


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_parent_that_others_could_write_to_is_refused_unless_it_is_sticky(parent: Path, mode: int) -> None:
    team = parent / "team"
    team.mkdir()
    os.chown(team, -1, _foreign_group())
    team.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod go-w {team}"):
        embedded.start(team / "new" / "app")
    assert os.listdir(team) == []
    team.chmod(mode | 0o1000)
    embedded.start(team / "new" / "app").close()


def test_the_group_that_many_systems_make_for_each_user_is_no_other(parent: Path) -> None:
    """There, what a user makes is often 0775, and the group holds that user alone."""
    own = grp.getgrgid(os.getgid())
    if own.gr_name != pwd.getpwuid(os.geteuid()).pw_name or own.gr_mem:
        pytest.skip("our group is not ours alone")
    directory = parent / "project" / "home"
    directory.mkdir(parents=True)
    for path in (directory.parent, directory):
        os.chown(path, -1, own.gr_gid)
        path.chmod(0o775)
    embedded.start(directory).close()


def _foreign_group() -> int:
    """A group that we may give a directory to, and that is not ours alone."""
    found = [group for group in [OTHER, *os.getgroups()] if not _place._alone_in(group)]
    if os.geteuid() and OTHER in found:
        found.remove(OTHER)
    return found[0] if found else -1


@AS_ROOT
def test_a_link_of_another_user_is_refused_and_one_of_ours_is_followed(parent: Path) -> None:
    parent.chmod(0o1777)
    target = parent / "target"
    target.mkdir()
    for link in (parent / "link", parent / "chain"):
        link.symlink_to(target)
    (parent / "chain").unlink()
    (parent / "chain").symlink_to("link")
    with embedded.start(parent / "chain" / ".." / "link") as server:
        assert server.directory == str(target)
    eventually(lambda: not os.listdir(target), "all files of the server are gone")
    os.chown(parent / "link", OTHER, OTHER, follow_symlinks=False)
    for name in ("link", "link/below", "chain", "chain/below"):
        with pytest.raises(ConfigError, match=f"{parent}/link is a link that user {OTHER} made"):
            embedded.start(parent / name)
    assert os.listdir(target) == []


def test_links_without_end_are_refused(parent: Path) -> None:
    (parent / "a").symlink_to("b")
    (parent / "b").symlink_to("a")
    with pytest.raises(ConfigError, match="a directory of your own"):
        embedded.start(parent / "a")


@AS_ROOT
def test_a_step_of_another_user_is_refused(parent: Path) -> None:
    for name in ("theirs", "theirs/app"):
        (parent / name).mkdir()
    os.chown(parent / "theirs", OTHER, OTHER)
    with pytest.raises(ConfigError, match=f"{parent}/theirs belongs to user {OTHER}"):
        embedded.start(parent / "theirs" / "app")
    with pytest.raises(ConfigError, match="a directory of your own"):
        embedded.start(parent / "theirs")
    assert list(everything(parent)) == [str(parent / name) for name in ("", "theirs", "theirs/app")]


def test_a_file_in_the_place_of_the_directory_or_of_a_parent_is_refused(parent: Path) -> None:
    (parent / "file").write_text("mine")
    for name in ("file", "file/below"):
        with pytest.raises(ConfigError, match=f"{parent}/file is not a directory"):
            embedded.start(parent / name)
    assert (parent / "file").read_text() == "mine"


def test_a_directory_that_is_replaced_while_it_is_in_use_is_not_trusted(parent: Path) -> None:
    directory = parent / "home"
    with embedded.start(directory) as server:
        directory.rename(parent / "moved")
        with pytest.raises(ServerUnavailable, match="removed or replaced"):
            server.ensure()
        directory.mkdir()
        with pytest.raises(ServerUnavailable, match="start anew"):
            server.ensure()
        with embedded.start(directory) as another:
            assert another.pid != psutil.Process(int((parent / "moved" / _supervisor.PID).read_text())).pid
            directory.chmod(0o777)
            with pytest.raises(ConfigError):
                another.ensure()
            directory.chmod(0o700)
            another.ensure()
    eventually(lambda: not os.listdir(directory), "the files of the second server are gone")
    eventually(lambda: not os.listdir(parent / "moved"), "the files of the first server are gone")


@AS_ROOT
def test_a_process_of_another_user_hears_nothing(parent: Path) -> None:
    program = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    os.setuid(int(sys.argv[2]))
    listener.listen()  # the system remembers who said this
    print("listening", flush=True)
    print(listener.accept()[0].recv(100), flush=True)
"""
    path = parent / "socket"
    words = [sys.executable, "-c", program, str(path), str(OTHER)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "listening\n"
            assert _place.greet(path) is None
            assert other.stdout.readline() == "b''\n"
        finally:
            other.kill()


def test_temporary_directories_that_are_not_safe_are_passed_over(monkeypatch: pytest.MonkeyPatch, parent: Path) -> None:
    shared = parent / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    with embedded.start() as server, embedded.start(parent / ("long" * 40)) as other:
        assert Path(server.directory).parent == Path("/tmp").resolve()
        assert Path(other.socket_path).parents[1] == Path("/tmp").resolve()
        assert ask(other, "PING")
    assert os.listdir(shared) == []


# --- a long path ------------------------------------------------------------------------------------


def test_processes_agree_on_the_socket_of_a_directory_with_a_long_path(parent: Path) -> None:
    long = parent / ("long" * 30)
    program = """
import sys; from redis_state.engine import embedded
with embedded.start(sys.argv[1]) as server: print(server.pid, server.socket_path)"""
    with embedded.start(long) as server:
        assert len(os.fsencode(server.socket_path)) <= _place.LONGEST_SOCKET_PATH
        assert stat.S_IMODE(Path(server.socket_path).parent.stat().st_mode) == 0o700
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(parent), "XDG_RUNTIME_DIR": str(parent)}
        words = [sys.executable, "-c", program, str(long)]
        said = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        assert said.split() == [str(server.pid), server.socket_path]
        assert ask(server, "PING")
        path, first = server.socket_path, psutil.Process(server.pid)
        for process in (first.parent(), first):
            assert process is not None
            process.kill()
        eventually(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE, "the server is dead")
        server.ensure()
        assert server.socket_path == path, "clients that know it find the next server"
        assert ask(server, "PING")
    eventually(lambda: not Path(path).parent.exists(), "the place of the socket is removed")


@pytest.mark.parametrize("length", range(100, 107))
def test_a_path_is_long_where_a_socket_does_not_fit(parent: Path, length: int) -> None:
    directory = parent / ("x" * (length - len(f"{parent}//{_supervisor.SOCKET}")))
    with embedded.start(directory) as server:
        assert (server.socket_path == f"{directory}/{_supervisor.SOCKET}") == (length <= _place.LONGEST_SOCKET_PATH)
        assert ask(server, "PING")


# --- interrupted ------------------------------------------------------------------------------------


def test_an_interrupted_start_leaves_nothing(parent: Path) -> None:
    program = """
import random, signal, sys
from redis_state.engine import embedded
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = 0
for n in range(60):  # each in a directory of its own, so each has a server to start
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + random.random() * (0.006 if n % 2 else 0.08))
            server = embedded.start(f"{sys.argv[1]}/{n}")
            signal.setitimer(signal.ITIMER_REAL, 0.00001 + random.random() * 0.003)
            server.close()
        finally:  # an alarm may come here, too
            signal.setitimer(signal.ITIMER_REAL, 0)
            server = None
    except KeyboardInterrupt:
        interrupted += 1
server = None
print(interrupted, flush=True)
sys.stdin.readline()
"""

    def left() -> list[Path]:
        return [file for place in (parent / "home").iterdir() for file in place.iterdir()]

    words = [sys.executable, "-c", program, str(parent / "home")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environ, stdin=pipe, stdout=pipe, text=True) as user:
        assert user.stdout is not None
        assert int(user.stdout.readline()) >= 20
        eventually(lambda: processes_of(parent / "home") == [user.pid] and not left(), f"nothing is left of {left()}")
        user.communicate("\n", PATIENCE)


def test_a_use_that_is_dropped_is_given_back(parent: Path) -> None:
    kept = embedded.start(parent / "home")
    embedded.start(parent / "home")
    assert kept.pid, "the other use goes on"
    del kept
    eventually(lambda: not os.listdir(parent / "home"), "all files of the server are gone")


def test_a_signal_handler_may_start_and_close_while_the_program_does(parent: Path) -> None:
    program = """
import os, signal, sys
from redis_state.engine import embedded
used = served = 0
def handler(*_):
    global used, served
    try:
        with embedded.start(sys.argv[1]) as server:
            server.ensure()
        served += 1
    except embedded.ServerUnavailable as error:
        assert "interrupted" in str(error), error
    used += 1
signal.signal(signal.SIGALRM, handler)
for n in range(12):
    signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.008 * n)
    with embedded.start(sys.argv[1]) as server:
        server.ensure()
        while used <= n:
            pass
        server.ensure()
print(served, used)
"""
    words = [sys.executable, "-c", program, str(parent / "home")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    served, used = map(int, said.split())
    assert used == 12
    assert served > 6, "only while a process is being started, it cannot be done"
    eventually(lambda: not os.listdir(parent / "home"), "all files of the server are gone")


def test_what_interrupts_the_very_start_of_a_supervisor_is_told_so_at_once(parent: Path) -> None:
    """As a finalizer would: in the midst of the call that starts the process, when nothing can be started."""
    program = """
import sys, time
from redis_state.engine import embedded
told = []
def hook(event, _):
    if event == "subprocess.Popen" and not told:
        told.append("")
        began = time.monotonic()
        try:
            embedded.start(sys.argv[1])
        except embedded.ServerUnavailable as error:
            told[0] = str(error)
        told.append(time.monotonic() - began)
sys.addaudithook(hook)
with embedded.start(sys.argv[1]) as server:
    server.ensure()
print(told[1])
print(told[0])
"""
    words = [sys.executable, "-c", program, str(parent / "home")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    seconds, error = said.split("\n", 1)
    assert "interrupted" in error
    assert float(seconds) < embedded.READY_SECONDS / 2
    eventually(lambda: not os.listdir(parent / "home"), "all files of the server are gone")


def ask(server: embedded.Embedded, *request: str) -> object:
    with redis.Redis(unix_socket_path=server.socket_path, decode_responses=True, protocol=2) as client:
        return client.execute_command(*request)
