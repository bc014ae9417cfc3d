"""What can be done with a claim, as operations. Sends nothing.

A claim is held under a lock of the same name as its record, in the record's namespace, so a write to
the record that carries a bare token is compared with the lock's last one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any, NamedTuple

from redis_state.codec import decode, encode
from redis_state.engine.op import Op, Plan, command, do, do_all, just, raises
from redis_state.engine.registry import script
from redis_state.errors import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    ServerFull,
    ServerRefused,
    StaleToken,
    UnknownSession,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.lock.steps import GRAIN, Lease, Request, renew
from redis_state.mapping.records import Records
from redis_state.mapping.stored import snapshot, stored_fields

TAKE = script("claim/take")
CONFIRM = script("claim/confirm")
FAIL = script("claim/fail")
REOPEN = script("claim/reopen")
STALLED = script("claim/stalled")

PAGE_OF_STALLED = 500
LONGEST_REST = 3600.0  # seconds
REFUSED = (  # each proves that nothing was taken
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    UnknownSession,
    UploadClosed,
    UploadIncomplete,
    ServerFull,
    ServerRefused,
    TypeError,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How often work is tried, how long it rests in between, and what its record's ``status`` says meanwhile.

    ``backoff`` seconds after the first failed attempt, twice as many after each further one.
    """

    max_attempts: int = 3
    backoff: float = 1.0
    taken: str = "taken"
    done: str = "done"
    failed: str = "failed"

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ValueError(f"max_attempts={self.max_attempts!r}: a whole number, 1 or more")
        if type(self.backoff) not in (int, float):
            raise TypeError(f"backoff is a number of seconds, not {type(self.backoff).__name__}")
        if not isfinite(self.backoff) or not 0 <= self.backoff <= LONGEST_REST:
            raise ValueError(f"backoff={self.backoff!r}: seconds, from 0 to {LONGEST_REST:.0f}")

    def rest(self, attempt: int) -> float:
        """Return how many seconds it rests after this attempt has failed."""
        return float(min(LONGEST_REST, self.backoff * 2.0 ** min(attempt - 1, 30)))

    # What takes and ends such work. A domain whose records have rules of their own says it with its own scripts.

    def take(self, want: Request, records: Records, fields: Mapping[str, Any]) -> Op[Taken]:
        return _take(want, records, fields, self.max_attempts)

    def confirm(self, want: Request, records: Records, fence: int, result: Any) -> Op[None]:
        return confirm(want, records, fence, result, self)

    def fail(self, want: Request, records: Records, fence: int, error: object, attempt: int) -> Op[None]:
        return fail(want, records, fence, error, attempt, self)


DEFAULT = Terms()


class Taken(NamedTuple):
    """What taking brought: the lease, which attempt this is, and what the last taker left."""

    lease: Lease
    attempt: int
    previous: dict[str, Any] | None


def take(want: Request, records: Records, data: Mapping[str, Any], terms: Terms) -> Plan[Taken]:
    """Take the work. ``AlreadyClaimed``, ``AlreadyDone`` or ``AttemptsExhausted`` when that cannot be."""
    while True:
        sent = monotonic()
        taken = yield from do(terms.take(want, records, {"status": terms.taken, **data}))
        lease = taken.lease._replace(ends=sent + want.first_lease - GRAIN)
        if lease.ends - monotonic() >= want.first_lease / 4:
            return taken._replace(lease=lease)
        sent = monotonic()  # the answer took long: make sure of it
        if (yield from do(renew(want, want.first_lease))):
            return taken._replace(lease=lease._replace(ends=sent + want.first_lease - GRAIN))


def _take(want: Request, records: Records, fields: Mapping[str, Any], most: int) -> Op[Taken]:
    keys, name = want.keys, want.name
    call = TAKE(
        entry=keys.record(name),
        partition=keys.index(name),
        lock=keys.lock(name),
        guard=keys.fence(name),
        leases=keys.leases(name),
        name=name,
        owner=want.owner,
        lease_ms=max(1, int(want.first_lease * 1000)),
        ttl_ms=int(records.ttl * 1000),
        most=most,
        container=want.container,
        note=want.note,
        fields=stored_fields(name, fields),
    )

    return call.meaning(**taking(name))


def taking(name: str) -> dict[str, Any]:
    """Return what the words mean that answer a taker."""

    def taken(fence: bytes, now: int, attempt: int, before: Sequence[bytes]) -> Taken:
        seen = snapshot(name, before)
        return Taken(Lease(int(fence), now / 1000, 0.0), attempt, None if seen is None else seen.fields)

    def claimed(ms: int, container: bytes = b"") -> None:
        raise AlreadyClaimed(name, container.decode(errors="replace"), max(0, ms) / 1000)

    def resting(ms: int) -> None:
        raise AlreadyClaimed(name, None, ms / 1000)

    def exhausted(attempts: int, error: bytes) -> None:
        raise AttemptsExhausted(name, attempts, decode(error))

    return {"taken": taken, "claimed": claimed, "resting": resting, "done": done(name), "exhausted": exhausted}


def done(name: str) -> Callable[[bytes], None]:
    """Return the meaning of `done`: raises ``AlreadyDone``."""

    def mean(result: bytes) -> None:
        raise AlreadyDone(name, decode(result))

    return mean


def confirm(want: Request, records: Records, fence: int, result: Any, terms: Terms) -> Op[None]:
    """Say that the work is done, and free its lock. ``StaleToken`` when somebody else has taken it since."""
    fields = stored_fields(want.name, {"status": terms.done, "result": result})
    call = CONFIRM(**_ending(want, records, fence), fields=fields)
    return call.meaning(confirmed=just(None), stale=_stale(want.name, fence))


def fail(want: Request, records: Records, fence: int, error: object, attempt: int, terms: Terms) -> Op[None]:
    """Say that this attempt failed, and free its lock. ``StaleToken`` when somebody else has taken it since,
    ``AlreadyDone`` when it is done."""
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    fields = ["status", encode(terms.failed), "error", encode(reason)]
    call = FAIL(**_ending(want, records, fence), rest_ms=int(terms.rest(attempt) * 1000), fields=fields)
    return call.meaning(failed=just(None), stale=_stale(want.name, fence), done=done(want.name))


def reopen(records: Records, name: str) -> Op[bool]:
    """Let work that failed, or whose takers died, be tried again at once; False when there is nothing to reopen."""
    call = REOPEN(entry=records.keys.record(name), lock=records.keys.lock(name))
    return call.meaning(reopened=just(True), nothing=just(False))


def stalled(records: Records) -> Plan[list[str]]:
    """List the work whose taker died: its lease is over, and it was neither confirmed nor failed."""
    keys = records.keys
    found: dict[str, None] = {}
    for leases in keys.all_leases():
        skip = 0
        while True:
            names = yield from do(STALLED(leases=leases, skip=skip).meaning(stalled=_names))
            states = yield from do_all([_state(keys.record(name)) for name in names])
            found.update(dict.fromkeys(name for name, state in zip(names, states, strict=True) if state == b"taken"))
            skip += PAGE_OF_STALLED
            if len(names) < PAGE_OF_STALLED:
                break
    return list(found)


def _state(record: str) -> Op[bytes | None]:
    return command("HGET", record, "@claim", read=lambda reply: reply)


def _names(names: Sequence[bytes]) -> list[str]:
    return [name.decode("utf-8", "surrogateescape") for name in names]


def _ending(want: Request, records: Records, fence: int) -> dict[str, Any]:
    keys, name = want.keys, want.name
    return {
        "entry": keys.record(name),
        "partition": keys.index(name),
        "lock": keys.lock(name),
        "guard": keys.fence(name),
        "leases": keys.leases(name),
        "queue": keys.queue(name),
        "wake": keys.wake(name),
        "name": name,
        "owner": want.owner,
        "token": fence,
        "ttl_ms": int(records.ttl * 1000),
    }


def _stale(name: str, fence: int) -> Any:
    return lambda newest: raises(StaleToken, name, fence, int(newest))()
