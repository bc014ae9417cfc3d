"""Work for real processes: started anew, so nothing is shared with the test but what Redis holds."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PATIENCE = 100.0  # seconds until processes that do not end fail the test
_spawn = multiprocessing.get_context("spawn")


def _report(answers: Any, place: int, work: Callable[..., Any], args: Sequence[Any]) -> None:
    try:
        answers.put((place, True, work(*args)))
    except BaseException:
        answers.put((place, False, traceback.format_exc()))


def in_processes(work: Callable[..., Any], each: Sequence[Sequence[Any]]) -> list[Any]:
    """Run ``work`` once for each list of arguments, each in a process of its own; return what they return, in order."""
    answers = _spawn.Queue()
    started = [_spawn.Process(target=_report, args=(answers, place, work, args)) for place, args in enumerate(each)]
    for process in started:
        process.start()
    results: list[Any] = [None] * len(each)
    try:
        for _ in each:
            place, fine, result = answers.get(timeout=PATIENCE)
            assert fine, f"process {place} failed:\n{result}"
            results[place] = result
    finally:
        for process in started:
            process.join(1)
            process.kill()
            process.join()
    return results


def in_threads(work: Callable[..., Any], each: Sequence[Sequence[Any]]) -> list[Any]:
    """Run ``work`` once for each list of arguments, in as many threads."""
    with ThreadPoolExecutor(len(each)) as pool:
        return [running.result(PATIENCE) for running in [pool.submit(work, *args) for args in each]]
