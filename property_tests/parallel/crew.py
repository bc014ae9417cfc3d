"""The workers, the server and what stands between them: runs a program, and returns its history."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Client, Connection, wait
from time import monotonic
from types import TracebackType
from typing import Self

from proxy import Proxy
from servers import Server, available

from parallel.actors import Actor
from parallel.faults import Faults
from parallel.history import History
from parallel.programs import Program, Step
from parallel.worker import Open, Play, Told

PATIENCE = 60.0  # seconds for a program
HEAD_START = 0.002  # seconds for all workers to hear of the start
CALM = {"deadline": 30.0, "socket_timeout": 30.0}  # so that nothing is sent twice, however busy the machine is
STEADY = {"deadline": 30.0, "socket_timeout": 0.1}
QUICK = {"deadline": 0.2, "socket_timeout": 0.1}  # where no answer comes


class Worker:
    """One of the processes, and its line to us."""

    def __init__(self, nursery: str) -> None:
        self.line: Connection = Client(nursery, "AF_UNIX")
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


class Crew:
    """Four workers at most, a server that keeps its data, and a proxy."""

    def __init__(self, kind: str) -> None:
        self.server = Server(available()[kind], appendonly=True, appendfsync="no").start()
        self.proxy = Proxy(self.server.url)
        self._directory = tempfile.TemporaryDirectory(prefix="rs-crew-", dir="/tmp")
        self._nursery = f"{self._directory.name}/nursery"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "parallel.nursery", self._nursery],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n", "no workers"
        self._direct = self.server.client()
        self._idle: list[Worker] = []
        self._numbers = count(1)

    def run(self, program: Program, actor: type[Actor]) -> History:
        """Run a program once, on data of its own; return what was seen."""
        self._direct.flushall()
        history = History(actor, copies=not program.harmless)
        faults = Faults(program, self.server, self.proxy, history)
        patience = CALM if program.harmless else QUICK if program.has("mute") else STEADY
        settings = {"prefix": f"p{next(self._numbers)}", **patience}
        url = self.server.url if program.harmless else self.proxy.url

        def opened(name: str, url: str = url) -> Worker:
            worker = self._idle.pop() if self._idle else Worker(self._nursery)
            insists = name != "0"  # one of them takes no answer for none
            return worker.open(Open(actor, name, url, self.server.url, settings, insists))

        last = opened("last", self.server.url)
        crew = [opened(str(place)) for place in range(len(program.branches))]
        for worker in (last, *crew):
            worker.ready()
        crew[0].play(program.before)
        self._watch(history, crew[:1])
        start = monotonic() + HEAD_START
        for worker, steps in zip(crew, program.branches, strict=True):
            worker.play(steps, start)
        faults.begin(start, crew)
        played = self._watch(history, crew, faults, lambda worker: opened(f"{worker.name}'"))
        faults.heal()
        self._idle += [worker for worker in played if worker not in faults.killed]
        last.play(tuple(Step(call) for call in actor.looks))
        self._idle += self._watch(history, [last])
        return history

    def _watch(
        self,
        history: History,
        crew: list[Worker],
        faults: Faults | None = None,
        replaced: Callable[[Worker], Worker] | None = None,
    ) -> list[Worker]:
        """Write down what workers tell, and do the faults, until all have played. Return who is alive."""
        playing = {worker.line: worker for worker in crew}
        alive: list[Worker] = []
        give_up = monotonic() + PATIENCE
        while playing:
            assert monotonic() < give_up, f"no end after {PATIENCE:g} s:\n{history}"
            due = faults.due() if faults else None
            for line in wait(list(playing), give_up - monotonic() if due is None else due):
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
            if faults:
                faults.do()
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
