"""Something held, and how long it is, by the holder's own clock. Sends nothing.

A lease counts from before it was asked for, so that the holder never believes longer than the server.
"""

from __future__ import annotations

import weakref
from asyncio import Task
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

from redis_state.clock import monotonic
from redis_state.engine.op import Op
from redis_state.errors import LockLost, RedisStateError
from redis_state.events import Events, LeaseLost, LeaseNotRenewed, LeaseRenewed, LockReleased
from redis_state.lock import operations
from redis_state.lock.lost import NEVER, AsyncLost, Lost
from redis_state.lock.operations import Lease, Request, checked_seconds

FORKED = "it is the parent process's, and a forked child owns nothing of it"


class Renewal(NamedTuple):
    """What to send to renew a lease: first the lock itself, then what lives with it."""

    ops: list[Op[Any]]
    lease: float  # seconds, from when it is renewed
    asked: float  # by our own clock


class LeaseHolder:
    """Something held for the length of a lease. ``lost`` is set when that is over.

    What renews it refers to it weakly: a hold that is dropped without being released is let go, and ``lost`` is set.
    """

    lost: Any  # Lost or AsyncLost
    _engine: Any  # of what a caller holds
    _renewer: Any  # what renews it
    thread = 0  # where it was taken
    place: object = None  # in which context of that thread
    task: weakref.ref[Task[Any]] | None = None
    _flights = 0  # renewals on their way
    _least = NEVER  # the shortest length that these ask for

    def __init__(self, request: Request, lease: Lease, lost: Lost | AsyncLost, *, auto_renew: bool) -> None:
        self._request = request
        self._why = ""  # it is no longer held
        self._forked = False
        self.renews = auto_renew
        self.holder = request.owner
        self.fence = lease.fence
        self.since = lease.since
        self.lost = lost
        now = monotonic()
        self._lease = request.lease
        self._hold_ends = NEVER if request.max_hold is None else now + request.max_hold
        self.renew_at = self.renew_from = NEVER
        self.lost.ends = lease.ends
        self._plan_renewal(now)

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._request.name

    @property
    def namespace(self) -> str:
        """The namespace of the lock."""
        return self._request.partition.namespace

    @property
    def fence_key(self) -> str:
        """The key where the last token of the lock is kept."""
        return self._request.fence_key

    @property
    def container(self) -> str:
        """Who holds it."""
        return self._request.container

    @property
    def note(self) -> str:
        """What was said about it."""
        return self._request.note

    @property
    def endless(self) -> bool:
        """Whether it is held until it is released, if its process lives."""
        return self.renews and self._hold_ends == NEVER and not self._why and not self.lost.is_set()

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

    def _is_over(self) -> bool:
        """Tell whether its holder has ended it; ``LockLost`` in a forked child, which never held it."""
        if self._forked:
            raise LockLost(self.name, self._why)
        return bool(self._why)

    # --- renewal: what the renewer calls ---------------------------------------------------------------

    def renewal(self) -> Renewal:
        """Return what to send to renew the lease."""
        now = monotonic()
        lease = min(self._lease, max(0.001, self._hold_ends - now))
        self._flights += 1
        self._least = min(self._least, lease)
        return Renewal([operations.renew(self._request, lease)], lease, now)

    def renewed(self, renewal: Renewal, answer: object) -> bool:
        """Take the answer to a renewal; tell whether the lease goes on."""
        now = monotonic()
        length = min(renewal.lease, self._least)  # which one of several the server ran last is not known
        self._flights -= 1
        if not self._flights:
            self._least = NEVER
        if self._why or self.lost.is_set():
            return False
        if answer is True:
            self.lost.ends = max(self.lost.ends, renewal.asked + length - operations.CLOCK_RESOLUTION_S)
            self._plan_renewal(now)
            return True
        if answer is False:
            self.lost.set()
            return False
        self.plan_again(now)
        return True

    def _tell_renewal(self, events: Events, answer: object, *, goes_on: bool) -> None:
        """Tell what came of a renewal; nothing of a hold that was ended meanwhile."""
        if self._why:
            return
        at = self.namespace, self.name, self.fence
        if isinstance(answer, BaseException):
            events.report(LeaseNotRenewed(*at, self.remaining(), str(answer)))
        if not goes_on:
            events.report(LeaseLost(*at))
        elif answer is True and events.hooks:
            events.tell(LeaseRenewed(*at, self.remaining()))

    def plan_again(self, now: float) -> None:
        """Renew it soon: what was tried has failed."""
        if self.renews:
            self.renew_at = self.renew_from = now + max(0.05, (self.lost.ends - now) / 4)

    def ask_for(self, lease: float) -> None:
        """Let this and all later renewals ask for another length. A shorter one is believed at once."""
        checked_seconds(self.name, "lease", lease)
        self._lease = lease
        self.lost.ends = min(self.lost.ends, monotonic() + lease - operations.CLOCK_RESOLUTION_S)

    def longer_by(self, seconds: float) -> float:
        """Return the length of a lease that lasts so many seconds longer than what is left."""
        checked_seconds(self.name, "seconds", seconds)
        return self.remaining() + seconds

    def abandon(self) -> Callable[[], Op[Any]]:
        """Return what makes the op that frees this when it is dropped, without referring to it."""
        return partial(operations.release, self._request)

    def _plan_renewal(self, now: float) -> None:
        left = self.lost.ends - now
        if not self.renews or self.lost.ends >= self._hold_ends - 0.05:
            self.renew_at = self.renew_from = NEVER
        elif left <= operations.WAKEUP_LEASE_S < self._lease:  # soon, but not at once: most are released by then
            self.renew_at = self.renew_from = now + left / 8
        else:
            self.renew_at = now + left / 3
            self.renew_from = now + left / 4  # in one write with others that are due

    def disown(self) -> None:
        """In a forked child: it was never ours."""
        self._why, self._forked = FORKED, True
        self.renew_at = self.renew_from = NEVER
        self.lost = type(self.lost)()  # the parent's may be locked by a thread that is not here
        self.lost.set()

    def _renewing(self) -> Renewing:
        """Renew the lease in a ``with`` block, on the caller's behalf."""
        return Renewing(self)

    def _released(self, *, ours: bool) -> None:
        """Tell that the lock was released. ``LockLost`` when it was no longer the caller's."""
        self._renewer.drop(self)
        events = self._engine.events
        if not ours:
            self.lost.set()
            events.report(LeaseLost(self.namespace, self.name, self.fence))
            raise LockLost(self.name)
        if events.hooks:
            events.tell(LockReleased(self.namespace, self.name, self.fence))

    def _not_ended(self, ends: float) -> None:
        """Take an end back whose call failed: it may be called again, and a hold that is dropped then is freed."""
        self._why, self.lost.ends = "", ends

    def _ended(self, why: str) -> None:
        """It is no longer held, and was not lost: ``lost`` stays as it is."""
        self._why = why
        self.renew_at = self.renew_from = NEVER
        self.lost.ends = NEVER

    def __repr__(self) -> str:
        state = self._why or ("lost" if self.lost.is_set() else f"{self.remaining():.1f} s left")
        return f"<{type(self).__name__} {self.name!r}, fence {self.fence}, {state}>"


class Renewing:
    """A renewal that a caller asked for. ``LockLost`` when the answer says that the lease is over."""

    answers: Sequence[object] = (None,)

    def __init__(self, hold: LeaseHolder) -> None:
        self._hold = hold

    def __enter__(self) -> Self:
        self._renewal = self._hold.renewal()
        self.ops = self._renewal.ops
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        hold = self._hold
        goes_on = hold.renewed(self._renewal, self.answers[0])
        if error is not None:
            return
        hold._tell_renewal(hold._engine.events, self.answers[0], goes_on=goes_on)
        if not goes_on:
            hold._renewer.drop(hold)
            raise LockLost(hold.name)
        hold._renewer.heed(hold)


class noting:  # noqa: N801  (it reads like `suppress`)
    """Let an error of ours not take the place of the one that is on its way: it becomes a note of that."""

    def __init__(self, error: BaseException | None, what: str) -> None:
        self._error = error
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, also: BaseException | None, _: TracebackType | None) -> bool:
        if self._error is None or not isinstance(also, RedisStateError):
            return False
        self._error.add_note(f"and {self._what}: {also}")
        return True
