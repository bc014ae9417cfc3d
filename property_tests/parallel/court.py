"""Judges programs: runs each several times, and keeps what was proven against one, so that Hypothesis can shrink it."""

from __future__ import annotations

import os
from time import monotonic

from hypothesis import HealthCheck, Phase, settings
from linearize import linearize

from parallel.actors import Actor
from parallel.crew import Crew
from parallel.programs import Program
from parallel.trace import explained

STRESS = float(os.environ.get("REDIS_STATE_STRESS", "1"))
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


class Court:
    """For one test. What happened once can happen: a program that failed once has failed for good."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._proven: dict[Program, str] = {}
        self._give_up = 0.0

    def judge(self, program: Program, actor: type[Actor]) -> None:
        """Raise an AssertionError with the trace when a run of the program cannot be explained."""
        __tracebackhide__ = True
        if program not in self._proven and not (self._proven and monotonic() > self._give_up):
            self._try(program, actor)
        if program in self._proven:
            raise AssertionError(self._proven[program])

    def _try(self, program: Program, actor: type[Actor]) -> None:
        runs = RUNS_SHRINKING if self._proven else RUNS if program.harmless else RUNS_WITH_FAULTS
        for _ in range(runs):
            history = self._crew.run(program, actor)
            verdict = linearize(history.events(), actor.model)
            if not verdict.legal:
                self._give_up = self._give_up or monotonic() + SHRINKING
                self._proven[program] = explained(verdict, history.rows)
                return
