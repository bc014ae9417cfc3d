"""Compute a value once for all containers: who comes first computes, the others wait for it and do not ask.

The first one holds a lock, whose lease is renewed as long as its process lives; so if it dies, exactly
one of those who wait takes over. They wait on a stream, which the server pushes to all of them at once;
once a second they look whether the lock is free. ``Work`` says how the value is read and written.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, NamedTuple, TypeVar, cast

from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op, Plan, command, do_all, just
from redis_state.engine.registry import script
from redis_state.engine.run import Engine
from redis_state.errors import CallError, ComputeFailed, EntryTooLarge, LockLost
from redis_state.keys import Keys
from redis_state.lock import Locks
from redis_state.lock.awaited import Locks as AsyncLocks
from redis_state.lock.awaited import to_its_end

T = TypeVar("T")

ANNOUNCE = script("flight/announce")

LEASE = 10.0  # seconds; a killed process delays the others by so much, one that hangs in C code may be overtaken
LOOK = 1.0  # seconds that a waiter waits for news before it looks whether the lock is free
LONGEST = 10 * 366 * 86400.0


class Found(NamedTuple):
    """A value that is there; ``stale``: it is time to compute it anew."""

    value: Any
    stale: bool


class Seen(NamedTuple):
    """What a caller sees before it computes or waits."""

    last: str  # the last news
    failure: str | None  # how it failed, while that is remembered
    found: Found | None


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A value: where it belongs, and how it is read and written."""

    keys: Keys
    name: str
    first: Callable[[], Plan[Found | None]]  # read it for a caller
    peek: Callable[[], Sequence[Op[Any]]]  # see whether it is there by now
    found: Callable[[Sequence[Any]], Found | None]  # what these tell
    store: Callable[[T], Plan[Any]]
    lease: float = LEASE
    negative_ttl: float = 0.0

    def __post_init__(self) -> None:
        checked("negative_ttl", self.negative_ttl)

    def look(self) -> Plan[Seen]:
        """See whether the value is there by now, or how computing it failed. One round trip."""
        news, failure = self.keys.news(self.name), self.keys.failure(self.name)
        ops: list[Op[Any]] = [
            command("XREVRANGE", news, "+", "-", "COUNT", 1, read=_last),
            command("GET", failure, read=lambda text: None if text is None else text.decode(errors="replace")),
        ]
        last, failed, *told = yield from do_all([*ops, *self.peek()])
        return Seen(cast("str", last), failed, self.found(told))

    def wait(self, last: str) -> Plan[Found | None]:
        """Wait for news, a second at the most, and return the value if it is there then.

        The read is sent with the wait, so it lies in the server already when the news come. Raises
        ``ComputeFailed`` when that is what they say.
        """
        words = ("XREAD", "COUNT", 1, "BLOCK", int(LOOK * 1000), "STREAMS", self.keys.news(self.name), last)
        wait: Op[Any] = command(*words, read=_error, blocks=LOOK)
        error, *told = yield from do_all([wait, *self.peek()])
        if error is not None:
            raise ComputeFailed(self.name, error)
        return self.found(told)

    def announce(self, error: str = "") -> Op[None]:
        """Wake all who wait."""
        kept_ms = int(self.negative_ttl * 1000) if error else 0
        call = ANNOUNCE(
            news=self.keys.news(self.name), failure=self.keys.failure(self.name), error=error, kept_ms=kept_ms
        )
        return call.meaning(told=just(None))

    def answer(self, seen: Seen) -> Found | None:
        """Return what a caller is to be content with; raise how computing it failed, where that is remembered."""
        if seen.found is not None and (not seen.found.stale or seen.failure is not None):
            return seen.found
        if seen.failure is not None:
            raise ComputeFailed(self.name, seen.failure)
        return None


def checked(what: str, seconds: float) -> float:
    """Refuse what is no time, or below 0."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{what} is a number of seconds, not {type(seconds).__name__}")
    if not isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise ValueError(f"{what}={seconds!r}: seconds, 0 or more")
    return seconds


def _last(entries: list[Any]) -> str:
    return entries[0][0].decode() if entries else "0"


def _error(streams: Any) -> str | None:
    """Read how the last computation ended; None when it succeeded, or when there are no news."""
    if not streams:
        return None
    error = streams[0][1][-1][1][1].decode(errors="replace")
    return error or None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


# --- blocking -----------------------------------------------------------------------------------------


def once(engine: Engine, work: Work[T], compute: Callable[[], T]) -> T:
    """Return the value; compute it if there is none, and nobody else does."""
    found = engine.follow(work.first())
    if found is not None and not found.stale:
        return found.value  # type: ignore[no-any-return]
    locks = Locks(work.keys.namespace, engine)
    while True:
        seen = engine.follow(work.look())
        if (content := work.answer(seen)) is not None:
            return content.value  # type: ignore[no-any-return]
        held = locks.lock(work.name, lease=work.lease).acquire(0)
        if held is not None:
            return _lead(engine, work, compute, held.release)
        if seen.found is not None:
            return seen.found.value  # type: ignore[no-any-return]
        found = engine.follow(work.wait(seen.last))
        if found is not None and not found.stale:
            return found.value  # type: ignore[no-any-return]


def _lead(engine: Engine, work: Work[T], compute: Callable[[], T], release: Callable[[], None]) -> T:
    said: str | None = None  # nothing was computed
    try:
        # Somebody may have stored it, or failed, just before the lock was ours.
        if (content := work.answer(engine.follow(work.look()))) is not None:
            return content.value  # type: ignore[no-any-return]
        said = ""
        try:
            value = compute()
            with suppress(CallError, EntryTooLarge):  # computed, if not kept
                engine.follow(work.store(value))
        except Exception as error:
            said = _said(error)
            raise
        return value
    finally:
        with suppress(CallError, LockLost):  # it ends by itself, with the lease
            if said and work.negative_ttl:  # known before the next one may compute
                engine.run(work.announce(said))
            release()
            if said is not None and not (said and work.negative_ttl):
                engine.run(work.announce(said))


# --- asyncio ------------------------------------------------------------------------------------------


async def once_awaited(engine: AsyncEngine, work: Work[T], compute: Callable[[], T | Awaitable[T]]) -> T:
    """Return the value; compute it if there is none, and nobody else does. ``compute`` may be a coroutine function."""
    found = await engine.follow(work.first())
    if found is not None and not found.stale:
        return found.value  # type: ignore[no-any-return]
    locks = AsyncLocks(engine, work.keys.namespace)
    while True:
        seen = await engine.follow(work.look())
        if (content := work.answer(seen)) is not None:
            return content.value  # type: ignore[no-any-return]
        held = await locks.lock(work.name, lease=work.lease).acquire(0)
        if held is not None:
            return await _lead_awaited(engine, work, compute, held.release)
        if seen.found is not None:
            return seen.found.value  # type: ignore[no-any-return]
        found = await engine.follow(work.wait(seen.last))
        if found is not None and not found.stale:
            return found.value  # type: ignore[no-any-return]


async def _lead_awaited(
    engine: AsyncEngine,
    work: Work[T],
    compute: Callable[[], T | Awaitable[T]],
    release: Callable[[], Awaitable[None]],
) -> T:
    said: str | None = None

    async def end() -> None:
        with suppress(CallError, LockLost):
            if said and work.negative_ttl:
                await engine.run(work.announce(said))
            await release()
            if said is not None and not (said and work.negative_ttl):
                await engine.run(work.announce(said))

    try:
        if (content := work.answer(await engine.follow(work.look()))) is not None:
            return content.value  # type: ignore[no-any-return]
        said = ""
        try:
            made = compute()
            value = cast("T", await made if inspect.isawaitable(made) else made)
            with suppress(CallError, EntryTooLarge):
                await engine.follow(work.store(value))
        except Exception as error:
            said = _said(error)
            raise
        return value
    finally:
        await to_its_end(end())
