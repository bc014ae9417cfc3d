"""What goes wrong while a program runs."""

from __future__ import annotations

import os
import signal
from time import monotonic, sleep
from typing import TYPE_CHECKING

from property_tests.parallel.generator import Fault, Program
from property_tests.parallel.history import History
from tests.support.proxy import Proxy
from tests.support.servers import Server

if TYPE_CHECKING:
    from property_tests.parallel.runner import Worker

LOST = 0.25  # of all replies
SLOW = 0.002  # seconds
STOPPED = 0.03  # seconds that a worker stands still
FROZEN = 0.15  # seconds that the server does: longer than a socket waits
MUTE = 0.3  # seconds: longer than a call is tried


class Nemesis:
    """Nemesis of one run: which faults are due, and how to end them."""

    def __init__(self, program: Program, server: Server, proxy: Proxy, history: History) -> None:
        self._server = server
        self._proxy = proxy
        self._history = history
        self._program = program
        self._agenda: list[tuple[float, Fault]] = []
        self._workers: list[Worker] = []
        self.killed: set[Worker] = set()

    def begin(self, start: float, workers: list[Worker]) -> None:
        """Begin what lasts, and plan what comes at its moment."""
        self._workers = workers
        for fault in self._program.faults:
            match fault.what:
                case "lose replies":
                    self._proxy.drop_replies(LOST, seed=fault.at)
                case "slow":
                    self._proxy.delay(SLOW)
                case "hold":
                    self._proxy.hold_next(2)
                case _:
                    self._agenda.append((start + fault.at / 1000, fault))
        self._agenda.sort()

    def due(self) -> float | None:
        """Return in how many seconds the next one is due; None when there is none."""
        return max(0.0, self._agenda[0][0] - monotonic()) if self._agenda else None

    def do(self) -> None:
        """Do what is due."""
        while self._agenda and self._agenda[0][0] <= monotonic():
            self._do(self._agenda.pop(0)[1])

    def heal(self) -> None:
        """End all; what was held back arrives now, late."""
        if self._program.faults:
            self._proxy.clear()
        if self._program.has("hold"):
            self._history.note(f"{len(self._proxy.release())} held back, delivered")

    def _do(self, fault: Fault) -> None:
        began = monotonic()
        worker = self._workers[fault.who % len(self._workers)]
        self._history.note(f"{fault.what} {worker.name}" if fault.what in ("kill", "stop") else fault.what)
        match fault.what:
            case "cut":
                self._proxy.reset_all()
            case "kill" if worker not in self.killed:
                self.killed.add(worker)
                os.kill(worker.pid, signal.SIGKILL)
            case "stop" if worker not in self.killed:
                os.kill(worker.pid, signal.SIGSTOP)
                sleep(STOPPED)
                os.kill(worker.pid, signal.SIGCONT)
            case "forget":
                with self._server.client() as client:
                    client.script_flush()
            case "freeze":
                self._server.pause()
                sleep(FROZEN)
                self._server.resume()
            case "mute":
                self._proxy.blackhole()
                sleep(MUTE)
                self._proxy.blackhole(False)
            case "crash":
                self._server.kill()
                self._server.start()
            case "flush":
                with self._server.client() as client:
                    client.flushall()
                self._history.wiped(began, monotonic())
            case "lose data":
                self._server.kill()
                self._server.restart()
                self._history.wiped(began, monotonic())
