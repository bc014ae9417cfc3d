"""What a lock was asked for, checked. Sends nothing."""

from __future__ import annotations

from typing import Any

from redis_state.durations import TEN_YEARS
from redis_state.keys import Keys
from redis_state.lock.operations import Request, checked_seconds


class _Own:
    def __repr__(self) -> str:
        return "the lock's own"


OWN: Any = _Own()  # the time-out that the lock was made with


class Options:
    """How a lock is held and waited for."""

    __slots__ = ("auto_renew", "lease", "max_hold", "name", "note", "timeout")

    def __init__(
        self,
        name: str,
        lease: float,
        timeout: float | None,
        auto_renew: bool,
        max_hold: float | None,
        note: str | None,
    ) -> None:
        checked_seconds(name, "lease", lease)
        checked_seconds(name, "max_hold", max_hold)
        self.name = name
        self.lease = lease
        self.timeout = checked_timeout(name, timeout)
        self.auto_renew = auto_renew
        self.max_hold = max_hold
        self.note = note or ""

    def timeout_for(self, timeout: float | None, blocking: bool) -> float | None:
        """Return how many seconds `acquire` waits, None for ever. -1 is for ever, as `threading.Lock` has it."""
        if not blocking:
            if timeout is not OWN and timeout != 0:
                raise ValueError(f"lock {self.name!r}: timeout={timeout!r} and blocking=False: give one of the two")
            return 0.0
        if timeout is OWN:
            return self.timeout
        if isinstance(timeout, bool):
            raise TypeError(f"lock {self.name!r}: timeout is a number of seconds; write blocking={timeout}")
        return None if timeout == -1 else checked_timeout(self.name, timeout)

    def request(self, keys: Keys, name: str, container: str) -> Request:
        """Return a new acquisition."""
        return Request(keys, name, self.lease, container, self.note, self.max_hold)


def checked_timeout(name: str, timeout: float | None) -> float | None:
    """Refuse what is neither None nor 0 nor a time above it."""
    if timeout == 0 and not isinstance(timeout, bool):
        return 0.0
    return checked_seconds(name, "timeout", timeout, TEN_YEARS)
