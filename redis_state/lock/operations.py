"""What can be done with a lock, as operations. Sends nothing. How one waits is a plan of its own: ``waiting``."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

from redis_state.durations import DAY, seconds, to_ms
from redis_state.engine.op import Op, Plan, do_all, just
from redis_state.engine.operation import ScriptOp, operation
from redis_state.engine.pages import by_offset
from redis_state.keys import Keys, Partition

LEASE = 30.0  # seconds
LONGEST_LEASE_S = DAY
QUEUE_MS = 4000  # that a waiter counts as one after it asked
WAKEUP_LEASE_S = 0.8  # the lease that a wake-up brings. Its holder renews it; one that was just killed does not
ABANDONED_TTL_S = 300.0  # for which a cancelled acquisition is remembered, the longest deadline of a call
CLOCK_RESOLUTION_S = 0.002  # the server tells whole milliseconds


class Granted(NamedTuple):
    """The lock is the caller's: the token, and the server's time at that moment, in seconds."""

    fence: int
    now: float


class Waiting(NamedTuple):
    """The lock is held: what is left of the lease, the server's time, and by whom, since when and what for."""

    remaining: float
    now: float
    holder: str  # the container
    owner: str  # random, of the acquisition
    note: str
    since: float


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


_NOWHERE: Mapping[str, str] = MappingProxyType({})


class Request:
    """One acquisition: which lock, for whom, for how long.

    ``fence_key`` is where the lock's last token is kept, if that is not the key of its name.
    """

    __slots__ = ("container", "elsewhere", "first_lease", "lease", "max_hold", "name", "note", "owner", "partition")

    def __init__(
        self,
        where: Keys | Partition,
        name: str,
        lease: float,
        container: str,
        note: str = "",
        max_hold: float | None = None,
        owner: str = "",
        fence_key: str = "",
    ) -> None:
        if not isinstance(note, str):
            raise TypeError(f"lock {name!r}: note is a text, not {type(note).__name__}")
        self.partition = where.of(name)
        self.name = name
        self.lease = lease
        self.container = container
        self.note = note
        self.max_hold = max_hold
        self.owner = owner or new_owner()
        self.elsewhere = {"fence": fence_key} if fence_key else _NOWHERE  # slots of other keys than those of the name
        self.first_lease = lease if max_hold is None else min(lease, max_hold)  # before it is renewed

    @property
    def fence_key(self) -> str:
        """Where the last token of the lock is kept."""
        return self.elsewhere.get("fence") or self.partition.key("fence", self.name)


class _Owners:
    """Names that no other process gives: random for each process, and numbered."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._process = secrets.token_urlsafe(12)
        self._numbers = count(1)

    def new(self) -> str:
        return f"{self._process}.{next(self._numbers)}"

    def made(self, owner: str) -> bool:
        return owner.startswith(self._process)


_owners = _Owners()
new_owner = _owners.new
own_process = _owners.made  # tells whether an acquisition is one of this process
os.register_at_fork(after_in_child=_owners.begin)


def checked_seconds(name: str, what: str, value: float | None, longest: float = LONGEST_LEASE_S) -> float | None:
    """Return a duration of the lock ``name``, or None; raise unless it is from 0.001 s to ``longest``."""
    return None if value is None else seconds(f"lock {name!r}: {what}", value, least=0.001, most=longest)


# --- what replies mean --------------------------------------------------------------------------------


def _granted(_: object, fence: bytes, now: int) -> Granted:
    return Granted(int(fence), now / 1000)


def _waiting(_: object, ms: int, now: int, *facts: bytes) -> Waiting:
    container, owner, note, since = (fact.decode(errors="replace") for fact in facts)
    return Waiting(max(0, ms) / 1000, now / 1000, container, owner, note, int(since) / 1000)


def _info(call: ScriptOp[Any], ms: int, waiters: int, *facts: bytes) -> LockInfo:
    owner, fence, container, since, note = (fact.decode(errors="replace") for fact in facts)
    left = max(0, ms) / 1000
    return LockInfo(call["name"], owner, container, int(fence), int(since) / 1000, left, waiters, note)


def texts_of(_: object, names: Sequence[bytes]) -> list[str]:
    """Return names as text."""
    return [name.decode("utf-8", "surrogateescape") for name in names]


ACQUIRE = operation("lock/acquire", held=_granted, wait=_waiting, left=just(None))
RENEW = operation("lock/renew", renewed=just(True), lost=just(False))
RELEASE = operation("lock/release", released=just(True), lost=just(False))
LEAVE = operation("lock/leave", left=just(None))
INSPECT = operation("lock/inspect", held=_info, free=just(None))
NAMES = operation("lock/names", names=texts_of)


# --- operations ---------------------------------------------------------------------------------------


def attempt(request: Request, lease: float, *, queue: bool) -> Op[Granted | Waiting | None]:
    """Hold the lock if it is free; else stand in its queue, or leave that. None: this acquisition was given up."""
    return ACQUIRE(
        request.partition,
        request.name,
        owner=request.owner,
        lease_ms=to_ms(lease),
        queue_ms=QUEUE_MS if queue else 0,
        container=request.container,
        note=request.note,
    )


def renew(request: Request, lease: float) -> Op[bool]:
    """Let the lease begin anew; False when it is over."""
    return RENEW(request.partition, request.name, **request.elsewhere, owner=request.owner, lease_ms=to_ms(lease))


def release(request: Request) -> Op[bool]:
    """Free the lock and wake the next one; False when it was not the caller's any more."""
    return RELEASE(request.partition, request.name, owner=request.owner)


def leave(request: Request) -> Op[None]:
    """Give up an acquisition, whatever became of it, also when it is still on its way."""
    return LEAVE(request.partition, request.name, owner=request.owner, gone_ms=to_ms(ABANDONED_TTL_S))


def inspect(keys: Keys, name: str) -> Op[LockInfo | None]:
    """See who holds a lock; None when it is free."""
    return INSPECT(keys, name)


def held_locks(keys: Keys) -> Plan[list[LockInfo]]:
    """See all locks of a namespace that are held now, sorted by name."""
    names: dict[str, None] = {}
    for partition in keys.parts:
        names.update(dict.fromkeys((yield from by_offset(partial(NAMES, partition)))))
    infos = yield from do_all([inspect(keys, name) for name in sorted(names)])
    return [info for info in infos if info is not None]
