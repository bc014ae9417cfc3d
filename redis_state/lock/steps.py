"""What can be done with a lock, as operations, and waiting for one as a plan. Sends nothing.

The server's clock decides when a lease ends; the holder's own clock must not think so later. So each
reply that tells the server's time is paired with an instant of ours at which it was not later than
that, and what the server says afterwards is counted from there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import isfinite
from time import monotonic
from typing import Any, NamedTuple

from redis_state.engine.op import Op, Plan, command, do, do_all, just, reader
from redis_state.engine.registry import script
from redis_state.errors import LockLost, LockTimeout
from redis_state.keys import Keys

ACQUIRE = script("lock/acquire")
RENEW = script("lock/renew")
RELEASE = script("lock/release")
LEAVE = script("lock/leave")
INSPECT = script("lock/inspect")
NAMES = script("lock/names")

PAGE_OF_NAMES = 500

LEASE = 30.0  # seconds
LONGEST_LEASE = 86400.0
ROUND = 0.95  # seconds that a waiter blocks before it asks again, so a wake-up that was lost costs no more
QUEUE_MS = 4000  # that a waiter counts as one after it asked
TRIAL = 0.8  # seconds: the lease that a wake-up brings. Its holder renews it; one that was just killed does not
GONE = 300.0  # seconds for which a cancelled acquisition is remembered, the longest deadline of a call
GRAIN = 0.002  # seconds: the server tells whole milliseconds


class Granted(NamedTuple):
    """The lock is the caller's: the token, and the server's time at that moment, in seconds."""

    fence: int
    now: float


class Waiting(NamedTuple):
    """Somebody holds the lock: what is left of the lease, the server's time, who that is."""

    remaining: float
    now: float
    holder: str


class Lease(NamedTuple):
    """What an acquisition brought. ``ends`` is by our own monotonic clock, and never late."""

    fence: int
    since: float  # seconds since 1970, by the server's clock
    ends: float


@dataclass(frozen=True, slots=True)
class LockInfo:
    """A lock as others see it. Times are seconds, by the server's clock."""

    name: str
    holder: str  # random, of this acquisition
    container: str
    fence: int
    since: float  # since 1970
    remaining: float
    waiters: int
    note: str


class LockKeys(NamedTuple):
    """Where a lock is kept."""

    lock: str
    guard: str
    queue: str
    wake: str
    leases: str

    @classmethod
    def of(cls, keys: Keys, name: str) -> LockKeys:
        return cls(keys.lock(name), keys.fence(name), keys.queue(name), keys.wake(name), keys.leases(name))


class Request:
    """One acquisition: which lock, for whom, for how long."""

    __slots__ = ("at", "container", "first_lease", "keys", "lease", "max_hold", "name", "note", "owner")

    def __init__(
        self,
        keys: Keys,
        name: str,
        lease: float,
        container: str,
        note: str = "",
        max_hold: float | None = None,
        owner: str = "",
        at: LockKeys | None = None,
    ) -> None:
        if not isinstance(note, str):
            raise TypeError(f"lock {name!r}: note is a text, not {type(note).__name__}")
        self.keys = keys
        self.name = name
        self.lease = lease
        self.container = container
        self.note = note
        self.max_hold = max_hold
        self.owner = owner or new_owner()
        self.at = at or LockKeys.of(keys, name)
        self.first_lease = lease if max_hold is None else min(lease, max_hold)  # before it is renewed


class _Owners:
    """Names that nobody else gives: random for each process, and numbered."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._process = secrets.token_urlsafe(12)
        self._numbers = count(1)

    def new(self) -> str:
        return f"{self._process}.{next(self._numbers)}"


_owners = _Owners()
new_owner = _owners.new
os.register_at_fork(after_in_child=_owners.begin)


def checked_seconds(name: str, what: str, seconds: float | None, longest: float = LONGEST_LEASE) -> float | None:
    """Refuse what is no time above 0."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"lock {name!r}: {what} is a number of seconds, not {type(seconds).__name__}")
    if not isfinite(seconds) or not 0.001 <= seconds <= longest:
        raise ValueError(f"lock {name!r}: {what}={seconds!r}: seconds, from 0.001 to {longest:.0f}")
    return seconds


# --- operations ---------------------------------------------------------------------------------------


def attempt(want: Request, lease: float, *, queue: bool) -> Op[Granted | Waiting | None]:
    """Hold the lock if it is free; else stand in its queue, or leave that. None: this acquisition was given up."""
    at = want.at
    call = ACQUIRE(
        lock=at.lock,
        guard=at.guard,
        queue=at.queue,
        wake=at.wake,
        leases=at.leases,
        name=want.name,
        owner=want.owner,
        lease_ms=_ms(lease),
        queue_ms=QUEUE_MS if queue else 0,
        container=want.container,
        note=want.note,
    )
    return call.read_by(_ACQUIRED)


def renew(want: Request, lease: float) -> Op[bool]:
    """Let the lease begin anew; False when it is over."""
    at = want.at
    call = RENEW(lock=at.lock, guard=at.guard, leases=at.leases, name=want.name, owner=want.owner, lease_ms=_ms(lease))
    return call.read_by(_RENEWED)


def release(want: Request) -> Op[bool]:
    """Free the lock and wake the next one; False when it was not the caller's any more."""
    at = want.at
    call = RELEASE(lock=at.lock, queue=at.queue, wake=at.wake, leases=at.leases, name=want.name, owner=want.owner)
    return call.read_by(_RELEASED)


def leave(want: Request) -> Op[None]:
    """Give up an acquisition, whatever became of it, also when it is still on its way."""
    at = want.at
    call = LEAVE(
        lock=at.lock,
        queue=at.queue,
        wake=at.wake,
        leases=at.leases,
        name=want.name,
        owner=want.owner,
        gone_ms=_ms(GONE),
    )
    return call.meaning(left=just(None))


def inspect(keys: Keys, name: str) -> Op[LockInfo | None]:
    """See who holds a lock; None when nobody does."""

    def held(ms: int, waiters: int, *facts: bytes) -> LockInfo:
        owner, fence, container, since, note = (fact.decode(errors="replace") for fact in facts)
        return LockInfo(name, owner, container, int(fence), int(since) / 1000, max(0, ms) / 1000, waiters, note)

    return INSPECT(lock=keys.lock(name), queue=keys.queue(name)).meaning(held=held, free=just(None))


def held_locks(keys: Keys) -> Plan[list[LockInfo]]:
    """See all locks of a namespace that are held now, sorted by name."""
    names: dict[str, None] = {}
    for leases in keys.all_leases():
        skip = 0
        while True:
            found = yield from do(NAMES(leases=leases, skip=skip).meaning(names=_names))
            names.update(dict.fromkeys(found))
            skip += PAGE_OF_NAMES
            if len(found) < PAGE_OF_NAMES:
                break
    infos = yield from do_all([inspect(keys, name) for name in sorted(names)])
    return [info for info in infos if info is not None]


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _granted(fence: bytes, now: int) -> Granted:
    return Granted(int(fence), now / 1000)


def _waiting(ms: int, now: int, container: bytes = b"") -> Waiting:
    return Waiting(max(0, ms) / 1000, now / 1000, container.decode(errors="replace"))


_ACQUIRED = reader(ACQUIRE, {"held": _granted, "wait": _waiting, "left": just(None)})
_RENEWED = reader(RENEW, {"renewed": just(True), "lost": just(False)})
_RELEASED = reader(RELEASE, {"released": just(True), "lost": just(False)})


def _names(names: Sequence[bytes]) -> list[str]:
    return [name.decode("utf-8", "surrogateescape") for name in names]


# --- waiting ------------------------------------------------------------------------------------------


def acquire(want: Request, patience: float | None, *, kept: bool) -> Plan[Lease]:
    """Hold the lock, or wait in its queue until ``patience`` seconds are spent (None: for ever).

    ``LockTimeout`` then. ``kept``: something renews the lease from now on, so a short one may do at first.
    """
    give_up = None if patience is None else monotonic() + patience
    while True:
        sent = monotonic()
        answer = _alive(want, (yield attempt(want, want.first_lease, queue=patience != 0)))
        if isinstance(answer, Granted):
            lease = Lease(answer.fence, answer.now, sent + want.first_lease - GRAIN)
            enough = want.first_lease / 4
        else:
            lease = yield from _wait(want, answer, sent - answer.now, give_up, patience)
            enough = TRIAL / 2 if kept else want.first_lease * 0.75
        if lease.ends - monotonic() >= min(enough, want.first_lease / 2):
            return lease
        # The answer took long, or the lease is one on trial that nobody will renew: make sure of it.
        sent = monotonic()
        if (yield from do(renew(want, want.first_lease))):
            return lease._replace(ends=sent + want.first_lease - GRAIN)


def _wait(want: Request, answer: Waiting, offset: float, give_up: float | None, patience: float | None) -> Plan[Lease]:
    """Wait in rounds. ``offset``: our clock less the server's, at the least."""
    trial = min(want.first_lease, TRIAL)
    wake = want.at.wake
    found: Granted | Waiting
    while True:
        left = ROUND if give_up is None else give_up - monotonic()
        if left <= 0 or patience == 0:
            raise LockTimeout(want.name, patience or 0.0, answer.holder)
        seconds = max(0.001, min(ROUND, left, answer.remaining + GRAIN))
        last = give_up is not None and seconds >= left  # asks once more, and leaves the queue
        sent = monotonic()
        both: list[Op[Any]] = [
            command("BLPOP", wake, f"{seconds:.3f}", read=_woken, blocks=seconds),
            attempt(want, trial, queue=not last),
        ]
        woken, found = yield both
        found = _alive(want, found)
        if woken is False:  # so our acquire ran no earlier than this
            offset = sent + seconds - GRAIN - found.now
        if isinstance(found, Granted):
            return Lease(found.fence, found.now, found.now + trial + offset - GRAIN)
        answer = found


def _alive(want: Request, answer: Granted | Waiting | None) -> Granted | Waiting:
    if answer is None:
        raise LockLost(want.name, "this acquisition was given up")
    return answer


def _woken(reply: Any) -> bool:
    return reply is not None
