"""What can be done with a lock, as operations, and waiting for one as a plan. Sends nothing.

The server's clock decides when a lease ends; the holder's own clock must not think so later. So each
reply that tells the server's time is paired with an instant of ours at which it was not later than
that, and what the server says afterwards is counted from there.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from time import monotonic
from typing import Any, NamedTuple

from redis_state.engine.op import Op, Plan, command, do, do_all, just
from redis_state.engine.registry import script
from redis_state.errors import LockTimeout
from redis_state.keys import Keys

ACQUIRE = script("lock/acquire")
RENEW = script("lock/renew")
RELEASE = script("lock/release")
LEAVE = script("lock/leave")
INSPECT = script("lock/inspect")
PAGE = script("index/page")

LEASE = 30.0  # seconds
LONGEST_LEASE = 86400.0
ROUND = 0.95  # seconds that a waiter blocks before it asks again, so a wake-up that was lost costs no more
QUEUE = 4.0  # seconds that a waiter counts as one after it asked
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


@dataclass(frozen=True, slots=True)
class Request:
    """One acquisition: which lock, for whom, for how long."""

    keys: Keys
    name: str
    lease: float
    container: str
    note: str = ""
    max_hold: float | None = None
    owner: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def __post_init__(self) -> None:
        if not isinstance(self.note, str):
            raise TypeError(f"lock {self.name!r}: note is a text, not {type(self.note).__name__}")
        self.keys.head(self.name)

    @property
    def first_lease(self) -> float:
        """How long the lease is before it is renewed."""
        return self.lease if self.max_hold is None else min(self.lease, self.max_hold)


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


def attempt(want: Request, lease: float, *, queue: bool) -> Op[Granted | Waiting]:
    """Hold the lock if it is free; else stand in its queue, or leave that."""
    keys, name = want.keys, want.name
    call = ACQUIRE(
        lock=keys.lock(name),
        guard=keys.fence(name),
        queue=keys.queue(name),
        wake=keys.wake(name),
        leases=keys.leases(name),
        name=name,
        owner=want.owner,
        lease_ms=_ms(lease),
        queue_ms=_ms(QUEUE) if queue else 0,
        container=want.container,
        note=want.note,
    )
    return call.meaning(held=_granted, wait=_waiting, left=just(None))


def renew(want: Request, lease: float) -> Op[bool]:
    """Let the lease begin anew; False when it is over."""
    keys, name = want.keys, want.name
    call = RENEW(
        lock=keys.lock(name),
        guard=keys.fence(name),
        leases=keys.leases(name),
        name=name,
        owner=want.owner,
        lease_ms=_ms(lease),
    )
    return call.meaning(renewed=just(True), lost=just(False))


def release(want: Request) -> Op[bool]:
    """Free the lock and wake the next one; False when it was not the caller's any more."""
    call = RELEASE(**_freeing(want))
    return call.meaning(released=just(True), lost=just(False))


def leave(want: Request) -> Op[None]:
    """Give up an acquisition, whatever became of it, also when it is still on its way."""
    call = LEAVE(**_freeing(want), gone_ms=_ms(GONE))
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
        cursor = "0"
        while True:
            cursor, found = yield from do(PAGE(partition=leases, cursor=cursor).meaning(page=_page))
            names.update(dict.fromkeys(found))
            if cursor == "0":
                break
    infos = yield from do_all([inspect(keys, name) for name in sorted(names)])
    return [info for info in infos if info is not None]


def _freeing(want: Request) -> dict[str, Any]:
    keys, name = want.keys, want.name
    return {
        "lock": keys.lock(name),
        "queue": keys.queue(name),
        "wake": keys.wake(name),
        "leases": keys.leases(name),
        "name": name,
        "owner": want.owner,
    }


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _granted(fence: bytes, now: int) -> Granted:
    return Granted(int(fence), now / 1000)


def _waiting(ms: int, now: int, container: bytes = b"") -> Waiting:
    return Waiting(max(0, ms) / 1000, now / 1000, container.decode(errors="replace"))


def _page(cursor: bytes, names: Sequence[bytes]) -> tuple[str, list[str]]:
    return cursor.decode(), [name.decode("utf-8", "surrogateescape") for name in names]


# --- waiting ------------------------------------------------------------------------------------------


def acquire(want: Request, patience: float | None, *, kept: bool) -> Plan[Lease]:
    """Hold the lock, or wait in its queue until ``patience`` seconds are spent (None: for ever).

    ``LockTimeout`` then. ``kept``: something renews the lease from now on, so a short one may do at first.
    """
    give_up = None if patience is None else monotonic() + patience
    while True:
        sent = monotonic()
        answer = yield from do(attempt(want, want.first_lease, queue=patience != 0))
        if type(answer) is Granted:
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


def _wait(
    want: Request, answer: Waiting, offset: float, give_up: float | None, patience: float | None
) -> Plan[Lease]:
    """Wait in rounds. ``offset``: our clock less the server's, at the least."""
    trial = min(want.first_lease, TRIAL)
    wake = want.keys.wake(want.name)
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
        woken, answer = yield from do_all(both)
        if woken is False:  # so our acquire ran no earlier than this
            offset = sent + seconds - GRAIN - answer.now
        if type(answer) is Granted:
            return Lease(answer.fence, answer.now, answer.now + trial + offset - GRAIN)


def _woken(reply: Any) -> bool:
    return reply is not None
