"""Checker of programs: runs each several times, and keeps what was proven, so that Hypothesis can shrink it."""

from __future__ import annotations

from time import monotonic

from hypothesis import HealthCheck, Phase, settings

from property_tests.parallel.clients import Client
from property_tests.parallel.generator import Program
from property_tests.parallel.linearize import linearize
from property_tests.parallel.runner import Runner
from property_tests.parallel.trace import explained
from property_tests.servers import STRESS

RUNS = 2  # of a program that nothing is known of
RUNS_WITH_FAULTS = 1
RUNS_SHRINKING = 12  # once something has failed: a smaller program may need luck to fail
SHRINKING = 20.0  # seconds


def tried(examples: int) -> settings:
    """Return the settings of a test that tries so many programs."""
    return settings(
        max_examples=max(1, round(examples * STRESS)),
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


class Checker:
    """Checker of one test. What happened once can happen: a program that failed once has failed for good."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._proven: dict[Program, str] = {}
        self._give_up = 0.0

    def check(self, program: Program, client: type[Client]) -> None:
        """Raise an AssertionError with the trace when a run of the program cannot be explained."""
        __tracebackhide__ = True
        if program not in self._proven and not (self._proven and monotonic() > self._give_up):
            self._try(program, client)
        if program in self._proven:
            raise AssertionError(self._proven[program])

    def _try(self, program: Program, client: type[Client]) -> None:
        runs = RUNS_SHRINKING if self._proven else RUNS if program.harmless else RUNS_WITH_FAULTS
        for _ in range(runs):
            history = self._runner.run(program, client)
            verdict = linearize(history.events(), client.model)
            if not verdict.legal:
                self._give_up = self._give_up or monotonic() + SHRINKING
                self._proven[program] = explained(verdict, history.rows)
                return
