"""Waiting for what comes in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 20.0  # seconds: far more than it takes, also on a busy machine


def eventually(ask: Callable[[], T], what: str = "it is so") -> T:
    """Ask until the answer is true, and return it. Fails, saying ``what`` was to be, after ``PATIENCE``."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}; the last answer was {answer!r}"
        time.sleep(0.005)
    return answer
