"""Locks and claims between real processes: contended, killed, stopped, forked.

``REDIS_STATE_STRESS=20`` makes the longer ones twenty times as long.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from redis_state import Engine, Locks
from tests.support import lock_processes
from tests.support.lock_processes import NAMESPACE, events
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server, available, newest
from tests.support.workers import in_processes

STRESS = float(os.environ.get("REDIS_STATE_STRESS", "1"))
PROCESSES = 8
ROUNDS = 500
LEASE = 0.5
ATTACKS = 4  # between two looks at how long nothing goes on
PROGRAM = [sys.executable, lock_processes.__file__]


@pytest.fixture(scope="module", params=[*available()] if STRESS > 1 else [newest()])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


def start(what: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, what, *map(str, args)], stdout=subprocess.PIPE, text=True)


def output(what: str, *args: object) -> list[Any]:
    with start(what, *args) as process:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return [json.loads(line) for line in said.splitlines()]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


class Crowd:
    """Processes that are killed, stopped and replaced at random."""

    def __init__(self, begin: Callable[[], subprocess.Popen[str]], size: int) -> None:
        self._begin = begin
        self._dice = random.Random(7)
        self.alive = [begin() for _ in range(size)]
        self._stopped: list[tuple[float, subprocess.Popen[str]]] = []
        self.killed = self.stopped = 0

    def disturb(self, stop_for: float, holder: str = "") -> None:
        """Do one thing to one process: half of the time, to the one that holds the lock."""
        now = time.monotonic()
        for due, process in [*self._stopped]:
            if due <= now:
                process.send_signal(signal.SIGCONT)
                self._stopped.remove((due, process))
        going = self.going()
        holders = [process for process in going if str(process.pid) == holder]
        victim = self._dice.choice(holders or going) if self._dice.random() < 0.6 else self._dice.choice(going)
        if len(self._stopped) < 2 and self._dice.random() < (0.8 if victim in holders else 0.5):
            victim.send_signal(signal.SIGSTOP)
            self._stopped.append((now + stop_for, victim))
            self.stopped += 1
        else:
            self._end(victim)
            self.alive[self.alive.index(victim)] = self._begin()
            self.killed += 1

    def going(self) -> list[subprocess.Popen[str]]:
        """Return those that are not stopped."""
        return [process for process in self.alive if process not in [stopped for _, stopped in self._stopped]]

    def resume(self) -> None:
        for _, process in self._stopped:
            process.send_signal(signal.SIGCONT)
        self._stopped.clear()

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def close(self) -> None:
        for process in self.alive:
            self._end(process)


class Following:
    """Reads a log as it grows, each line once, so that to look often costs no processor that others need."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.ready: set[int] = set()  # processes that have begun to ask for the lock
        self.entered = 0.0  # when the lock was taken last, so far as processes told

    def look(self) -> Self:
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read().rpartition(b"\n")[0]
        for line in lines.splitlines():
            event = json.loads(line)
            if event["event"] == "ready":
                self.ready.add(event["pid"])
            if event["event"] == "enter":
                self.entered = max(self.entered, event["at"])
        self._read += len(lines) + bool(lines)
        return self


@contextmanager
def crowd(size: int, *args: object) -> Iterator[Crowd]:
    made = Crowd(lambda: start(str(args[0]), *args[1:]), size)
    try:
        yield made
    finally:
        made.close()


def never_two_at_a_time(seen: list[dict[str, Any]]) -> None:
    """Check that no two processes believed at the same instant that the lease is theirs."""
    spans = {event["fence"]: [event["at"], event["at"]] for event in seen if event["event"] == "enter"}
    for event in seen:
        if event["event"] == "leave":
            spans[event["fence"]][1] = event["at"]
    ordered = sorted(spans.items(), key=lambda item: item[1][0])
    assert [fence for fence, _ in ordered] == sorted(spans), "tokens grow in the order of holding"
    for (one, (_, left)), (other, (entered, _)) in pairwise(ordered):
        assert left < entered, f"{one} was still believed in when {other} was"


# --- contended ----------------------------------------------------------------------------------------------


def count_outside(url: str, prefix: str, rounds: int, file: str, log: str) -> None:
    """Add one to a number in a file, in a way that only a lock makes safe."""
    path = Path(file)
    with Engine.from_url(url, prefix=prefix) as engine, Path(log).open("a", buffering=1) as fences:
        lock = Locks(NAMESPACE, engine).lock("a")
        for _ in range(rounds):
            with lock as held:
                number = int(path.read_text())
                path.write_text(str(number + 1))
                fences.write(f"{held.fence}\n")


def test_8_processes_count_in_a_file_and_lose_nothing(server: Server, prefix: str, tmp_path: Path) -> None:
    file, log = tmp_path / "count", tmp_path / "fences"
    file.write_text("0")
    rounds = int(ROUNDS * STRESS)
    in_processes(count_outside, [(server.url, prefix, rounds, str(file), str(log))] * PROCESSES)
    assert int(file.read_text()) == PROCESSES * rounds
    fences = [int(line) for line in log.read_text().splitlines()]
    assert len(fences) == PROCESSES * rounds
    assert all(one < other for one, other in pairwise(fences))


def test_killed_and_stopped_holders_and_waiters_harm_nobody(
    server: Server, prefix: str, engine: Engine, tmp_path: Path, machine_lag: MachineLag
) -> None:
    """A dead holder costs the rest of its lease. So does a waiter that was given the lock as it died, and a stopped
    one, whose acquire lies in the server and is granted once. A process that only begins is no waiter yet: all that
    run wait before some are attacked, so a living one is always next.
    """
    log, stop = tmp_path / "log", tmp_path / "stop"
    log.touch()
    seen_so_far = Following(log)
    stalls = []  # (how long, and how long it may be for those that were dead or stopped)
    with crowd(PROCESSES, "work", server.url, prefix, log, stop, LEASE) as these:
        locks = Locks(NAMESPACE, engine)
        for _ in range(int(8 * STRESS)):
            until(lambda: seen_so_far.look().ready.issuperset(process.pid for process in these.going()), 60)
            gone = PROCESSES - len(these.going()) + ATTACKS
            for _ in range(ATTACKS):
                info = locks.inspect("a")
                these.disturb(LEASE * 2.5, info.container if info else "")
                time.sleep(0.05)
            calm = time.monotonic()
            until(lambda calm=calm: seen_so_far.look().entered >= calm)
            stalls.append((seen_so_far.entered - calm, LEASE * gone))
        these.resume()
        stop.touch()
        for process in these.alive:
            process.wait(30)
    seen = events(log)
    never_two_at_a_time(seen)
    writes = sorted((event["count"], event["fence"]) for event in seen if event["event"] == "write")
    assert [fence for _, fence in writes] == sorted(fence for _, fence in writes), "a stale write was accepted"
    stale = [event for event in seen if event["event"] == "stale"]
    assert all(event["fence"] < event["newest"] for event in stale)
    assert {event["fence"] for event in stale}.isdisjoint(fence for _, fence in writes)
    assert max(stall - allowed for stall, allowed in stalls) <= machine_lag.slack, stalls
    assert these.killed > 5 * STRESS
    assert these.stopped > 5 * STRESS
    assert stale, "no stopped holder came back with a write: nothing was shown"


@pytest.mark.parametrize("waiting", [2, 8, 32])
def test_a_contended_acquisition_takes_at_most_4_commands(
    server: Server, prefix: str, waiting: int, machine_lag: MachineLag
) -> None:
    (facts,) = output("contend", server.url, prefix, waiting + 1, int(400 * STRESS) // waiting, 0.002)
    assert facts["commands"] <= 4.0, facts
    assert facts["longest"] <= 4 * facts["fair"] + machine_lag.slack, facts


# --- killed in the same instant -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "stopped, then killed"])
def test_a_wake_up_given_to_a_killed_waiter_costs_a_second_at_most(
    server: Server, prefix: str, tmp_path: Path, how: str, machine_lag: MachineLag
) -> None:
    """Stopped, it is sure to be given the lock: its connection is still open, and its acquire lies in the server."""
    with Engine.from_url(server.url, prefix=prefix) as engine:
        locks = Locks(NAMESPACE, engine)
        for attempt in range(3):
            held = locks.lock("a").acquire(timeout=0)
            assert held is not None
            doomed = start("wait", server.url, prefix, tmp_path / f"doomed{attempt}")
            until(lambda: locks.list()[0].waiters == 1)
            patient = start("wait", server.url, prefix, log := tmp_path / f"patient{attempt}")
            until(lambda: locks.list()[0].waiters == 2)
            time.sleep(0.3)
            if how == "killed":
                held.release()
                released = time.monotonic()
                doomed.kill()
            else:
                doomed.send_signal(signal.SIGSTOP)
                held.release()
                released = time.monotonic()
                doomed.kill()
            until(lambda log=log: log.exists() and events(log))
            for process in (doomed, patient):
                process.kill()
                process.communicate()
            assert events(log)[0]["at"] - released <= 1.0 + machine_lag.slack
            with server.client() as client:
                client.flushall()


def test_a_forked_child_owns_nothing_of_its_parents(server: Server, prefix: str) -> None:
    child, parent = output("fork", server.url, prefix)
    why = "it is the parent process's, and a forked child owns nothing of it"
    assert child == {
        "lost": True,
        "remaining": 0.0,
        **dict.fromkeys(["check", "release", "renew", "finish", "fail", "update"], why),
        "own": True,
    }
    assert parent == {"record": {"status": "completed", "result": None}}


# --- claims -------------------------------------------------------------------------------------------------


def test_8_processes_claim_200_conversions_and_each_runs_once(server: Server, prefix: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = [start("claim", server.url, prefix, log, 200, 30.0) for _ in range(PROCESSES)]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    seen = events(log)
    ran = Counter(event["id"] for event in seen if event["event"] == "enter")
    assert ran == Counter({f"c{number}": 1 for number in range(200)})
    assert not [event for event in seen if event["event"] == "lost"]


def test_conversions_of_killed_takers_run_at_least_once_and_never_two_at_a_time(
    server: Server, prefix: str, tmp_path: Path
) -> None:
    log, ids = tmp_path / "log", int(150 * STRESS)
    with crowd(6, "claim", server.url, prefix, log, ids, LEASE) as these:
        until(lambda: log.exists() and len(events(log)) > 20)
        end = time.monotonic() + 4 * STRESS
        while time.monotonic() < end:
            these.disturb(LEASE * 2.5)
            time.sleep(0.1)
        these.resume()
        for process in these.alive:
            process.communicate(timeout=60)
            assert process.returncode == 0
    seen = [event for event in events(log) if "id" in event]
    assert {event["id"] for event in seen if event["event"] == "enter"} == {f"c{number}" for number in range(ids)}
    assert {event["id"] for event in seen if event["event"] == "done"} == {f"c{number}" for number in range(ids)}
    for name in {event["id"] for event in seen}:
        never_two_at_a_time([event for event in seen if event["id"] == name])
    assert these.killed > 3 * STRESS
