"""Behind one address the server may change at any time; callers see latency, and no errors."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, Op, OutcomeUnknown, RecordMapping, ServerRefused, ServerUnavailable
from redis_state.engine.registry import all_scripts
from redis_state.state import RedisProgressState
from tests.support.machine_lag import MachineLag
from tests.support.proxy import Proxy
from tests.support.servers import Server, available
from tests.support.workers import in_processes

PROCESSES = 8
FLAVOURS = [*available()]


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


def mapping(engine: Engine) -> RecordMapping:
    return RecordMapping("changes", ttl=60, engine=engine, container_id="c1")


def load(url: str, me: int, stop: str) -> tuple[int, int]:
    """Add, singly and in batches, until a file appears. Return how many additions, and how many scripts were healed."""
    with Engine.from_url(url, deadline=20.0) as engine:
        m = mapping(engine)
        added = 0
        while not Path(stop).exists():
            m.increment(f"single-{me}", "n")
            engine.run_all([m.entries.increment(f"batch-{me}", "n") for _ in range(20)])
            added += 21
        return added, engine.status().scripts_healed


def under_load(server: Server, tmp_path: Path, disturb: Any, seconds: float = 4.0) -> list[tuple[int, int]]:
    """Run 8 processes against the server while it is disturbed again and again."""
    stop = tmp_path / "stop"

    def disturber() -> None:
        with Engine.from_url(server.url) as engine:
            m, patience = mapping(engine), time.monotonic() + 60
            while len(m) < 2 * PROCESSES and time.monotonic() < patience:  # all are at work
                time.sleep(0.05)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            disturb()
        stop.touch()

    thread = threading.Thread(target=disturber)
    thread.start()
    try:
        return in_processes(load, [(server.url, n, str(stop)) for n in range(PROCESSES)])
    finally:
        thread.join()


def counted(server: Server) -> int:
    with Engine.from_url(server.url) as engine:
        m = mapping(engine)
        return sum(int(entry["n"]) for entry in m.values())


def test_nobody_sees_that_the_scripts_are_flushed(server: Server, tmp_path: Path) -> None:
    with server.client() as admin:

        def flush() -> None:
            admin.script_flush()
            time.sleep(0.01)

        done = under_load(server, tmp_path, flush)
        assert counted(server) == sum(added for added, _ in done)
        assert sum(healed for _, healed in done) > 100


def test_nobody_sees_that_the_server_restarts(tmp_path: Path) -> None:
    with Server(appendonly=True, appendfsync="always") as server:

        def restart() -> None:
            server.kill()
            server.restart(keep_data=True)
            time.sleep(0.6)

        done = under_load(server, tmp_path, restart)
        assert counted(server) == sum(added for added, _ in done)


def test_a_promoted_replica_without_our_scripts_serves_the_next_call(server: Server) -> None:
    with (
        Server(server.binary, tcp=True) as primary,
        Server(server.binary, tcp=True) as replica,
        Proxy(primary.socket_path) as proxy,
        Engine.from_url(proxy.url) as engine,
    ):
        m = mapping(engine)
        assert m.increment("k", "n") == 1
        replica.replica_of(primary)
        with primary.client() as client:
            assert client.wait(1, 5000) == 1
        primary.kill()
        with replica.client() as client:
            client.script_flush()
        replica.promote()
        proxy.upstream = replica.socket_path
        proxy.reset_all()
        assert m.increment("k", "n") == 2
        assert engine.run_all([m.entries.increment("k", "n")] * 3) == [3, 4, 5]


def test_a_replica_is_not_written_to_and_the_call_waits_for_its_promotion(server: Server) -> None:
    with (
        Server(server.binary, tcp=True) as primary,
        Server(server.binary, tcp=True) as replica,
        Engine.from_url(replica.url, deadline=10.0) as engine,
    ):
        replica.replica_of(primary)
        promoter = threading.Timer(0.5, replica.promote)
        promoter.start()
        assert mapping(engine).increment("k", "n") == 1
        promoter.join()


def test_600_scripts_of_others_do_not_push_ours_out(server: Server) -> None:
    with Engine.from_url(server.url) as engine, server.client() as other:
        m = mapping(engine)
        m.increment("k", "n")
        with server.client() as admin:
            admin.script_flush()
        m.increment("k", "n")  # healed: loaded, not only evaluated
        for n in range(600):
            other.eval(f"return {n}", 0)
        healed = engine.status().scripts_healed
        m.increment("k", "n")
        assert engine.status().scripts_healed == healed


def test_a_fresh_connection_loads_the_scripts_of_its_first_batch(server: Server) -> None:
    with Engine.from_url(server.url) as engine:
        m = mapping(engine)
        batch: list[Op[Any]] = [m.entries.put("a", {"n": 1}), m.entries.patch("a", {"x": 2}), m.entries.touch("a")]
        engine.run_all(batch)
        assert engine.status().scripts_healed == 0
        assert engine.status().scripts_loaded == 3


def test_a_batch_runs_in_order_though_the_server_never_saw_its_first_script(server: Server) -> None:
    with Engine.from_url(server.url) as engine, server.client() as other:
        m = mapping(engine)
        m["a"] = {"n": 1}
        other.script_flush()
        m.increment("a", "n")  # so this script is there, over this connection, and the first of the batch is not
        batch: list[Op[Any]] = [m.entries.patch("a", {"n": 10}), m.entries.increment("a", "n")]
        engine.run_all(batch)
        assert m["a"]["n"] == 11


def test_a_call_ends_by_its_deadline_whatever_the_server_does(server: Server, machine_lag: MachineLag) -> None:
    with Engine.from_url(server.url, deadline=0.6, socket_timeout=0.2) as engine:
        m = mapping(engine)
        m["k"] = {"n": 1}
        server.pause()
        try:
            begun = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                m.increment("k", "n")
            with pytest.raises(ServerUnavailable):
                m.get("k")
            assert time.monotonic() - begun < 2 * (0.6 + 0.2) + machine_lag.slack
        finally:
            server.resume()
        assert m.increment("k", "n", 0) in (1, 2)


def test_a_restart_inside_the_deadline_is_only_latency(server: Server) -> None:
    with Engine.from_url(server.url) as engine:
        m = mapping(engine)
        m["k"] = {"n": 1}
        server.stop()
        starter = threading.Timer(0.3, server.restart)
        starter.start()
        m["k"] = {"n": 2}
        assert m["k"] == {"n": 2}
        starter.join()


def test_no_server_is_one_clear_line() -> None:
    with Engine.from_url("redis://127.0.0.1:1", deadline=0.2) as engine, pytest.raises(ServerUnavailable) as error:
        mapping(engine).get("k")
    assert "no answer from a server at 127.0.0.1:1" in str(error.value)
    assert "set REDIS_URL (embedded:// needs none)" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("unix://:wrong@{path}", "does not accept this user name and password"),
        ("unix://nobody:wrong@{path}", "does not accept this user name and password"),
        ("unix://{path}", "asks for a password; set REDIS_PASSWORD"),
        ("unix://:secret@{path}?db=99", "has no such database"),
    ],
)
def test_a_server_that_refuses_us_is_one_clear_line_at_once(
    server: Server, url: str, line: str, machine_lag: MachineLag
) -> None:
    with server.client() as admin:
        admin.config_set("requirepass", "secret")
    begun = time.monotonic()
    with (
        Engine.from_url(url.format(path=server.socket_path), deadline=30.0) as engine,
        pytest.raises(ValueError, match=line) as error,
    ):
        mapping(engine).get("k")
    assert "\n" not in str(error.value)
    assert "wrong" not in str(error.value).replace("WRONGPASS", "")
    assert time.monotonic() - begun < 10 + machine_lag.slack


def test_a_password_lets_us_in(server: Server) -> None:
    with server.client() as admin:
        admin.config_set("requirepass", "s cret/@:")
    with Engine.from_url(f"unix://:s%20cret%2F%40%3A@{server.socket_path}?db=3") as engine:
        assert mapping(engine).increment("k", "n") == 1


def test_a_server_that_is_too_old_is_one_clear_line(server: Server) -> None:
    with (
        Server(server.binary, rename_command='GETEX ""') as old,
        Engine.from_url(old.url) as engine,
        pytest.raises(ValueError, match=r"is too old: it lacks GETEX: Redis 6.2 or later"),
    ):
        mapping(engine).get("k")


def test_a_forked_child_has_connections_and_callers_of_its_own(server: Server) -> None:
    with Engine.from_url(server.url) as engine:
        m = mapping(engine)
        m["k"] = {"n": 0}
        callers = {caller.id for caller in engine._callers}
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for _ in range(200):
                    m.increment("k", "n")
                mine = {caller.id for caller in engine._callers}
                apart = mine and not mine & callers and engine.status().connections == 1  # one that it has made
                os.write(writer, b"fine" if apart else b"shared")
            finally:
                os._exit(0)
        for _ in range(200):
            m.increment("k", "n")
        os.waitpid(child, 0)
        assert os.read(reader, 10) == b"fine"
        os.close(reader)
        os.close(writer)
        assert m["k"] == {"n": 400}


def test_a_fork_amid_calls_of_other_threads_works(server: Server) -> None:
    with Engine.from_url(server.url) as engine:
        m = mapping(engine)
        done = threading.Event()

        def busy() -> None:
            while not done.is_set():
                m.increment("k", "n")

        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    os._exit(0 if m.increment("child", "n") > 0 else 1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert m["child"] == {"n": 10}


def test_asyncio_heals_and_retries_like_threads_do(server: Server) -> None:
    async def work(url: str, proxy: Proxy) -> None:
        async with AsyncEngine.from_url(url, deadline=10.0, max_connections=8) as engine:
            entries = mapping(Engine.from_url(url)).entries
            proxy.drop_replies(0.05, seed=9)
            with server.client() as admin:
                for _ in range(5):
                    admin.script_flush()
                    await asyncio.gather(*[engine.run(entries.increment("k", "n")) for _ in range(100)])
            increments: list[Op[Any]] = [entries.increment("k", "n")] * 100
            answers = await engine.run_all(increments)
            assert sorted(answers) == list(range(501, 601))
            assert engine.status().connections <= 8
            assert engine.status().scripts_healed > 0

    with Proxy(server.socket_path) as proxy:
        asyncio.run(work(proxy.url, proxy))


def test_asyncio_learns_what_became_of_an_unknown_outcome(server: Server) -> None:
    async def work(url: str, proxy: Proxy) -> None:
        async with AsyncEngine.from_url(url, deadline=0.4, socket_timeout=0.1) as engine:
            entries = mapping(Engine.from_url(url)).entries
            assert await engine.run(entries.increment("k", "n")) == 1
            proxy.blackhole(only=("EVALSHA", "EVAL"))
            with pytest.raises(OutcomeUnknown) as unknown:
                await engine.run(entries.increment("k", "n"))
            proxy.blackhole(False)
            assert await engine.resolve(unknown.value) == 2

    with Proxy(server.socket_path) as proxy:
        asyncio.run(work(proxy.url, proxy))


def test_a_cancelled_call_gives_its_place_back(server: Server) -> None:
    async def work(url: str, proxy: Proxy) -> None:
        async with AsyncEngine.from_url(url, deadline=10.0, socket_timeout=5.0, max_connections=1) as engine:
            entries = mapping(Engine.from_url(url)).entries
            await engine.run(entries.increment("k", "n"))
            proxy.blackhole(only=("EVALSHA",))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await engine.run(entries.increment("k", "n"))
            proxy.blackhole(False)
            added: Op[Any] = entries.increment("k", "n", 10)
            assert await engine.run(added) in (11, 12)

    with Proxy(server.socket_path) as proxy:
        asyncio.run(work(proxy.url, proxy))


def test_all_scripts_are_known_to_the_server_after_use(server: Server) -> None:
    with server.client() as admin:
        shas = [admin.script_load(found.text) for found in all_scripts()]
    assert shas == [found.sha for found in all_scripts()]


def test_a_user_without_dangerous_commands_can_do_everything(server: Server) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~rs:*", "+@all", "-@dangerous")
    with Engine.from_url(f"unix://app:secret@{server.socket_path}") as engine:
        m = mapping(engine)
        m["k"] = {"n": 1}
        m["k"]["n"] += 1
        assert m.copy() == {"k": {"n": 2}}
        progress = RedisProgressState(engine=engine)
        progress.begin("t", 1)
        assert progress.mark("t", 0).completed_now
        assert [seen.status for seen in progress.watch("t")] == ["completed"]
        m.clear()


def test_a_user_who_may_not_is_told_so(server: Server) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~other:*", "+@all")
    with (
        Engine.from_url(f"unix://app:secret@{server.socket_path}") as engine,
        pytest.raises(ServerRefused, match="record/put: .* refused: .*(NOPERM|permissions)"),
    ):
        mapping(engine)["k"] = {"n": 1}


class Drip:
    """Stand between one client and a server; once told to, pass replies on a byte at a time."""

    def __init__(self, server: Server, pause: float) -> None:
        self._upstream = str(server.socket_path)
        self._pause = pause
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        self.dripping = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._upstream)
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(65536):
                for at in range(len(data)) if replies and self.dripping.is_set() else ():
                    target.sendall(data[at : at + 1])
                    time.sleep(self._pause)
                if not (replies and self.dripping.is_set()):
                    target.sendall(data)

    def close(self) -> None:
        self._listening.close()


def test_a_reply_that_drips_takes_no_longer_than_one_that_is_late(server: Server) -> None:
    drip = Drip(server, pause=0.05)
    try:
        with Engine.from_url(drip.url, deadline=0.5, socket_timeout=0.4) as engine, MachineLag() as machine_lag:
            m = mapping(engine)
            m["k"] = {"text": "x" * 100}  # 10 s at this rate
            drip.dripping.set()
            began = time.monotonic()
            with pytest.raises(ServerUnavailable):
                m["k"]
            took = time.monotonic() - began
        assert took < 0.5 + 1.1 * 0.4 + machine_lag.slack
    finally:
        drip.close()
