"""The worker processes: started, watched, killed and stopped. Touches no process that it did not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis_state
from redis_state.demo.diary import Entries
from redis_state.demo.view import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis_state.demo.plan import Plan

PATIENCE = 5.0  # seconds a worker has for its last turn before it is killed


class Workers:
    """One process per container. Each ends when its standard input is closed, so none can outlive this process."""

    def __init__(self, plan: Plan, plan_file: Path) -> None:
        self.plan = plan
        self.diaries = {container: Entries() for container in plan.containers}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for container in plan.containers:
            with plan.complaints(container).open("wb") as complaints:
                self.processes[container] = subprocess.Popen(
                    [sys.executable, "-m", "redis_state.demo.worker", str(plan_file), container],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    env={**_environment(), "REDIS_URL": plan.url},
                )

    @property
    def exits(self) -> dict[str, int | None]:
        """The return code of each container's process; None while it runs."""
        return {container: process.poll() for container, process in self.processes.items()}

    def news(self) -> Iterator[tuple[str, str, str]]:
        """Yield (container, what, about) for each note since the last time."""
        for container, entries in self.diaries.items():
            for line in entries.catch_up(self.plan.diary(container)):
                if "noted" in line:
                    yield container, line["noted"], line["about"]

    def look(self, doing: dict[str, str]) -> tuple[Crew, ...]:
        """Describe each worker, for a view."""
        states = {None: "running", 0: "ended", -signal.SIGKILL: "killed"}
        return tuple(
            Crew(
                container=container,
                pid=process.pid,
                state=states.get(process.poll(), "failed"),
                made=self.diaries[container].count("made"),
                doing=doing.get(container, ""),
            )
            for container, process in self.processes.items()
        )

    def kill(self, container: str) -> int:
        """SIGKILL one worker; return its process id."""
        process = self.processes[container]
        process.kill()
        process.wait()
        return process.pid

    def stop(self, patience: float = PATIENCE) -> None:
        """Ask all to end after their current turn; kill those that do not in time. Again: nothing happens."""
        for process in self.processes.values():
            if process.stdin and not process.stdin.closed:
                process.stdin.close()
        deadline = time.monotonic() + patience
        for process in self.processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:
    """Let the workers import this package also where it lies in a checkout and was found through ``sys.path``."""
    root = Path(redis_state.__file__).resolve().parent.parent
    if {"site-packages", "dist-packages"} & {root.name}:
        return dict(os.environ)
    known = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *known])}
