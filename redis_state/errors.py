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
    ├── EntryTooLarge          (ValueError)    a text that takes more than the cache's whole budget
    ├── ComputeFailed                          what a caller waited for failed elsewhere, or a moment ago
    ├── SegmentOutOfRange      (ValueError)    a segment number outside 0..total-1
    ├── ChunkOutOfRange        (ValueError)    a chunk number, or a byte range, that the upload does not have
    ├── ChunkSizeMismatch      (ValueError)    a chunk of another size than it must have
    ├── ChunkConflict          (ValueError)    it contradicts what was accepted before
    ├── OffsetConflict         (ValueError)    the next range begins elsewhere: at ``current``
    ├── UploadClosed           (ValueError)    stored or aborted: nothing more is accepted
    ├── UploadIncomplete       (ValueError)    something is missing, so there is nothing to assemble yet
    └── QuotaExceeded                          its owner has too many open transfers, or bytes in them

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


class ChunkOutOfRange(RedisStateError, ValueError):
    """A chunk number outside 0..count-1, or a range of bytes behind the declared end."""

    def __init__(self, key: str, what: int | range, count: int) -> None:
        if isinstance(what, range):
            super().__init__(f"{key!r} has {count} bytes, so {what.start}..{what.stop - 1} are none of them")
        else:
            super().__init__(f"{key!r} has chunks 0..{count - 1}, not {what}" if count else f"{key!r} has no chunks")
        self.key = key
        self.what = what
        self.count = count

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.what, self.count)


class ChunkSizeMismatch(RedisStateError, ValueError):
    """A chunk of another size than it must have."""

    def __init__(self, key: str, number: int, size: int, expected: int) -> None:
        super().__init__(f"chunk {number} of {key!r} has {expected} bytes, not {size}")
        self.key = key
        self.number = number
        self.size = size
        self.expected = expected

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.number, self.size, self.expected)


class ChunkConflict(RedisStateError, ValueError):
    """It contradicts what was accepted before. ``number`` is the chunk, None when it is about more than one."""

    def __init__(self, key: str, number: int | None, why: str) -> None:
        super().__init__(f"{key!r}: {why}")
        self.key = key
        self.number = number
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.number, self.why)


class OffsetConflict(RedisStateError, ValueError):
    """The next range begins at ``current``, and this one does not."""

    def __init__(self, key: str, offset: int, current: int) -> None:
        super().__init__(f"{key!r} goes on at byte {current}, not at {offset}")
        self.key = key
        self.offset = offset
        self.current = current

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.offset, self.current)


class UploadClosed(RedisStateError, ValueError):
    """Nothing more is accepted. ``state`` is "stored" or "aborted"."""

    def __init__(self, key: str, state: str) -> None:
        super().__init__(f"{key!r} is {state}: nothing more is accepted")
        self.key = key
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.state)


class UploadIncomplete(RedisStateError, ValueError):
    """Something is missing. ``total`` is None while the size is not declared."""

    def __init__(self, key: str, received: int, total: int | None) -> None:
        of = "an undeclared size" if total is None else f"{total} bytes"
        super().__init__(f"{key!r} is not complete: {received} of {of} received")
        self.key = key
        self.received = received
        self.total = total

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.received, self.total)


class QuotaExceeded(RedisStateError):
    """The owner has ``used`` of ``limit`` already. ``what`` is "open uploads", "bytes" or "active downloads"."""

    def __init__(self, owner: str, what: str, used: int, limit: int) -> None:
        super().__init__(f"owner {owner!r}: {used} of {limit} {what} are in use, which leaves too little")
        self.owner = owner
        self.what = what
        self.used = used
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.owner, self.what, self.used, self.limit)
