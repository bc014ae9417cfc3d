"""Run the tests on copies of the tree, each with one mutant in it, or with none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

from property_tests.mutants.mutant import Mutant
from property_tests.mutants.watch import REPORT

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("redis_state", "lua", "tests", "property_tests", "examples", "docs", "pyproject.toml", "README.md")

_seconds = count(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant. ``verdict``: caught, survived or broken."""

    mutant: Mutant
    verdict: str
    seconds: float
    test: str = ""
    examples: int = 0
    error: str = ""  # what the failed test said, or why nothing is proven


class Bench:
    """Some copies of the tree, used by one run of pytest at a time each."""

    def __init__(self, jobs: int, limit: float, seed: int) -> None:
        self._limit = limit
        self._seed = seed
        self._pool = ThreadPoolExecutor(jobs)
        self._directory = Path(tempfile.mkdtemp(prefix="rs-mutants-"))
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._processes: set[subprocess.Popen[str]] = set()
        for number in range(jobs):
            self._free.put(_copy(self._directory / str(number)))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self._processes):
            _end(process)
        self._pool.shutdown()
        shutil.rmtree(self._directory, ignore_errors=True)

    def unchanged(self, mutants: Sequence[Mutant]) -> list[str]:
        """Run every test that is to catch something, on the code as it is. Return what fails, which proves nothing."""
        files: dict[str, dict[str, None]] = {}
        for mutant in mutants:
            for test in mutant.caught_by.split():
                files.setdefault(test.partition("::")[0], {})[test] = None
        # A whole file takes in its tests.
        runs = [[file] if file in tests else list(tests) for file, tests in files.items()]
        return [said for said in self._pool.map(self._unchanged, runs) if said]

    def outcomes(self, mutants: Sequence[Mutant]) -> Iterator[Outcome]:
        """Run them all, and yield what became of each as it is known."""
        for done in as_completed([self._pool.submit(self._mutated, mutant) for mutant in mutants]):
            yield done.result()

    def _unchanged(self, tests: Sequence[str]) -> str:
        tree = self._free.get()
        try:
            code, said, facts = self._pytest(tree, tests, 10 * self._limit)
        finally:
            self._free.put(tree)
        return "" if code == 0 else f"{facts.get('test') or ' '.join(tests)}: {facts.get('error') or said}"

    def _mutated(self, mutant: Mutant) -> Outcome:
        tree = self._free.get()
        began = monotonic()
        file = tree / mutant.file
        right = file.read_text(encoding="utf-8")
        try:
            _write(file, mutant.applied_to(right))
            code, said, facts = self._pytest(tree, mutant.caught_by.split(), self._limit)
        finally:
            _write(file, right)
            self._free.put(tree)
        seconds = monotonic() - began
        if code == 0:
            return Outcome(mutant, "survived", seconds, error="all tests passed")
        if code != 1 or not facts:
            return Outcome(mutant, "broken", seconds, error=said)
        if facts["crash"]:
            why = f"{facts['test']} met a {facts['crash']}: code that cannot run is caught by anything"
            return Outcome(mutant, "broken", seconds, error=why)
        return Outcome(mutant, "caught", seconds, facts["test"], facts["examples"], facts["error"])

    def _pytest(self, tree: Path, tests: Sequence[str], limit: float) -> tuple[int | None, str, dict[str, Any]]:
        """Run tests in a copy until the first fails. Return the exit code, the last words, what the plugin wrote."""
        report = tree / "report.json"
        report.unlink(missing_ok=True)
        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "property_tests.mutants.watch", "--timeout=40"]
        command = [sys.executable, "-m", "pytest", *words, f"--hypothesis-seed={self._seed}", *tests]
        environment = os.environ | {"PYTHONPATH": str(tree), REPORT: str(report)}
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.add(process)
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            return None, f"no end after {limit:.0f} s", {}
        finally:
            self._processes.discard(process)
        facts = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        errors = [line for line in said.splitlines() if line.startswith("E  ")]
        return process.returncode, " / ".join([*errors[-1:], *said.strip().splitlines()[-1:]]), facts


def _copy(tree: Path) -> Path:
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy(source, tree / name)
    return tree


def _write(file: Path, text: str) -> None:
    """Write a file, at a time of its own: Python takes a .pyc for that of any file of the same size and second."""
    file.write_text(text, encoding="utf-8")
    at = next(_seconds)
    os.utime(file, (at, at))


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a run of pytest with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()
