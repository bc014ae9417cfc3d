"""Errors of locks, fencing tokens, claims, runs, caches and computations."""

from __future__ import annotations

from functools import partial
from typing import Any

from redis_state.errors.base import RedisStateError


class StaleToken(RedisStateError):
    """A fenced write came with an older token than one already seen: its lock was taken over.

    Or with a newer one than was ever granted. ``token`` is the one that was offered, ``newest`` the one in force.
    """

    def __init__(self, key: str, token: int, newest: int) -> None:
        why = f"is older than {newest}; the lock has a newer holder"
        if token > newest:
            why = f"was never granted: none is newer than {newest}; pass what acquire() or claim() returned"
        super().__init__(f"{key!r}: fencing token {token} {why}")
        self.key = key
        self.token = token
        self.newest = newest

    def __reduce__(self) -> tuple[Any, ...]:
        return StaleToken, (self.key, self.token, self.newest)


class LockTimeout(RedisStateError, TimeoutError):
    """The lock was not free within ``timeout`` seconds.

    ``holder`` is the container that holds it, ``since`` when (seconds since 1970, by the server's clock) and ``note``
    what it said about it; None where that is not known. ``why`` says more: that this thread is the holder, or that
    the server did not answer.
    """

    def __init__(
        self,
        name: str,
        timeout: float,
        holder: str | None = None,
        *,
        note: str | None = None,
        since: float | None = None,
        why: str = "",
    ) -> None:
        by = f"{holder} holds it" + (f" ({note})" if note else "") if holder else ""
        text = "; ".join(part for part in (f"lock {name!r} was not free within {timeout:g} s", by, why) if part)
        super().__init__(text)
        self.name = name
        self.timeout = timeout
        self.holder = holder
        self.note = note
        self.since = since
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(LockTimeout, note=self.note, since=self.since, why=self.why)
        return made, (self.name, self.timeout, self.holder)


class LockLost(RedisStateError):
    """The lease is over, so another holder may have the lock by now: stop, or write with ``fence=`` only."""

    def __init__(self, name: str, why: str = "its lease is over; somebody else may hold it by now") -> None:
        super().__init__(f"lock {name!r}: {why}")
        self.name = name
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return LockLost, (self.name, self.why)


class AlreadyClaimed(RedisStateError):
    """A container works on it, or it failed and rests before the next attempt.

    ``holder`` is the container that works on it, None when it rests; ``remaining`` are the seconds until
    the lease, or the rest, is over.
    """

    def __init__(self, key: str, holder: str | None, remaining: float) -> None:
        who = f"{holder} works on it, and its lease has" if holder is not None else "it failed, and its rest has"
        super().__init__(f"{key!r}: {who} {remaining:.3g} s to go")
        self.key = key
        self.holder = holder
        self.remaining = remaining

    @property
    def resting(self) -> bool:
        """True when it failed and rests before the next attempt, False when a container works on it."""
        return self.holder is None

    def __reduce__(self) -> tuple[Any, ...]:
        return AlreadyClaimed, (self.key, self.holder, self.remaining)


class AlreadyDone(RedisStateError):
    """It is done. ``result`` is the one that its holder stored."""

    def __init__(self, key: str, result: Any = None) -> None:
        super().__init__(f"{key!r} is done already; its result is in .result")
        self.key = key
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return AlreadyDone, (self.key, self.result)


class AttemptsExhausted(RedisStateError):
    """It was taken ``attempts`` times and never done; ``error`` is what the last one said, if it could."""

    def __init__(self, key: str, attempts: int, error: Any = None) -> None:
        last = f"; the last one: {error}" if error else "; the last one died"
        super().__init__(f"{key!r} was taken {attempts} times and never done{last}; retry_failed allows it again")
        self.key = key
        self.attempts = attempts
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return AttemptsExhausted, (self.key, self.attempts, self.error)


class UnknownSession(RedisStateError, KeyError):
    """No such entry: never created, deleted, or its time to live ran out."""

    def __str__(self) -> str:
        key = self.args[0] if self.args else "?"
        return f"no entry {key!r}: never created, deleted, or its time to live ran out"


class BegunAnew(UnknownSession):
    """The run, upload or download that this object saw last is no more: another one of that name has begun since.

    Nothing was counted. To go on with the new one, look at it first: ``get`` or ``begin`` of a run,
    ``get_session`` of an upload, ``begin`` of a download.
    """

    def __str__(self) -> str:
        key = self.args[0] if self.args else "?"
        return f"{key!r} was begun anew since this object saw it last, and nothing was counted; look at it, then go on"


class SegmentOutOfRange(RedisStateError, ValueError):
    """A segment number outside 0..total-1."""

    def __init__(self, key: str, segment: int, total: int) -> None:
        super().__init__(f"{key!r} has segments 0..{total - 1}, not {segment}")
        self.key = key
        self.segment = segment
        self.total = total

    def __reduce__(self) -> tuple[Any, ...]:
        return SegmentOutOfRange, (self.key, self.segment, self.total)


class EntryTooLarge(RedisStateError, ValueError):
    """A text takes more of the server's memory than the cache's whole budget; nothing was evicted for it.

    ``size`` is what it would take, ``budget`` what there is (of its partition), in bytes.
    """

    def __init__(self, key: str, size: int, budget: int) -> None:
        super().__init__(f"{key!r} takes {size} bytes, and the budget is {budget}")
        self.key = key
        self.size = size
        self.budget = budget

    def __reduce__(self) -> tuple[Any, ...]:
        return EntryTooLarge, (self.key, self.size, self.budget)


class ComputeFailed(RedisStateError):
    """The function whose value was waited for failed, in another caller; ``error`` says how.

    The caller whose function failed has its own exception. This one is for those who waited for it,
    and for those who come while the failure is remembered (``negative_ttl``).
    """

    def __init__(self, key: str, error: str) -> None:
        super().__init__(f"computing {key!r} failed elsewhere: {error}")
        self.key = key
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return ComputeFailed, (self.key, self.error)


class ComputeTimeout(RedisStateError, TimeoutError):
    """The value was not there in ``timeout`` seconds. ``holder``: the container that computes it, where it is known."""

    def __init__(self, key: str, timeout: float, holder: str | None = None) -> None:
        by = f"; {holder} computes it" if holder else "; no server answered in time"
        super().__init__(f"the value of {key!r} was not there within {timeout:g} s{by}")
        self.key = key
        self.timeout = timeout
        self.holder = holder

    def __reduce__(self) -> tuple[Any, ...]:
        return ComputeTimeout, (self.key, self.timeout, self.holder)
