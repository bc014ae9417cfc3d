"""What a call in flight says and hears: identity, copies, patience. Pure; both engines follow it.

Blind retry of a write is wrong, and no retry is fragile. So a call that writes has an identity: its
caller, its number, and the server time after which it is void. ``lua/lib/once.lua`` remembers the
caller's last call, so a copy gets the same answer and changes nothing, however late it arrives.

``converse`` is a generator. It yields what it wants from the channel (``Connect``, ``Exchange``,
``Pause``) and returns one outcome for each op: its result, or the exception to raise. Every fault
is retried, always with the same identity, until the deadline; then a call that may have run is
``OutcomeUnknown``, and one that cannot have run is ``NotApplied``.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

from hiredis import pack_command

from redis_state.config import MAX_DEADLINE, Server, Settings
from redis_state.engine.faults import Fault, as_ours, cannot_connect, classify
from redis_state.engine.op import Op, Plan, Word, do, just
from redis_state.engine.registry import script
from redis_state.errors import NotApplied, OutcomeUnknown, ServerUnavailable
from redis_state.keys import call_record

FIRST_PAUSE = 0.010  # seconds; doubled with each attempt, and the real pause is random below it
LONGEST_PAUSE = 0.5
_KEPT_MS = 900_000 - int(MAX_DEADLINE * 1000)  # a call record outlives the call's time by this much


@dataclass(frozen=True, slots=True)
class Connect:
    """Ask for a new connection to the server that is ours now. Answer: None, or an exception."""

    within: float  # seconds for everything that connecting takes


@dataclass(frozen=True, slots=True)
class Exchange:
    """Ask to send ``payload`` and to read ``replies`` replies. Answer: a list; when it is short, ``Broken`` ends it."""

    payload: bytes
    replies: int
    blocks: float  # seconds by which the server may hold replies back on purpose


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask to do nothing for some seconds. Answer: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection broke before the next reply."""

    error: BaseException


Ask: TypeAlias = Connect | Exchange | Wait


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
        "scripts_loaded",
        "server",
        "voids",
    )

    def __init__(self) -> None:
        self.server: Server | None = None
        self.connected = False
        self.fresh = False  # nothing was sent yet on this connection
        self.clock = 0.0  # server seconds since 1970, less our monotonic seconds
        self.callers: list[Caller] = []
        self.calls = self.lost = self.healed = self.scripts_loaded = self.voids = 0

    def caller(self, place: int) -> Caller:
        while len(self.callers) <= place:
            self.callers.append(Caller())
        return self.callers[place]

    def set_clock(self, server_seconds: float, at: float) -> None:
        self.clock = server_seconds - at


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server remembers a call by."""

    record: str  # the key of the caller's record
    number: int
    void_at: int  # server time in ms


class _Sending:
    """One op on its way to its outcome."""

    __slots__ = ("caller", "doubt", "needs_script", "number", "op", "place", "void_at")

    def __init__(self, op: Op[Any], place: int) -> None:
        self.op = op
        self.place = place
        self.caller: Caller | None = None
        self.number = 0
        self.void_at = 0
        self.doubt = False  # a copy was sent and never answered
        self.needs_script = False

    def packed(self, session: Session, deadline: float) -> bytes:
        """Return the bytes to send, with the same identity each time."""
        op = self.op
        script = op.script
        if script is None:
            return _pack(tuple(op.args))
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
            return _pack(("SCRIPT", "LOAD", script.text)) + _pack(("EVAL", script.text, *words))
        return _pack(("EVALSHA", script.sha, *words))

    def identity(self) -> Identity | None:
        if self.caller is None:
            return None
        return Identity(call_record(self.op.keys[0], self.caller.id), self.number, self.void_at)

    def name(self) -> str:
        return self.op.script.name if self.op.script else str(self.op.args[0])


def _pack(words: tuple[Word, ...]) -> bytes:
    try:
        packed: bytes = pack_command(words)  # type: ignore[arg-type]
        return packed
    except UnicodeEncodeError as error:
        raise ValueError(f"{error.object!r} is not text that UTF-8 can hold: {error.reason}") from None


def converse(
    ops: Sequence[Op[Any]], session: Session, settings: Settings, now: Callable[[], float] = monotonic
) -> Generator[Ask, Any, list[Any]]:
    """Carry some ops to their outcomes, all in one write. The channel is ours until we return."""
    deadline = now() + settings.deadline
    outcomes: list[Any] = [None] * len(ops)
    pending = [_Sending(op, place) for place, op in enumerate(ops)]
    session.calls += len(ops)
    tries = 0
    trouble: BaseException | None = None
    while True:
        hurry = False  # try again at once: the fault is mended
        if not session.connected:
            trouble = yield Connect(deadline + settings.socket_timeout - now())
            if trouble is not None and (wrong := cannot_connect(trouble, _server(session))):
                trouble = wrong
                break
        if session.connected and now() < deadline:
            ahead = _scripts_of(pending) if session.fresh and len(pending) > 1 else []
            session.fresh = False
            healing = sum(1 for sending in pending if sending.needs_script)
            payload = b"".join([*ahead, *[sending.packed(session, deadline) for sending in pending]])
            blocks = sum(sending.op.blocks for sending in pending)
            replies = yield Exchange(payload, len(ahead) + healing + len(pending), blocks)
            session.scripts_loaded += len(ahead) + healing
            still: list[_Sending] = []
            silence = replies[-1] if isinstance(replies[-1], Broken) else None
            following = iter(replies[len(ahead) :])
            for sending in pending:
                if sending.needs_script:
                    next(following, None)  # what SCRIPT LOAD said
                reply = next(following, silence)
                if type(reply) is list or not isinstance(reply, BaseException | Broken):
                    verdict = _answered(sending, reply, session, outcomes, now(), deadline)
                else:
                    trouble = reply.error if isinstance(reply, Broken) else reply
                    verdict = _refused(sending, reply, session, outcomes)
                    silence = silence and Broken(ConnectionError("the connection was closed before this reply"))
                if verdict is not None:
                    still.append(sending)
                    hurry = hurry or verdict
            if not still:
                return outcomes
            pending = still
        if hurry and tries < 3:
            delay = 0.0
        else:
            delay = random.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 10)))
        tries += 1
        if now() + delay >= deadline:
            break
        if delay:
            yield Wait(delay)
    for sending in pending:
        outcomes[sending.place] = _given_up(sending, session, trouble, settings.deadline)
    return outcomes


def _answered(
    sending: _Sending, reply: Any, session: Session, outcomes: list[Any], now: float, deadline: float
) -> bool | None:
    """Take a reply. Return None when it is the outcome, else whether to ask again at once."""
    op = sending.op
    if sending.caller is not None and type(reply) is list and reply:
        if reply[0] == b"void":  # proven: no copy of it ever acted, or will
            session.voids += 1
            session.set_clock(reply[1] / 1000, now)
            sending.doubt = False
            sending.void_at = 0
            return now < deadline
        if reply[0] == b"superseded":  # a later call of the same caller: this number was used twice
            outcomes[sending.place] = OutcomeUnknown(f"{sending.name()}: superseded", op, sending.identity())
            session.callers[sending.place] = Caller()
            return None
    try:
        outcomes[sending.place] = op.read(reply)
    except Exception as error:
        outcomes[sending.place] = error
    return None


def _refused(sending: _Sending, reply: Broken | BaseException, session: Session, outcomes: list[Any]) -> bool | None:
    """Take an error. Return None when it is the outcome, else whether to ask again at once."""
    error = reply.error if isinstance(reply, Broken) else reply
    fault = classify(error)
    if fault is Fault.LOST:
        session.connected = False
        session.lost += 1
        sending.doubt = True
        return False
    if fault is Fault.NO_SCRIPT:
        session.healed += 1
        sending.needs_script = True
        return True
    if fault is Fault.NOT_NOW or sending.doubt:
        session.connected = False  # what listens there may be another server by now
        return False
    outcomes[sending.place] = as_ours(error, fault, sending.name(), _server(session))
    return None


def _given_up(sending: _Sending, session: Session, trouble: BaseException | None, deadline: float) -> BaseException:
    """Return what to raise for a call that had no answer in time."""
    if isinstance(trouble, Exception) and not sending.doubt and not session.connected and _is_ours(trouble):
        return trouble
    name, server = sending.name(), _server(session)
    why = f": {trouble}" if trouble else ""
    writes = sending.op.script is not None and sending.op.script.kind != "reads"
    if writes and sending.doubt:
        if sending.caller is not None:
            session.callers[sending.place] = Caller()  # its number must never be used again
        text = f"{name}: sent to {server}, and no answer for {deadline:g} s{why}; engine.resolve(error) tells"
        return OutcomeUnknown(text, sending.op, sending.identity())
    if session.connected and isinstance(trouble, Exception):
        return as_ours(trouble, classify(trouble), name, server)
    hint = "start one there, or set REDIS_URL (embedded:// needs no server)"
    return ServerUnavailable(f"{name}: no answer from {server} for {deadline:g} s{why}; {hint}")


def _is_ours(error: BaseException) -> bool:
    from redis_state.errors import RedisStateError

    return isinstance(error, RedisStateError)


def _server(session: Session) -> Server:
    return session.server or Server("tcp")


def _scripts_of(pending: Sequence[_Sending]) -> list[bytes]:
    """Return a SCRIPT LOAD for each script that a batch uses."""
    texts = {sending.op.script.text for sending in pending if sending.op.script and not sending.needs_script}
    return [_pack(("SCRIPT", "LOAD", text)) for text in texts]


RECALL = script("call/recall")


def resolve(error: OutcomeUnknown) -> Plan[Any]:
    """Find out what became of a call: return its result, or raise ``NotApplied``, or ``error`` again."""
    op, identity = error.op, error.identity
    if identity is None:
        if op is None:
            raise error
        return (yield from do(op))  # class `same`: a copy is harmless, so ask again
    call = RECALL(record=identity.record, number=identity.number, void_at=identity.void_at, kept_ms=_KEPT_MS)
    found = yield from do(
        call.meaning(
            answered=lambda reply: (reply,),
            never=just(NotApplied(f"{error.args[0].partition(':')[0]}: it never ran, and now never will")),
            undecided=just(error),
            forgotten=just(error),
        )
    )
    if isinstance(found, BaseException):
        raise found
    return op.read(found[0]) if op is not None else found[0]
