"""Processes that do the same thing at the same time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from redis_state import Engine


class ProcessPool:
    """Eight processes that do the same thing at the same time, and share nothing but the server."""

    size = 8

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self.size, spawn, initializer=_enlist, initargs=(spawn.Barrier(self.size),))

    def race(self, engine: Engine, work: Callable[..., Any], *args: Any) -> list[Any]:
        """Run ``work(engine, rank, *args)`` in each process, on an engine like this one; return what they return."""
        turns = [self._pool.submit(_turn, engine.settings, work, rank, args) for rank in range(self.size)]
        return [turn.result(60) for turn in turns]

    def shutdown(self) -> None:
        self._pool.shutdown(cancel_futures=True)


_start: Any = None  # the barrier, in each worker


def _enlist(barrier: Any) -> None:
    global _start
    _start = barrier


def _turn(settings: Any, work: Callable[..., Any], rank: int, args: tuple[Any, ...]) -> Any:
    with Engine(settings) as engine:
        _start.wait(60)
        return work(engine, rank, *args)
