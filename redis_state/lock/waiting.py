"""Waiting for a lock, as one plan. Sends nothing.

The server's clock decides when a lease ends; the holder's own clock must not think so later. So each
reply that tells the server's time is paired with an instant of ours at which it was not later than
that, and what the server says afterwards is counted from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeVar

from redis_state.clock import monotonic
from redis_state.engine.delivery import LONGEST_PAUSE
from redis_state.engine.op import Op, Plan, command, do
from redis_state.errors import (
    CallError,
    ComputeFailed,
    ComputeTimeout,
    LockLost,
    LockTimeout,
    NotReplicated,
    OutcomeUnknown,
    ServerFull,
    ServerRefused,
    ServerUnavailable,
)
from redis_state.events import UNHEARD, Events, LockAcquired, LockTimedOut
from redis_state.lock.operations import (
    CLOCK_RESOLUTION_S,
    WAKEUP_LEASE_S,
    Granted,
    Lease,
    Request,
    Waiting,
    attempt,
    renew,
)

T = TypeVar("T")

BLOCK_S = 0.95  # that a waiter blocks before it asks again, so a wake-up that was lost costs no more
ATTEMPT_S = 1.0  # for an attempt that does not wait, where the server does not answer
TRIES = 3  # leases that may be over before their answer comes, until a caller that waits for ever is told


def nobody_here(name: str, owner: str, forever: bool) -> str:
    """Say nothing about the holder."""
    return ""


class Timeout:
    """How long a caller waits, and from when on."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.began = now = monotonic()
        self.ends = None if seconds is None else now + seconds
        self.until = now + ATTEMPT_S if seconds == 0 else self.ends

    def left(self) -> float:
        """Return how many seconds are left, ``BLOCK_S`` where there is no end."""
        return BLOCK_S if self.ends is None else self.ends - monotonic()

    def bounds(self, op: Op[T]) -> Op[T]:
        """Let an op end when the timeout does, also where no server answers."""
        op.until = self.until
        return op

    def spent(self) -> float:
        """Return how many seconds the caller has waited."""
        return monotonic() - self.began

    def is_spent_by(self, seconds: float) -> bool:
        """Tell whether it ends within so many seconds."""
        return self.until is not None and monotonic() + seconds >= self.until


def acquire(
    request: Request,
    seconds: float | None,
    *,
    kept: bool,
    whose: Callable[[str, str, bool], str] = nobody_here,
    events: Events = UNHEARD,
) -> Plan[Lease]:
    """Hold the lock, or wait in its queue until so many ``seconds`` are spent (None: for ever).

    ``LockTimeout`` then, also when no server answers. ``kept``: something renews the lease from now on, so a short one
    may do at first; else it is never shorter than asked for. ``whose`` tells who of this process the holder is, if it
    is one, and refuses a wait that cannot end.
    """
    timeout, tries = Timeout(seconds), 0
    try:
        while True:
            sent = monotonic()
            first = attempt(request, request.first_lease, queue=seconds != 0)
            first.until = timeout.until
            answer = yield first
            if type(answer) is Granted:
                lease = Lease(answer.fence, answer.now, sent + request.first_lease - CLOCK_RESOLUTION_S)
                enough = request.first_lease / (4 if kept else 2)
            else:
                answer = _alive(request, answer)
                lease = yield from _wait(request, answer, sent - answer.now, timeout, whose)
                whole = kept or request.first_lease <= WAKEUP_LEASE_S
                enough = min(WAKEUP_LEASE_S, request.first_lease) / 2 if whole else request.first_lease
            sure = lease if lease.ends - monotonic() >= enough else (yield from _sure_of(lease, request, timeout))
            if sure is not None:
                break
            tries += 1
            if timeout.left() <= 0 or (seconds is None and tries == TRIES):
                _too_short(request, timeout)
    except (OutcomeUnknown, ServerUnavailable) as error:
        if not timeout.is_spent_by(LONGEST_PAUSE):
            raise
        late = LockTimeout(request.name, seconds or 0.0, why="the server did not answer")
        _tell_late(events, request, timeout, late)
        raise late from error
    except LockTimeout as late:
        _tell_late(events, request, timeout, late)
        raise
    if events.hooks:
        events.tell(LockAcquired(request.partition.namespace, request.name, sure.fence, timeout.spent()))
    return sure


def _tell_late(events: Events, request: Request, timeout: Timeout, late: LockTimeout) -> None:
    if events.hooks:
        events.tell(LockTimedOut(request.partition.namespace, request.name, timeout.spent(), late.holder))


def _sure_of(lease: Lease, request: Request, timeout: Timeout) -> Plan[Lease | None]:
    """Renew a lease whose answer took long, or that is on trial and not renewed; None when it is over."""
    sent = monotonic()
    if (yield from do(timeout.bounds(renew(request, request.first_lease)))):
        lease = lease._replace(ends=sent + request.first_lease - CLOCK_RESOLUTION_S)
        if monotonic() < lease.ends:
            return lease
    return None


def _wait(
    request: Request, answer: Waiting, offset: float, timeout: Timeout, whose: Callable[[str, str, bool], str]
) -> Plan[Lease]:
    """Wait in rounds. ``offset``: our clock less the server's, at the least."""
    trial = min(request.first_lease, WAKEUP_LEASE_S)
    wake = request.partition.key("wake", request.name)
    found: Granted | Waiting
    while True:
        holder = whose(request.name, answer.owner, timeout.seconds is None)
        left = timeout.left()
        if left <= 0 or timeout.seconds == 0:
            _not_free(request, timeout, answer, holder)
        seconds = max(0.001, min(BLOCK_S, left, answer.remaining + CLOCK_RESOLUTION_S))
        last = timeout.ends is not None and seconds >= left  # asks once more, and leaves the queue
        sent = monotonic()
        both: list[Op[Any]] = [
            command(request.partition, "BLPOP", wake, f"{seconds:.3f}", read=_woken, blocks=seconds),
            timeout.bounds(attempt(request, trial, queue=not last)),
        ]
        woken, found = yield both
        found = _alive(request, found)
        if woken is False:  # so our acquire ran no earlier than this
            offset = sent + seconds - CLOCK_RESOLUTION_S - found.now
        if found.now + offset > monotonic():  # the server's clock was set forward meanwhile
            offset = sent - found.now
        if isinstance(found, Granted):
            return Lease(found.fence, found.now, found.now + trial + offset - CLOCK_RESOLUTION_S)
        answer = found


def left_behind(error: BaseException) -> Literal["nothing", "later", "now"]:
    """Tell when to give up an acquisition that ended so: it may hold the lock, or stand in its queue.

    "later": no server answers now. "now": its caller was interrupted.
    """
    if isinstance(error, (ComputeFailed, ComputeTimeout, ServerFull, ServerRefused)):
        return "nothing"
    if isinstance(error, NotReplicated):
        return "now"
    if isinstance(error, LockTimeout):
        return "nothing" if error.__cause__ is None else "later"
    return "later" if isinstance(error, CallError) else "now"


def _not_free(request: Request, timeout: Timeout, answer: Waiting, holder: str) -> NoReturn:
    why = f"that is {holder}" if holder else ""
    raise LockTimeout(
        request.name, timeout.seconds or 0.0, answer.holder, note=answer.note, since=answer.since, why=why
    )


def _too_short(request: Request, timeout: Timeout) -> NoReturn:
    why = f"its lease of {request.first_lease:g} s was over before the server's answer came: ask for a longer one"
    if timeout.seconds is None:
        raise LockLost(request.name, why)
    raise LockTimeout(request.name, timeout.seconds, why=why)


def _alive(request: Request, answer: Any) -> Any:
    if answer is None:
        raise LockLost(request.name, "this acquisition was given up")
    return answer


def _woken(reply: Any) -> bool:
    return reply is not None
