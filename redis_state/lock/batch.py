"""What is sent for holds in the background: renewals, and the freeing of what no caller can release. Sends nothing."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from redis_state.clock import monotonic
from redis_state.engine.op import Op
from redis_state.events import Events, HoldDropped
from redis_state.lock import operations
from redis_state.lock.lease import LeaseHolder, Renewal
from redis_state.lock.lost import NEVER
from redis_state.lock.operations import Request

log = logging.getLogger("redis_state.lock")

MIN_INTERVAL_S = 0.02  # between two looks
RETRY_S = 0.5  # until what could not be freed is tried again


class Parting(NamedTuple):
    """What is still to be said to a server about something that is held by no one."""

    engine: Any
    op: Op[Any]
    until: float  # its lease is over by then

    @classmethod
    def of(cls, engine: Any, request: Request) -> Parting:
        """Give up an acquisition, whatever became of it."""
        return cls(engine, operations.leave(request), monotonic() + request.first_lease)


class Kept(weakref.ref[LeaseHolder]):
    """A weak reference to a hold that is renewed, and what is to be done when that is dropped."""

    __slots__ = ("abandon", "engine", "fence", "kind", "lost", "request")

    engine: Any
    abandon: Callable[[], Op[Any]]
    fence: int
    kind: str
    lost: Any
    request: Request

    @classmethod
    def of(cls, hold: LeaseHolder, dropped: Callable[[Kept], Any], engine: Any) -> Kept:
        """Refer to a hold. ``dropped`` is called in the midst of anything: the collector may be anywhere."""
        this = cls(hold, dropped)
        this.engine, this.abandon, this.request = engine, hold.abandon(), hold._request
        this.kind, this.fence, this.lost = type(hold).__name__, hold.fence, hold.lost
        return this

    def forgotten(self) -> Parting | None:
        """Tell of a hold that was dropped, and return what frees it; None when its lease is over."""
        ends = self.lost.ends
        if ends == NEVER or ends <= monotonic():
            return None
        namespace, name = self.request.partition.namespace, self.request.name
        self.engine.events.report(HoldDropped(namespace, name, self.fence, self.kind))
        self.lost.set()
        return Parting(self.engine, self.abandon(), ends)


class Batch:
    """Renewals on their way to one server: of what is due, and with it what will be before long."""

    def __init__(self, holds: Iterable[LeaseHolder], events: Events) -> None:
        self._events = events
        self._parts: list[tuple[LeaseHolder, Renewal, int]] = []
        self.ops: list[Op[Any]] = []
        now = monotonic()
        for hold in holds:
            if hold.renew_from > now:
                continue
            try:
                renewal = hold.renewal()
            except Exception:
                log.exception("%r cannot be renewed", hold)
                hold.plan_again(now)
                continue
            hold.renew_at = hold.renew_from = NEVER  # until it is answered
            self._parts.append((hold, renewal, len(self.ops)))
            self.ops += renewal.ops

    def answered(self, outcomes: Sequence[object]) -> list[LeaseHolder]:
        """Give each hold its answer. Returns those that are over."""
        over = []
        for hold, renewal, place in self._parts:
            answer = outcomes[place]
            goes_on = hold.renewed(renewal, answer)
            if not goes_on:
                over.append(hold)
            hold._tell_renewal(self._events, answer, goes_on=goes_on)
        return over
