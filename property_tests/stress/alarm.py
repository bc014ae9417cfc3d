"""Signals that come all the time; now and then their handler raises, in the midst of a call of the library."""

from __future__ import annotations

import random
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

PERIOD = 0.05  # seconds between two signals
RAISES = 0.015  # of them, while a call is under way


class Interrupted(Exception):
    """The application's own: it gives up what it is doing."""


class Alarm:
    """The timer of a process, and whether its handler may raise just now."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(f"{seed} signals")
        self._armed, self._raised = False, ""  # raised: where, when it has not come out

    def __enter__(self) -> Alarm:
        self._hook, sys.unraisablehook = sys.unraisablehook, self._nowhere_to_go
        self._handler = signal.signal(signal.SIGALRM, self._ring)
        self._timer = signal.setitimer(signal.ITIMER_REAL, PERIOD, PERIOD)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, *self._timer)
        signal.signal(signal.SIGALRM, self._handler)
        sys.unraisablehook = self._hook

    def during(self, call: Callable[[], T]) -> T:
        """Make a call that may be interrupted. What the handler raised must come out of it."""
        self._raised, self._armed = "", True
        try:
            answer = call()
        finally:
            self._armed = False
        assert not self._raised, f"what a signal handler raised here came to nothing:\n{self._raised}"
        return answer

    def _ring(self, _: int, frame: Any) -> None:
        if self._armed and self._chance.random() < RAISES:
            self._armed, self._raised = False, "".join(traceback.format_stack(frame, limit=8))
            raise Interrupted

    def _nowhere_to_go(self, what: Any) -> None:
        """Python drops what is raised in a finalizer, and says so."""
        if isinstance(what.exc_value, Interrupted):
            self._raised = ""
        else:
            self._hook(what)
