"""Every exception this package raises.

::

    RedisStateError
    ├── ConfigError            (ValueError)    settings that cannot work; names the variable and the remedy
    ├── ContractError          (TypeError)     a script and its binding disagree: a bug, not an outage
    ├── CallError
    │   ├── NotApplied                         proven: the call changed nothing
    │   │   ├── ServerUnavailable (ConnectionError)  never sent, or only read: no server answered in time
    │   │   ├── ServerFull        (MemoryError)      the server is at its memory limit
    │   │   └── ServerRefused                        the server answered with another error
    │   ├── OutcomeUnknown     (TimeoutError)  sent, never answered: ``engine.resolve`` decides it later
    │   ├── NotReplicated                      applied, but not confirmed by enough replicas
    │   └── ScriptFailed                       a script met data it does not know, or has a bug
    ├── UnsafeServer                           its settings can evict or lose state
    ├── UnsupportedType        (TypeError)     a value that would not come back equal; names the path to it
    ├── CorruptValue           (ValueError)    stored bytes that this package did not write
    ├── StaleToken                             a write with an older fencing token than one already seen
    ├── LockTimeout            (TimeoutError)  the lock was not free in time
    ├── LockLost                               the lease is over: somebody else may hold the lock by now
    ├── AlreadyClaimed                         somebody works on it, or it failed and rests a while
    ├── AlreadyDone                            it is done: holds the result
    ├── AttemptsExhausted                      it failed too often
    ├── UnknownSession         (KeyError)      no such entry, or its time to live ran out
    └── SegmentOutOfRange      (ValueError)    a segment number outside 0..total-1

The three ends of a call are its result, ``NotApplied`` and ``OutcomeUnknown``. There is no fourth.
"""

from __future__ import annotations

from typing import Any


class RedisStateError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigError(RedisStateError, ValueError):
    """Settings that cannot work. The message names the variable and the remedy."""


class ContractError(RedisStateError, TypeError):
    """A Lua script and the Python that calls it disagree. Always a bug in one of the two."""


class CallError(RedisStateError):
    """A call to the server that did not end with its result."""


class NotApplied(CallError):
    """Proven: this call changed nothing, and no late copy of it ever will."""


class ServerUnavailable(NotApplied, ConnectionError):
    """No server answered inside the deadline, and nothing that writes was sent."""


class ServerFull(NotApplied, MemoryError):
    """The server is at its memory limit and refused before the first write."""


class ServerRefused(NotApplied):
    """The server answered with an error (ACL, wrong type, read only, ...) and wrote nothing."""


class OutcomeUnknown(CallError, TimeoutError):
    """The call was sent and no answer came before the deadline: it may or may not have happened.

    Pass it to ``engine.resolve`` (a second or more after it was raised) to learn which.
    ``op`` is the operation and ``identity`` what the server remembers it by.
    """

    def __init__(self, message: str, op: Any = None, identity: Any = None) -> None:
        super().__init__(message)
        self.op = op
        self.identity = identity

    def __reduce__(self) -> tuple[Any, ...]:  # the operation holds functions: it stays in its process
        return OutcomeUnknown, (self.args[0], None, self.identity)


class NotReplicated(CallError):
    """Applied by the primary, but fewer replicas than asked for have confirmed it in time."""


class ScriptFailed(CallError):
    """A script ended with an error: a bug, or keys that something else wrote. The message names the line.

    Scripts check before they write, so most of these changed nothing; it is not proven for all.
    """


class UnsafeServer(RedisStateError):
    """The server's settings can evict or lose state. The message names the setting and the remedy."""


class UnsupportedType(RedisStateError, TypeError):
    """A value that would not come back equal. The message names the path, like ``timings[3].word``."""


class CorruptValue(RedisStateError, ValueError):
    """Stored bytes that this package did not write, or that were damaged since."""


class StaleToken(RedisStateError):
    """A fenced write came with an older token than one already seen: its lock was taken over.

    ``token`` is the one that was offered, ``newest`` the one that is in force.
    """

    def __init__(self, key: str, token: int, newest: int) -> None:
        super().__init__(f"{key!r}: fencing token {token} is older than {newest}; the lock has a newer holder")
        self.key = key
        self.token = token
        self.newest = newest

    def __reduce__(self) -> tuple[Any, ...]:
        return StaleToken, (self.key, self.token, self.newest)


class LockTimeout(RedisStateError, TimeoutError):
    """The lock was not free within ``timeout`` seconds."""

    def __init__(self, name: str, timeout: float, holder: str | None = None) -> None:
        by = f"; {holder} holds it" if holder else ""
        super().__init__(f"lock {name!r} was not free within {timeout:g} s{by}")
        self.name = name
        self.timeout = timeout
        self.holder = holder

    def __reduce__(self) -> tuple[Any, ...]:
        return LockTimeout, (self.name, self.timeout, self.holder)


class LockLost(RedisStateError):
    """The lease is over, so somebody else may hold the lock by now: stop, or write with ``fence=`` only."""

    def __init__(self, name: str, why: str = "its lease is over; somebody else may hold it by now") -> None:
        super().__init__(f"lock {name!r}: {why}")
        self.name = name
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return LockLost, (self.name, self.why)


class AlreadyClaimed(RedisStateError):
    """Somebody works on it, or it failed and rests before the next attempt.

    ``holder`` is the container that works on it, None when it rests; ``remaining`` are the seconds until
    the lease, or the rest, is over.
    """

    def __init__(self, key: str, holder: str | None, remaining: float) -> None:
        who = f"{holder} works on it, and its lease has" if holder is not None else "it failed, and its rest has"
        super().__init__(f"{key!r}: {who} {remaining:.3g} s to go")
        self.key = key
        self.holder = holder
        self.remaining = remaining

    def __reduce__(self) -> tuple[Any, ...]:
        return AlreadyClaimed, (self.key, self.holder, self.remaining)


class AlreadyDone(RedisStateError):
    """It is done. ``result`` is what whoever did it left."""

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


class SegmentOutOfRange(RedisStateError, ValueError):
    """A segment number outside 0..total-1."""

    def __init__(self, key: str, segment: int, total: int) -> None:
        super().__init__(f"{key!r} has segments 0..{total - 1}, not {segment}")
        self.key = key
        self.segment = segment
        self.total = total

    def __reduce__(self) -> tuple[Any, ...]:
        return SegmentOutOfRange, (self.key, self.segment, self.total)
