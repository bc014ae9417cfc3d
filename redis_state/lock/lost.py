"""The event that says a lease is over, for threads and for tasks. It looks at the clock by itself. Sends nothing."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Literal

from redis_state.clock import monotonic

NEVER = float("inf")


class Lost(threading.Event):
    """Set when the lease is over, at the latest by our own clock, without being told.

    Each waiter waits on a lock of its own, so a signal handler or a finalizer may set it in the midst of anything.
    """

    ends = NEVER
    _over = False

    def __init__(self) -> None:
        """Make nothing to wait on yet: it would be felt in each acquisition, and few are waited for."""

    def is_set(self) -> bool:
        """Tell whether the lease is over. Once it was, it stays so."""
        if self._over:
            return True
        if monotonic() < self.ends:
            return False
        self.set()
        return True

    def set(self) -> None:
        """Say that the lease is over, to all who wait."""
        self._over = True
        for bell in tuple(self.__dict__.get("bells", ())):
            with suppress(RuntimeError):  # its waiter has just woken by itself
                bell.release()

    def clear(self) -> None:
        """Do nothing: a lease that is over stays so."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the lease is over, ``timeout`` seconds at most; tell whether it is."""
        until = NEVER if timeout is None else monotonic() + timeout
        bells = self.__dict__.setdefault("bells", [])  # of several threads, all get the first one
        bell = threading.Lock()
        bell.acquire()
        bells.append(bell)
        try:
            while not self.is_set():
                now = monotonic()
                if now >= until:
                    return False
                bell.acquire(timeout=max(0.0, min(until, self.ends, now + 3600.0) - now))
            return True
        finally:
            bells.remove(bell)

    def __repr__(self) -> str:
        return f"<Lost: {'set' if self.is_set() else 'unset'}>"


class AsyncLost(asyncio.Event):
    """The same, to be awaited."""

    ends = NEVER

    def is_set(self) -> bool:
        """Tell whether the lease is over. Once it was, it stays so."""
        if super().is_set():
            return True
        if monotonic() < self.ends:
            return False
        self.set()
        return True

    async def wait(self) -> Literal[True]:
        """Wait until the lease is over."""
        while not self.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self.ends - monotonic(), 3600.0) + 0.001):
                    await super().wait()
        return True
