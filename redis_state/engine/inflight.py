"""A call in flight: its identity, its copies, and what follows from each reply. Pure.

Blind retry of a write is wrong, and no retry is fragile. So a call that writes has an identity: its
caller, its number, and the server time after which it is void. ``lua/lib/once.lua`` remembers the
caller's last call, so a copy gets the same answer and changes nothing, however late it arrives.

A call borrows its caller from the engine's free list and returns it at its outcome, whatever connections it used. So a
caller has one call in flight. That of a call whose outcome is unknown, or that was interrupted, is never used again:
its record is what tells the outcome.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from redis_state.config import Server
from redis_state.engine.faults import Fault, as_ours, classify, is_to_leave, unavailable
from redis_state.engine.op import Broken, Op
from redis_state.engine.server_check import Memory
from redis_state.errors import OutcomeUnknown, RedisStateError

RECORD_KEPT_MS = 540_000  # a call's record outlives its time by this much, at least: see lua/lib/once

_CUT = Broken(ConnectionError("the connection broke before this reply"))


class Caller:
    """The identity behind calls: a random id, and the number of its last call."""

    __slots__ = ("id", "number")

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(12)
        self.number = 0


Callers: TypeAlias = deque[Caller]  # those that have no call in flight


class ConnectionState:
    """What a connection knows besides its socket: the server, its clock, and what happened so far."""

    __slots__ = (
        "calls",
        "clock",
        "connected",
        "healed",
        "leaves",
        "loaded",
        "lost",
        "memory",
        "scripts_loaded",
        "server",
    )

    def __init__(self) -> None:
        self.server = Server("tcp")  # the one that was connected to last
        self.memory = Memory()  # what it said about itself
        self.connected = False
        self.leaves = False  # the server has just said that it is not ours any more
        self.loaded: set[str] = set()  # the scripts that batches brought over this connection
        self.clock = 0.0  # server seconds since 1970, less our monotonic seconds
        self.calls = self.lost = self.healed = self.scripts_loaded = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server remembers a call by."""

    record: str  # the key of the caller's record
    number: int
    void_at: int  # server time in ms


class Next(Enum):
    """The next step after a reply."""

    DONE = "the call has its outcome"
    RETRY = "send it again, after a pause"
    RETRY_NOW = "send it again: what was wrong is mended"


class InFlight:
    """One op on its way to its outcome: a result, or the exception to raise."""

    # How all begin: setting these one by one would be felt in each call.
    outcome: Any = None
    reply: Any = None  # the one that was read
    caller: Caller | None = None
    record = ""
    number = 0
    void_at = 0
    doubt = False  # a copy was sent and never answered
    needs_script = False

    def __init__(self, op: Op[Any], callers: Callers) -> None:
        self.op = op
        self._callers = callers

    @property
    def replies(self) -> int:
        """How many replies there are to what is sent."""
        return self.needs_script + self.op.replies

    def encode(self, state: ConnectionState, deadline: float) -> bytes:
        """Return the bytes to send, with the same identity each time."""
        op = self.op
        script = op.script
        if self.needs_script:
            state.scripts_loaded += 1
        if script is None or script.kind != "deduplicated":
            return op.encode(None, bring_script=self.needs_script)
        if self.caller is None:
            self._borrow(op)
        if not self.void_at:
            self.void_at = int((deadline + state.clock) * 1000)
        return op.encode(self, bring_script=self.needs_script)

    def _borrow(self, op: Op[Any]) -> None:
        """Take a caller that has no call in flight, and its next number."""
        try:
            caller = self._callers.pop()
        except IndexError:
            caller = Caller()
        self.caller = caller
        self.record = op.partition.starts["record"] + caller.id  # type: ignore[union-attr]
        caller.number = self.number = caller.number + 1

    def on_replies(self, replies: list[Any], state: ConnectionState, now: float) -> Next:
        """Take the replies to what was sent, or as many as came."""
        one = len(replies) == 1 == self.op.replies and not self.needs_script
        reply = replies[0] if one else self._split(replies)
        if type(reply) is not list:
            if isinstance(reply, Broken):
                return self._fail(reply.error, state)
            if isinstance(reply, BaseException):
                return self._fail(reply, state)
        elif self.caller is not None and reply:
            if reply[0] == b"void":
                return self._void(reply[1], state, now)
            if reply[0] == b"superseded":  # a later call of the same caller: its number was used twice
                return self._unknown("superseded by a later call")
        self.reply = reply
        try:
            self.outcome = self.op.read(reply)
        except Exception as error:
            self.outcome = error
        if self.caller is not None:
            self._callers.append(self.caller)
        return Next.DONE

    def _done(self) -> Next:
        """Return the caller: the outcome is known."""
        if self.caller is not None:
            self._callers.append(self.caller)
        return Next.DONE

    def _void(self, server_ms: int, state: ConnectionState, now: float) -> Next:
        """Go on with a call whose copy did not act, since its time was over, or far ahead, by the server's clock."""
        state.clock = server_ms / 1000 - now
        after = server_ms - self.void_at
        if self.doubt and not 0 <= after <= RECORD_KEPT_MS:
            return self._unknown(
                f"between two copies the clock of {state.server}, or this process, jumped, so what remembers the "
                "first one may be gone; whether that acted, only the data tells"
            )
        self.doubt, self.void_at = False, 0  # proven: no copy of it ever acted, or will: the server recorded that
        assert self.caller is not None
        self.caller.number = self.number = self.caller.number + 1
        return Next.RETRY_NOW

    def _unknown(self, why: str) -> Next:
        """End without knowing. The caller is not returned: its record tells what became of the call."""
        self.outcome = OutcomeUnknown(f"{self.name}: {why}", self.op, self.identity)
        return Next.DONE

    def _split(self, replies: list[Any]) -> Any:
        """Return the reply to the op, or the first error among its replies."""
        if len(replies) < self.replies:
            replies = [*replies, _CUT]
        own = replies[self.needs_script :]  # without what SCRIPT LOAD said
        return self.op.split(own) if own else replies[-1]

    def _fail(self, error: BaseException, state: ConnectionState) -> Next:
        fault = classify(error)
        if fault is Fault.NO_SCRIPT:
            state.healed += 1
            state.loaded.clear()
            self.needs_script = True
            return Next.RETRY_NOW
        if fault is Fault.LOST:
            state.lost += 1
            if self.op.blocks:  # a wait that was cut is over, and its outcome is None: what it was for may be there now
                state.connected = False
                return self._done()
            self.doubt = True
            self._fall_back()
        if fault is Fault.FULL and self._fall_back():
            return Next.RETRY_NOW
        if fault in (Fault.LOST, Fault.NOT_NOW) or self.doubt:
            state.connected = False  # reconnect: the address may belong to another server by now
            state.leaves = state.leaves or is_to_leave(error)
            return Next.RETRY
        self.outcome = as_ours(error, fault, self.name, state.server)
        return self._done()

    def _fall_back(self) -> bool:
        """Send from now on what reads only, if the op has such a fallback: a copy of it would act again."""
        fallback = self.op.fallback
        if fallback is None:
            return False
        self.op = fallback
        self.needs_script = False
        return True

    def give_up(self, state: ConnectionState, trouble: BaseException | None, deadline: float) -> None:
        """Settle what had no answer before the deadline, ``deadline`` seconds after the call was made."""
        script = self.op.script
        if self.doubt and script is not None and script.kind != "no-writes":
            why = f": {str(trouble) or type(trouble).__name__}" if trouble else ""
            self._unknown(f"sent to {state.server}, no answer for {deadline:g} s{why}; engine.resolve tells more")
            return
        if isinstance(trouble, RedisStateError):
            self.outcome = trouble
        elif trouble is not None and (fault := classify(trouble)) not in (Fault.LOST, Fault.NO_SCRIPT):
            self.outcome = as_ours(trouble, fault, self.name, state.server)
        else:
            self.outcome = unavailable(trouble, state.server, deadline, self.name)
        self._done()

    @property
    def identity(self) -> Identity | None:
        """What the server remembers the call by; None when it remembers nothing."""
        return Identity(self.record, self.number, self.void_at) if self.caller is not None else None

    @property
    def name(self) -> str:
        """The script; users know no commands, since methods send them."""
        return self.op.script.name if self.op.script else "a wait" if self.op.blocks else "a read"
