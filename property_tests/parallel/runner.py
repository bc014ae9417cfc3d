"""The workers, the server and what stands between them: runs a program, and returns its history."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from multiprocessing import connection
from multiprocessing.connection import Connection
from time import monotonic
from types import TracebackType
from typing import Self

from property_tests.parallel.clients import Client
from property_tests.parallel.generator import Program, Step
from property_tests.parallel.history import History
from property_tests.parallel.nemesis import Nemesis
from property_tests.parallel.worker import Open, Play, Told
from tests.support import ROOT
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

PATIENCE = 60.0  # seconds for a program
HEAD_START = 0.002  # seconds for all workers to hear of the start
CALM = {"deadline": 30.0, "socket_timeout": 30.0}  # so that nothing is sent twice, however busy the machine is
STEADY = {"deadline": 30.0, "socket_timeout": 0.1}
QUICK = {"deadline": 0.2, "socket_timeout": 0.1}  # where no answer comes


class Worker:
    """One of the processes, and its line to us."""

    def __init__(self, forkserver: str) -> None:
        self.line: Connection = connection.Client(forkserver, "AF_UNIX")
        self.pid: int = self.line.recv()
        self.name = ""
        self.left: tuple[Step, ...] = ()  # what it has not begun

    def open(self, order: Open) -> Self:
        """Tell it to get ready."""
        self.name = order.name
        self.line.send(order)
        return self

    def ready(self) -> None:
        """Wait until it is."""
        assert self.line.poll(PATIENCE), f"worker {self.name} is not ready"
        self.line.recv()

    def play(self, steps: tuple[Step, ...], at: float = 0.0) -> None:
        self.left = steps
        self.line.send(Play(steps, at))

    def end(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)
        self.line.close()


class Runner:
    """Four workers at most, a server that keeps its data, and a proxy."""

    def __init__(self, kind: str) -> None:
        self.server = Server(available()[kind], appendonly=True, appendfsync="no").start()
        self.proxy = Proxy(self.server.url)
        self._directory = tempfile.TemporaryDirectory(prefix="rs-runner-", dir="/tmp")
        self._forkserver = f"{self._directory.name}/forkserver"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "property_tests.parallel.forkserver", self._forkserver],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n", "no workers"
        self._direct = self.server.client()
        self._idle: list[Worker] = []
        self._numbers = count(1)

    def run(self, program: Program, client: type[Client]) -> History:
        """Run a program once, on data of its own; return what was seen."""
        self._direct.flushall()
        history = History(client, copies=not program.harmless)
        nemesis = Nemesis(program, self.server, self.proxy, history)
        patience = CALM if program.harmless else QUICK if program.has("mute") else STEADY
        settings = {"prefix": f"p{next(self._numbers)}", **patience}
        url = self.server.url if program.harmless else self.proxy.url

        def opened(name: str, url: str = url) -> Worker:
            worker = self._idle.pop() if self._idle else Worker(self._forkserver)
            insists = name != "0"  # one of them takes no answer for none
            return worker.open(Open(client, name, url, self.server.url, settings, insists))

        last = opened("last", self.server.url)
        workers = [opened(str(place)) for place in range(len(program.branches))]
        for worker in (last, *workers):
            worker.ready()
        workers[0].play(program.before)
        self._watch(history, workers[:1])
        start = monotonic() + HEAD_START
        for worker, steps in zip(workers, program.branches, strict=True):
            worker.play(steps, start)
        nemesis.begin(start, workers)
        played = self._watch(history, workers, nemesis, lambda worker: opened(f"{worker.name}'"))
        nemesis.heal()
        self._idle += [worker for worker in played if worker not in nemesis.killed]
        last.play(tuple(Step(call) for call in client.final_reads))
        self._idle += self._watch(history, [last])
        return history

    def _watch(
        self,
        history: History,
        workers: list[Worker],
        nemesis: Nemesis | None = None,
        replaced: Callable[[Worker], Worker] | None = None,
    ) -> list[Worker]:
        """Write down what workers tell, and do the faults, until all have played. Return who is alive."""
        playing = {worker.line: worker for worker in workers}
        alive: list[Worker] = []
        give_up = monotonic() + PATIENCE
        while playing:
            assert monotonic() < give_up, f"no end after {PATIENCE:g} s:\n{history}"
            due = nemesis.due() if nemesis else None
            for line in connection.wait(list(playing), give_up - monotonic() if due is None else due):
                worker = playing[line]  # type: ignore[index]
                try:
                    told: Told = worker.line.recv()
                except (EOFError, OSError):
                    del playing[worker.line]
                    history.died(worker.name)
                    assert replaced, f"worker {worker.name} is gone:\n{history}"
                    left, worker = worker.left, replaced(worker)
                    worker.ready()
                    worker.play(left)
                    playing[worker.line] = worker
                    continue
                if told.what in ("called", "skipped"):
                    worker.left = worker.left[1:]
                if told.what == "played":
                    alive.append(playing.pop(worker.line))
                else:
                    history.tell(worker.name, told)
            if nemesis:
                nemesis.do()
        return alive

    def close(self) -> None:
        for worker in self._idle:
            worker.end()
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._directory.cleanup()
        self._direct.close()
        self.proxy.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
