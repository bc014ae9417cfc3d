"""How slow the machine is just now, so that a bound in seconds can allow for it."""

from __future__ import annotations

import threading
import time
from typing import Self

NAP = 0.005  # seconds
WAKING = 0.25  # what a few processes need to wake each other on a machine that is not busy, with room
WAKE_UPS = 6  # that follow upon each other in what is timed, at the most


class MachineLag:
    """A thread that only sleeps, and sees how late it is woken."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.latest = 0.0

    @property
    def slack(self) -> float:
        """Seconds by which something may be late without being at fault."""
        return self.allowed(WAKING)

    def allowed(self, seconds: float) -> float:
        """Return how long it may take what takes so many seconds where nobody else has the cores."""
        return seconds + WAKE_UPS * self.latest

    def _watch(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            time.sleep(NAP)
            self.latest = max(self.latest, time.monotonic() - began - NAP)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
