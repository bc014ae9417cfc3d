"""A call on its way: its identity, its copies, and what each answer makes of it. Pure.

Blind retry of a write is wrong, and no retry is fragile. So a call that writes has an identity: its
caller, its number, and the server time after which it is void. ``lua/lib/once.lua`` remembers the
caller's last call, so a copy gets the same answer and changes nothing, however late it arrives.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any

from hiredis import pack_command

from redis_state.config import Server
from redis_state.engine.faults import Fault, as_ours, classify
from redis_state.engine.guard import Memory
from redis_state.engine.op import Beside, Call, Op, Together, Word
from redis_state.engine.registry import script as script_named
from redis_state.errors import OutcomeUnknown, RedisStateError, ServerUnavailable
from redis_state.keys import call_record

_MULTI, _EXEC = pack_command(("MULTI",)), pack_command(("EXEC",))


@dataclass(frozen=True, slots=True)
class Broken:
    """What is heard in place of a reply when the connection broke."""

    error: BaseException


_CUT = Broken(ConnectionError("the connection broke before this reply"))
_TROUBLE = (Broken, BaseException)


class Caller:
    """Somebody who numbers calls 1, 2, 3, ... and has one in flight."""

    __slots__ = ("id", "number")

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(12)
        self.number = 0


class Session:
    """What a channel knows besides its socket: the server's clock, its callers, and what happened so far."""

    __slots__ = (
        "callers",
        "calls",
        "clock",
        "connected",
        "fresh",
        "healed",
        "lost",
        "memory",
        "scripts_loaded",
        "server",
    )

    def __init__(self) -> None:
        self.server = Server("tcp")  # the one that was connected to last
        self.memory = Memory()  # what it said about itself
        self.connected = False
        self.fresh = False  # nothing was sent yet on this connection
        self.clock = 0.0  # server seconds since 1970, less our monotonic seconds
        self.callers: list[Caller] = []
        self.calls = self.lost = self.healed = self.scripts_loaded = 0

    def caller(self, place: int) -> Caller:
        """Return who makes the call at this place of a batch."""
        while len(self.callers) <= place:
            self.callers.append(Caller())
        return self.callers[place]

    def retire(self, place: int) -> None:
        """Never use a caller again, whose last call is not decided."""
        self.callers[place] = Caller()


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server remembers a call by."""

    record: str  # the key of the caller's record
    number: int
    void_at: int  # server time in ms


class Verdict(Enum):
    """What follows from an answer."""

    SETTLED = "the call has its outcome"
    AGAIN = "send it again, after a pause"
    AT_ONCE = "send it again: what was wrong is mended"


class Sending:
    """One op on its way to its outcome: a result, or the exception to raise."""

    # How all begin: setting these one by one would be felt in each call.
    outcome: Any = None
    caller: Caller | None = None
    number = 0
    void_at = 0
    doubt = False  # a copy was sent and never answered
    needs_script = False

    def __init__(self, op: Op[Any], place: int) -> None:
        self.op = op
        self.place = place

    @property
    def replies(self) -> int:
        """How many replies there are to what is sent."""
        return self.needs_script + 1 + self.op.more

    def packed(self, session: Session, deadline: float) -> bytes:
        """Return the bytes to send, with the same identity each time."""
        op = self.op
        script = op.script
        if script is None:
            if isinstance(op, Together):
                return b"".join((_MULTI, *(pack(words) for words in op.commands), _EXEC))
            return pack(tuple(op.args))
        keys, args = op.keys, op.args
        if script.kind == "once":
            caller = self.caller
            if caller is None:
                caller = self.caller = session.caller(self.place)
                caller.number += 1
                self.number = caller.number
            if not self.void_at:
                self.void_at = int((deadline + session.clock) * 1000)
            words = (len(keys) + 1, *keys, call_record(keys[0], caller.id), *args, self.number, self.void_at)
        else:
            words = (len(keys), *keys, *args)
        if self.needs_script:
            session.scripts_loaded += 1
            said = pack(("SCRIPT", "LOAD", script.text)) + pack(("EVAL", script.text, *words))
        else:
            said = pack(("EVALSHA", script.sha, *words))
        return said + pack(op.command) if isinstance(op, Beside) else said

    def hear(self, replies: list[Any], session: Session, now: float) -> Verdict:
        """Take the replies to what was sent, or as many as came."""
        reply = replies[0] if self.replies == len(replies) == 1 else self._one(replies)
        if type(reply) is not list:
            if isinstance(reply, Broken):
                return self._fail(reply.error, session)
            if isinstance(reply, BaseException):
                return self._fail(reply, session)
        elif self.caller is not None and reply:
            if reply[0] == b"void":  # proven: no copy of it ever acted, or will
                session.clock = reply[1] / 1000 - now
                self.doubt, self.void_at = False, 0
                return Verdict.AT_ONCE
            if reply[0] == b"superseded":  # a later call of the same caller: its number was used twice
                self.outcome = OutcomeUnknown(f"{self.name}: superseded by a later call", self.op, self.identity)
                session.retire(self.place)
                return Verdict.SETTLED
        try:
            self.outcome = self.op.read(reply)
        except Exception as error:
            self.outcome = error
        return Verdict.SETTLED

    def _one(self, replies: list[Any]) -> Any:
        """Return the reply to the op: a list if it has several; or the first error among them."""
        replies = replies[self.needs_script :]  # without what SCRIPT LOAD said
        if len(replies) <= self.op.more:
            replies.append(_CUT)
        for reply in chain(replies, replies[-1]) if type(self.op) is Together else replies:
            if isinstance(reply, _TROUBLE):
                return reply
        return replies if self.op.more else replies[0]

    def _fail(self, error: BaseException, session: Session) -> Verdict:
        fault = classify(error)
        if fault is Fault.NO_SCRIPT:
            session.healed += 1
            self.needs_script = True
            return Verdict.AT_ONCE
        if fault is Fault.LOST:
            session.lost += 1
            if self.op.blocks:  # a wait that was cut is over, and its outcome is None: what it was for may be there now
                session.connected = False
                return Verdict.SETTLED
            self.doubt = True
            self._turn()
        if fault is Fault.FULL and self._turn():
            return Verdict.AT_ONCE
        if fault in (Fault.LOST, Fault.NOT_NOW) or self.doubt:
            session.connected = False  # what listens there may be another server by now
            return Verdict.AGAIN
        self.outcome = as_ours(error, fault, self.name, session.server)
        return Verdict.SETTLED

    def _turn(self) -> bool:
        """Send from now on what reads only, if the script has such a twin: a copy of it would act again."""
        op = self.op
        if op.script is None or op.script.kind != "twin":
            return False
        twin = Call(script_named(op.script.twin), op.keys, op.args)
        self.op = Beside(twin, op.command, op.read) if isinstance(op, Beside) else twin.read_by(op.read)
        self.needs_script = False
        return True

    def give_up(self, session: Session, trouble: BaseException | None, deadline: float) -> None:
        """Settle what had no answer before the deadline, ``deadline`` seconds after the call was made."""
        why = f": {trouble}" if trouble else ""
        script = self.op.script
        if self.doubt and script is not None and script.kind != "reads":
            if self.caller is not None:
                session.retire(self.place)
            text = (
                f"{self.name}: sent to {session.server}, no answer for {deadline:g} s{why}; engine.resolve tells more"
            )
            self.outcome = OutcomeUnknown(text, self.op, self.identity)
        elif isinstance(trouble, RedisStateError):
            self.outcome = trouble
        elif trouble is not None and (fault := classify(trouble)) not in (Fault.LOST, Fault.NO_SCRIPT):
            self.outcome = as_ours(trouble, fault, self.name, session.server)
        else:
            hint = "start one there, or set REDIS_URL (embedded:// needs none)"
            text = f"{self.name}: no answer from a server at {session.server} for {deadline:g} s{why}; {hint}"
            self.outcome = ServerUnavailable(text)

    @property
    def identity(self) -> Identity | None:
        """What the server remembers the call by; None when it remembers nothing."""
        if self.caller is None:
            return None
        return Identity(call_record(self.op.keys[0], self.caller.id), self.number, self.void_at)

    @property
    def name(self) -> str:
        """The script, or the command."""
        return self.op.script.name if self.op.script else str(self.op.args[0])


def pack(words: tuple[Word, ...]) -> bytes:
    """Return a command as the bytes to send. ``ValueError`` for text that UTF-8 cannot hold."""
    try:
        packed: bytes = pack_command(words)  # type: ignore[arg-type]
        return packed
    except UnicodeEncodeError as error:
        raise ValueError(f"{error.object!r} is not text that UTF-8 can hold: {error.reason}") from None
