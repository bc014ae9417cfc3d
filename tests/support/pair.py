"""Two containers, and checks that hold in both.

A container is a process. It keeps what it holds between the turns in which it runs something.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis_state import ServerUnavailable

PATIENCE = 60.0  # seconds for one answer

Work = Callable[[int], Any]


@dataclass(frozen=True)
class Pair:
    """``container-1`` and ``container-2``."""

    containers: tuple[ProcessPoolExecutor, ProcessPoolExecutor]

    def take_turns(self, work: Work, turns: int) -> None:
        """Run ``work(turn)`` in the first, then in the second, then in the first again; raises what it raises."""
        for turn in range(turns):
            self.containers[turn % 2].submit(work, turn).result(PATIENCE)

    def race(self, work: Work) -> list[Any]:
        """Run ``work`` in both at once; return what they return."""
        running = [container.submit(work, turn) for turn, container in enumerate(self.containers)]
        return [answer.result(PATIENCE) for answer in running]


@dataclass(frozen=True)
class Check:
    """``work(turn)`` runs in the two containers in turn, and raises; or in both at once, if there is ``holds``."""

    name: str
    work: Work
    turns: int
    holds: Callable[[list[Any]], bool] | None = None

    def run(self, pair: Pair) -> None:
        if self.holds is None:
            pair.take_turns(self.work, self.turns)
        else:
            answers = pair.race(self.work)
            assert self.holds(answers), f"the two containers answered {answers}"


CHECKS: list[Check] = []


def check(turns: int, holds: Callable[[list[Any]], bool] | None = None) -> Callable[[Work], Work]:
    """Add a function to ``CHECKS``."""

    def added(work: Work) -> Work:
        CHECKS.append(Check(work.__name__.replace("_", " "), work, turns, holds))
        return work

    return added


def report(pair: Pair) -> list[str]:
    """Run all checks and say how each went; return the names of those that failed."""
    failed = []
    for one in CHECKS:
        began = time.monotonic()
        try:
            one.run(pair)
        except Exception as error:
            failed.append(one.name)
            print(f"FAILED  {one.name}\n{error.__cause__ or ''}\n{type(error).__name__}: {error}", flush=True)
            if isinstance(error, ServerUnavailable):
                break
        else:
            print(f"ok      {one.name} ({time.monotonic() - began:.1f} s)", flush=True)
    return failed


def mine(name: str) -> str:
    """A name that no other run uses."""
    return f"{name}-{os.environ['RUN']}"


def raised(kind: type[BaseException], call: Callable[[], object]) -> Any:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


@contextmanager
def two_containers(**environ: str) -> Iterator[Pair]:
    """Start them with these variables, and ``RUN``, a word that no other pair has."""
    environ["RUN"] = uuid.uuid4().hex[:8]
    pair = Pair((_start("container-1", environ), _start("container-2", environ)))
    try:
        yield pair
    finally:
        for container in pair.containers:
            container.shutdown(cancel_futures=True)


def _start(name: str, environ: Mapping[str, str]) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=_become, initargs=(name, environ))


def _become(name: str, environ: Mapping[str, str]) -> None:
    os.environ.update(environ, CONTAINER_ID=name)
