"""Errors of uploads and downloads."""

from __future__ import annotations

from typing import Any

from redis_state.errors.base import RedisStateError


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
    """The owner has ``used`` of ``limit`` already.

    ``what`` is "open uploads", "bytes", "active downloads" or "dead uploads": those that died are remembered for two
    days, so that their files can be removed; ``delete_session`` forgets one.
    """

    def __init__(self, owner: str, what: str, used: int, limit: int) -> None:
        dead = what == "dead uploads"
        state = "are remembered; remove their files, and delete_session them" if dead else "are in use"
        super().__init__(f"owner {owner!r}: {used} of {limit} {what} {state}, which leaves too little")
        self.owner = owner
        self.what = what
        self.used = used
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.owner, self.what, self.used, self.limit)
