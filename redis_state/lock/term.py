"""How long something is held, by the holder's own clock. Sends nothing.

A lease counts from before it was asked for, so that the holder never believes longer than the server.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from time import monotonic
from typing import Any, Literal, NamedTuple

from redis_state.engine.op import Op
from redis_state.errors import LockLost
from redis_state.lock import steps
from redis_state.lock.steps import Lease, Request

FORKED = "it is the parent process's, and a forked child owns nothing of it"
LATER = float("inf")


class Lost(threading.Event):
    """Set when the lease is over, at the latest by our own clock: nobody needs to come and set it."""

    ends = LATER
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
        event = self.__dict__.get("event")
        if event is not None:
            event.set()

    def clear(self) -> None:
        """Do nothing: a lease that is over stays so."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the lease is over, ``timeout`` seconds at most; tell whether it is."""
        event = self.__dict__.setdefault("event", threading.Event())  # of several threads, all get the first one
        until = LATER if timeout is None else monotonic() + timeout
        while not self.is_set():
            now = monotonic()
            if now >= until:
                return False
            event.wait(min(until, self.ends, now + 3600.0) - now)
        return True

    def __repr__(self) -> str:
        return f"<Lost: {'set' if self.is_set() else 'unset'}>"


class AwaitedLost(asyncio.Event):
    """The same, to be awaited."""

    ends = LATER

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


class Renewal(NamedTuple):
    """What to send to renew a lease: first the lock itself, then what lives with it."""

    ops: list[Op[Any]]
    lease: float  # seconds, from when it is renewed
    asked: float  # by our own clock


class Hold:
    """Something held for the length of a lease. ``lost`` is set when that is over."""

    lost: Any  # Lost or AwaitedLost

    def __init__(self, want: Request, lease: Lease, lost: Lost | AwaitedLost, *, auto_renew: bool) -> None:
        self._want = want
        self._auto_renew = auto_renew
        self._why = ""  # it is no longer held
        self._forked = False
        self.fence = lease.fence
        self.since = lease.since
        self.lost = lost
        now = monotonic()
        self._hold_ends = LATER if want.max_hold is None else now + want.max_hold
        self.renew_at = self.renew_from = LATER
        self.lost.ends = lease.ends
        self._plan_renewal(now)

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._want.name

    @property
    def container(self) -> str:
        """Who holds it."""
        return self._want.container

    @property
    def note(self) -> str:
        """What was said about it."""
        return self._want.note

    def remaining(self) -> float:
        """Return how many seconds of the lease are left, if it is not renewed; 0.0 when it is over."""
        if self._why or self.lost.is_set():
            return 0.0
        ends: float = self.lost.ends
        return max(0.0, ends - monotonic())

    def check(self) -> None:
        """Raise ``LockLost`` when the lease is over. Asks no server: it costs nothing, so ask often."""
        if self._why:
            raise LockLost(self.name, self._why)
        if self.lost.is_set():
            raise LockLost(self.name)

    # --- renewal: what the keeper calls ---------------------------------------------------------------

    def renewal(self) -> Renewal:
        """Return what to send to renew the lease."""
        now = monotonic()
        lease = min(self._want.lease, max(0.001, self._hold_ends - now))
        return Renewal([steps.renew(self._want, lease)], lease, now)

    def renewed(self, renewal: Renewal, answer: object) -> bool:
        """Take the answer to a renewal; tell whether the lease goes on."""
        now = monotonic()
        if self._why or self.lost.is_set():
            return False
        if answer is True:
            self.lost.ends = max(self.lost.ends, renewal.asked + renewal.lease - steps.GRAIN)
            self._plan_renewal(now)
            return True
        if answer is False:
            self.lost.set()
            return False
        self.renew_at = self.renew_from = now + max(0.05, (self.lost.ends - now) / 4)  # it failed: again
        return True

    def _plan_renewal(self, now: float) -> None:
        left = self.lost.ends - now
        if not self._auto_renew or self.lost.ends >= self._hold_ends - 0.05:
            self.renew_at = self.renew_from = LATER
        elif left <= steps.TRIAL < self._want.lease:  # soon, but not at once: most are released by then
            self.renew_at = self.renew_from = now + left / 8
        else:
            self.renew_at = now + left / 3
            self.renew_from = now + left / 4  # in one write with others that are due

    def disown(self) -> None:
        """In a forked child: it was never ours."""
        self._why, self._forked = FORKED, True
        self.renew_at = self.renew_from = LATER
        self.lost = type(self.lost)()  # the parent's may be locked by a thread that is not here
        self.lost.set()

    def _ended(self, why: str) -> None:
        """It is no longer held, and was not lost: ``lost`` stays as it is."""
        self._why = why
        self.renew_at = self.renew_from = LATER
        self.lost.ends = LATER

    def __repr__(self) -> str:
        state = self._why or ("lost" if self.lost.is_set() else f"{self.remaining():.1f} s left")
        return f"<{type(self).__name__} {self.name!r}, fence {self.fence}, {state}>"
