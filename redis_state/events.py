"""Events: what an engine tells its hooks, as typed, immutable values. Pure.

::

    engine.on_event(hook)             from now on; returns a function that removes the hook

    CallFinished                      each op that has its outcome
    CallRetried  ScriptHealed         trouble on the way, unseen by the caller
    Connected
    LockAcquired LockTimedOut         locks: what each acquisition came to
    LockReleased
    LeaseRenewed LeaseNotRenewed      leases of locks, claims and single flights
    LeaseLost    HoldDropped
    ClaimTaken   ClaimEnded           work that runs once
    ValueComputed ValueAwaited        single flight: led, or waited for
    ValueNotKept
    TextsEvicted                      the text cache made room

A hook is called with each event, in the thread or event loop of the call, before the call returns: it must be quick,
and must neither block nor use the engine. What it raises is logged once and goes no further. Times are seconds.

Logging is the first listener: ``log``, the hook of an engine that is made where the logger ``redis_state`` has level
DEBUG. Of any other engine warnings and retries alone are logged; ``engine.on_event(events.log)`` gives the rest. Each
record has ``event``, the name of the event, and ``redis_state``, its fields as a dict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging import DEBUG, INFO, WARNING
from typing import NamedTuple, TypeAlias


class CallFinished(NamedTuple):
    """An op has its outcome."""

    op: str  # script, as "progress/mark", or command, as "HGETALL"
    seconds: float  # from the caller's call on, waits and retries included
    outcome: str  # "ok", or the class of what it raises: "StaleToken", "OutcomeUnknown"
    attempts: int  # to connect, send and hear: 1 where all went well; those of its batch, if it was in one
    tag: str = ""  # what a script's reply begins with: "counted", "stale"; "" of a command, or where no reply came


class CallRetried(NamedTuple):
    """An exchange brought no outcome; it is tried again."""

    op: str  # the first that is tried again
    attempt: int  # that failed, from 1
    pause: float  # seconds until the next one
    why: str  # the last error; empty where the server asked for what is mended by now


class Connected(NamedTuple):
    """A connection was made. ``again``: in place of one that broke."""

    server: str
    again: bool


class ScriptHealed(NamedTuple):
    """A server did not have a script, and was given it."""

    script: str


class LockAcquired(NamedTuple):
    """A lock is held."""

    namespace: str
    name: str
    fence: int
    waited: float


class LockTimedOut(NamedTuple):
    """A lock was not free in time. ``holder``: the container that has it, if that is known."""

    namespace: str
    name: str
    waited: float
    holder: str | None


class LockReleased(NamedTuple):
    """A holder released its lock."""

    namespace: str
    name: str
    fence: int


class LeaseRenewed(NamedTuple):
    """A lease begins anew. ``remaining``: seconds that it lasts now."""

    namespace: str
    name: str
    fence: int
    remaining: float


class LeaseNotRenewed(NamedTuple):
    """A renewal brought no answer; it is tried again while the lease lasts. ``remaining``: seconds that are left."""

    namespace: str
    name: str
    fence: int
    remaining: float
    why: str


class LeaseLost(NamedTuple):
    """A holder was told that its lease is over: another may hold it by now."""

    namespace: str
    name: str
    fence: int


class HoldDropped(NamedTuple):
    """A hold was collected without having been released; its lock is freed."""

    namespace: str
    name: str
    fence: int
    kind: str  # the class: "Held", "Claim"


class ClaimTaken(NamedTuple):
    """Work was taken."""

    namespace: str
    name: str
    fence: int
    attempt: int  # from 1


class ClaimEnded(NamedTuple):
    """A taker said how its work ended. ``how``: "finished", "failed" or "handed back"."""

    namespace: str
    name: str
    fence: int
    how: str


class ValueComputed(NamedTuple):
    """A caller led a single flight. ``how``: "done", "failed" or "unkept"."""

    namespace: str
    name: str
    seconds: float
    how: str


class ValueAwaited(NamedTuple):
    """A caller has a value that another one computed, or its error."""

    namespace: str
    name: str
    seconds: float
    how: str  # "done", "failed", "unkept" (each caller computes it for itself) or "timed out"


class ValueNotKept(NamedTuple):
    """A computed value is returned and not kept. Told once for each namespace and kind of reason."""

    namespace: str
    name: str
    why: str


class TextsEvicted(NamedTuple):
    """The text cache removed what was used least recently, until a partition held ``limit`` bytes at most.

    A put that finds room by a few evictions of its own tells nothing.
    """

    namespace: str
    limit: int
    seconds: float


Event: TypeAlias = (
    CallFinished
    | CallRetried
    | Connected
    | ScriptHealed
    | LockAcquired
    | LockTimedOut
    | LockReleased
    | LeaseRenewed
    | LeaseNotRenewed
    | LeaseLost
    | HoldDropped
    | ClaimTaken
    | ClaimEnded
    | ValueComputed
    | ValueAwaited
    | ValueNotKept
    | TextsEvicted
)
Hook: TypeAlias = Callable[[Event], object]

ENGINE, LOCK, CLAIM, FLIGHT, CACHE = (
    logging.getLogger(f"redis_state.{package}") for package in ("engine", "lock", "claim", "single_flight", "cache")
)
# Of each event: the logger of its package, the level, and the text, filled with the event's fields.
LOGGED: dict[type, tuple[logging.Logger, int, str]] = {
    CallFinished: (ENGINE, DEBUG, "{op}: {outcome}, {seconds:.6f} s, {attempts} attempts"),
    CallRetried: (ENGINE, INFO, "{op}: attempt {attempt} had no outcome, again in {pause:.3f} s: {why}"),
    Connected: (ENGINE, DEBUG, "connected to {server}"),
    ScriptHealed: (ENGINE, DEBUG, "the server did not have {script}, and was given it"),
    LockAcquired: (LOCK, DEBUG, "{name!r} of {namespace} is held, fence {fence}, waited {waited:.3f} s"),
    LockTimedOut: (LOCK, DEBUG, "{name!r} of {namespace} was not free for {waited:.3f} s, holder {holder}"),
    LockReleased: (LOCK, DEBUG, "{name!r} of {namespace} is released, fence {fence}"),
    LeaseRenewed: (LOCK, DEBUG, "{name!r} of {namespace} is renewed, fence {fence}, {remaining:.1f} s left"),
    LeaseNotRenewed: (
        LOCK,
        WARNING,
        "{name!r} of {namespace} was not renewed, fence {fence}, {remaining:.1f} s left: {why}",
    ),
    LeaseLost: (LOCK, WARNING, "{name!r} of {namespace} is lost, fence {fence}: its lease is over"),
    HoldDropped: (
        LOCK,
        WARNING,
        "{kind} of {name!r}, fence {fence}, was dropped and not released: it is freed. Keep it, or use `with`",
    ),
    ClaimTaken: (CLAIM, DEBUG, "{name!r} of {namespace} is taken, fence {fence}, attempt {attempt}"),
    ClaimEnded: (CLAIM, DEBUG, "{name!r} of {namespace} is {how}, fence {fence}"),
    ValueComputed: (FLIGHT, DEBUG, "{name!r:.100} of {namespace} was computed in {seconds:.3f} s: {how}"),
    ValueAwaited: (FLIGHT, DEBUG, "{name!r:.100} of {namespace} was awaited for {seconds:.3f} s: {how}"),
    ValueNotKept: (FLIGHT, WARNING, "{namespace}: the value of {name!r:.100} is returned and not kept: {why}"),
    TextsEvicted: (CACHE, DEBUG, "{namespace}: texts were evicted in {seconds:.3f} s, down to {limit} bytes"),
}
ROOT = logging.getLogger("redis_state")


def log(event: Event) -> None:
    """Write an event to the log of its package, at its level. A hook as any other, also for a program of yours."""
    logger, level, text = LOGGED[type(event)]
    if logger.isEnabledFor(level):
        fields = event._asdict()
        logger.log(level, text.format_map(fields), extra={"event": type(event).__name__, "redis_state": fields})


class Events:
    """Hooks of one engine. While ``hooks`` is empty, no event is made but those that are reported."""

    __slots__ = ("_failed", "hooks")

    def __init__(self) -> None:
        self.hooks: tuple[Hook, ...] = (log,) if ROOT.isEnabledFor(DEBUG) else ()
        self._failed: tuple[Hook, ...] = ()

    def add(self, hook: Hook) -> Callable[[], None]:
        """Call a hook with each event from now on. Returns a function that removes it."""
        self.hooks = (*self.hooks, hook)

        def remove() -> None:
            self.hooks = tuple(one for one in self.hooks if one is not hook)

        return remove

    def tell(self, event: Event) -> None:
        """Call each hook."""
        for hook in self.hooks:
            try:
                hook(event)
            except Exception:
                if all(one is not hook for one in self._failed):
                    self._failed = (*self._failed, hook)
                    ROOT.exception("the event hook %r failed at %r; later failures of it are not logged", hook, event)

    def report(self, event: Event) -> None:
        """Write to the log what an operator is to read unasked, and call each hook."""
        if log not in self.hooks:
            log(event)
        self.tell(event)


UNHEARD = Events()  # of plans that no engine follows
