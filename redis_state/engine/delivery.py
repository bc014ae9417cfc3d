"""The delivery of calls, from their bytes to their outcomes. Pure; both engines follow it.

``deliver`` is a generator. It yields effects that it wants done (``Connect``, a list of ``Exchange``s, each for a
node, ``Sleep``) and returns one outcome for each op: its result, or the exception to raise. Every fault is
retried, always with the same identity, until the deadline; then a call that may have run is
``OutcomeUnknown``, and one that cannot have run is ``NotApplied``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any, TypeAlias

from redis_state.clock import monotonic
from redis_state.config import Settings
from redis_state.engine.faults import cannot_connect, nothing_listens
from redis_state.engine.inflight import Callers, ConnectionState, InFlight, Next
from redis_state.engine.op import Broken, Op
from redis_state.engine.packing import pack
from redis_state.errors import RedisStateError
from redis_state.events import UNHEARD, CallFinished, CallRetried, Events, ScriptHealed

FIRST_PAUSE = 0.010  # seconds; the limit doubles with each attempt, and the pause is random below it
LONGEST_PAUSE = 0.5
LONGEST_REFUSED_PAUSE = 0.1  # where nothing listens: asking costs no server anything
LEAST = 0.001  # seconds to connect in, at the least

_RANDOM = random.SystemRandom()  # the application's seeded one is not ours to draw from


@dataclass(frozen=True, slots=True)
class Connect:
    """Ask for a new connection to the server that is ours now. Answer: None, or an exception."""

    end: float  # monotonic time by which it is over, whatever connecting takes


@dataclass(slots=True)  # not frozen: that would triple what making one costs
class Exchange:
    """Ask a node: send ``payload`` and read ``replies`` replies. Answer: a list; when short, ``Broken`` ends it."""

    payload: bytes
    replies: int
    blocks: float  # seconds by which the server may hold replies back on purpose
    end: float = inf  # monotonic time by which it is over, also when replies still come
    node: ConnectionState | None = None  # whose connection it is for; None: the one that is asked


@dataclass(frozen=True, slots=True)
class Sleep:
    """Ask to do nothing for some seconds. Answer: None."""

    seconds: float
    leave: bool  # first close all idle connections: the server says that it is not ours any more


Effect: TypeAlias = Connect | list[Exchange] | Sleep  # the answer to exchanges is a list of their replies, in order


def deliver(
    ops: Sequence[Op[Any]],
    state: ConnectionState,
    callers: Callers,
    settings: Settings,
    now: Callable[[], float] = monotonic,
    began: float | None = None,
    events: Events = UNHEARD,
) -> Generator[Effect, Any, list[Any]]:
    """Carry some ops to their outcomes, all in one write. The connection is ours until we return.

    ``callers`` is the engine's free list. ``began``: when the caller called, if earlier; all waits are bounded as one.
    """
    began = now() if began is None else began
    deadline, until, blocks = _times(ops, began, settings.deadline)
    end = deadline + settings.socket_timeout
    calls = [InFlight(ops[0], callers)] if len(ops) == 1 else [InFlight(op, callers) for op in ops]
    state.calls += len(calls)
    trouble: BaseException | None = None
    pending = calls
    for attempt in count():
        mended = False
        if not state.connected:
            failed = yield Connect(max(end, now() + LEAST))  # a process that slept has none left
            trouble = (failed and cannot_connect(failed, state.server)) or failed or trouble
            if isinstance(trouble, RedisStateError):  # no later attempt can fare better
                break
        if state.connected and now() < (deadline if attempt else end):
            if blocks:  # a wait is not cut before the server may answer
                blocks = sum(call.op.blocks for call in pending)
                end = min(until, max(deadline, now() + blocks)) + settings.socket_timeout
            void = deadline if until == inf and not blocks else end
            payload, wanted, ahead = _put_together(pending, state, void)
            (replies,) = yield [Exchange(payload, wanted, blocks, end, state)]
            pending, mended = _settle(replies, ahead, pending, state, now())
            if not pending:
                break
            trouble = _trouble_of(replies[-1]) or trouble
        pause = 0.0 if mended and attempt < 3 else _pause(attempt, trouble)
        if now() + pause >= deadline:
            break
        _tell_again(events, pending, attempt, pause, "" if mended else str(trouble or ""))
        if pause or state.leaves:
            yield Sleep(pause, state.leaves)
            state.leaves = False
    for call in pending:
        call.give_up(state, trouble, deadline - began)
    if events.hooks:
        _tell(events, calls, now() - began, attempt)
    return [calls[0].outcome] if len(calls) == 1 else [call.outcome for call in calls]


def _trouble_of(reply: Any) -> BaseException | None:
    """Return what a reply says that broke the connection, or that the server could not do."""
    if isinstance(reply, Broken):
        return reply.error
    return reply if isinstance(reply, BaseException) else None


def _times(ops: Sequence[Op[Any]], began: float, patience: float) -> tuple[float, float, float]:
    """Return when to give up, when the first caller's own time-out is over, and how long the server may hold back."""
    deadline, until, blocks = began + patience, inf, 0.0
    for op in ops:
        blocks += op.blocks
        if op.until is not None:
            until = max(began, min(until, op.until))
    return min(until, deadline), until, blocks


def _put_together(pending: list[InFlight], state: ConnectionState, void: float) -> tuple[bytes, int, int]:
    """Return what to send, how many replies it has, and how many of them come ahead of the calls' own.

    ``void`` is when the server is to take it for too late.
    """
    if len(pending) == 1:  # as most are
        call = pending[0]
        return call.encode(state, void), call.replies, 0
    ahead = _scripts_of(pending, state)
    parts = [call.encode(state, void) for call in pending]
    return b"".join(ahead + parts), len(ahead) + sum(call.replies for call in pending), len(ahead)


def _settle(
    replies: list[Any], start: int, pending: list[InFlight], state: ConnectionState, now: float
) -> tuple[list[InFlight], bool]:
    """Give each call its replies. Return those to send again, and whether something is mended for them."""
    if len(pending) == 1:
        then = pending[0].on_replies(replies, state, now)
        return ([], False) if then is Next.DONE else (pending, then is Next.RETRY_NOW)
    again, mended = [], False
    for call in pending:
        end = start + call.replies
        then = call.on_replies(replies[start:end], state, now)
        start = end
        if then is not Next.DONE:
            again.append(call)
            mended = mended or then is Next.RETRY_NOW
    return again, mended


def _scripts_of(pending: Sequence[InFlight], state: ConnectionState) -> list[bytes]:
    """Return a SCRIPT LOAD for each script that a batch uses first on its connection.

    A server without one of them would run the others before it.
    """
    ahead = []
    for call in pending:
        script = call.op.script
        if script is not None and script.sha not in state.loaded and not call.needs_script:
            state.loaded.add(script.sha)
            ahead.append(pack(("SCRIPT", "LOAD", script.text)))
    state.scripts_loaded += len(ahead)
    return ahead


def _tell(events: Events, calls: Sequence[InFlight], seconds: float, attempt: int) -> None:
    for call in calls:
        outcome = call.outcome
        said = type(outcome).__name__ if isinstance(outcome, BaseException) else "ok"
        events.tell(CallFinished(call.op.name, seconds, said, attempt + 1, call.op.tag_of(call.reply)))


def _tell_again(events: Events, pending: Sequence[InFlight], attempt: int, pause: float, why: str) -> None:
    healed = [call.name for call in pending if call.needs_script] if not why else []
    for name in healed:
        events.tell(ScriptHealed(name))
    if not healed:
        events.report(CallRetried(pending[0].op.name, attempt + 1, pause, why))


def _pause(attempt: int, trouble: BaseException | None) -> float:
    longest = LONGEST_REFUSED_PAUSE if trouble is not None and nothing_listens(trouble) else LONGEST_PAUSE
    return _RANDOM.uniform(0.0, min(longest, FIRST_PAUSE * 2 ** min(attempt, 10)))
