"""The processes that do the work: they are killed and replaced, stopped and resumed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from property_tests.stress.config import Job
from property_tests.stress.work import run

PATIENCE = 90.0  # seconds that they may take to bring to its end what they have begun

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["property_tests.stress.work"])


class Processes:
    """So many processes, each in its place."""

    def __init__(self, size: int, job: Job, seed: str) -> None:
        self._job, self._seed = job, seed
        self._lives = [0] * size
        self._running = [self._start(place) for place in range(size)]

    def kill(self, place: int) -> None:
        """SIGKILL, and another one takes its place."""
        self._signal(place, signal.SIGKILL)
        self._running[place].join()
        self._lives[place] += 1
        self._running[place] = self._start(place)

    def stop(self, place: int) -> None:
        self._signal(place, signal.SIGSTOP)

    def resume(self, place: int) -> None:
        self._signal(place, signal.SIGCONT)

    def failed(self) -> bool:
        """Whether one of them came to an end that it should not have come to."""
        return any(Path(self._job.folder).glob("failed *"))

    def finish(self) -> Iterator[str]:
        """Let them end what they are doing. Yield what went wrong in them."""
        Path(self._job.folder, "stop").touch()
        end = time.monotonic() + PATIENCE
        for process in self._running:
            process.join(max(0.0, end - time.monotonic()))
            if process.exitcode is None:
                stands = self._stacks(process.pid)
                yield f"process {process.pid} did not end its call within {PATIENCE:.0f} s:\n{stands}"
        for path in sorted(Path(self._job.folder).glob("failed *")):
            yield f"process {path.name.partition(' ')[2]} failed:\n{path.read_text()}"

    def _stacks(self, pid: int) -> str:
        """Return where the threads of a process stand."""
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)
        return Path(self._job.folder, f"stacks {pid}").read_text()

    def dismiss(self) -> None:
        for process in self._running:
            process.kill()
            process.join()

    def _signal(self, place: int, number: signal.Signals) -> None:
        process = self._running[place]
        if process.exitcode is None:
            os.kill(process.pid, number)

    def _start(self, place: int) -> Any:
        process = _context.Process(target=run, args=(self._job, f"{self._seed}/{place}/{self._lives[place]}"))
        process.start()
        return process
