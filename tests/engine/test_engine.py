"""The engine's conversation and its judgement of errors, without a server: they are pure."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from redis import exceptions as redis_errors

from redis_state import NotApplied, OutcomeUnknown, ScriptFailed, ServerFull, ServerRefused, ServerUnavailable
from redis_state.config import Settings
from redis_state.engine.delivery import Connect, Exchange, Sleep, deliver
from redis_state.engine.engine import Engine
from redis_state.engine.faults import Fault, classify
from redis_state.engine.inflight import Callers, ConnectionState
from redis_state.engine.op import Broken, Op, Pause, Plan, ScriptThenRead, Transaction, command, do, do_all, just, pause
from redis_state.engine.operation import operation
from redis_state.engine.registry import script
from redis_state.errors import CorruptValue, StaleToken
from redis_state.keys import Keys

COUNT = operation("index/count", entries=lambda _, count: int(count))
CONFIRM = operation("progress/confirm", confirmed=just(True), nothing=just(False))
READS, WRITES = COUNT.script, CONFIRM.script
NOTE = operation("text/get", hit=just(True), miss=just(False))
NOTES = NOTE.script
LOST = Broken(redis_errors.ConnectionError("cut"))


def writes() -> Op[bool]:
    return CONFIRM(Keys("x"), "a", saw="", completion="")


def reads() -> Op[int]:
    return COUNT(Keys("x"))


class Talk:
    """A conversation in which the test is the server. ``oversleeps``: seconds by which each pause is longer."""

    def __init__(self, *ops: Op[Any], deadline: float = 10.0, oversleeps: float = 0.0) -> None:
        self.time = 0.0
        self._oversleeps = oversleeps
        self.state, self.callers = ConnectionState(), Callers()
        self._talk = deliver(ops, self.state, self.callers, Settings(deadline=deadline), lambda: self.time)
        self.ask: Any = next(self._talk)
        self.outcomes: list[Any] | None = None

    def answer(self, reply: Any = None) -> Talk:
        """Answer, and pass over pauses."""
        if isinstance(self.ask, Connect) and reply is None:
            self.state.connected = True
            self.state.loaded.clear()
        elif isinstance(reply, list) and reply and isinstance(reply[-1], Broken):
            self.state.connected = False
        try:
            asked = self._talk.send(reply if isinstance(self.ask, Connect) else [reply])
            while isinstance(asked, Sleep):
                self.time += asked.seconds + self._oversleeps
                asked = self._talk.send(None)
            self.ask = asked[0] if isinstance(asked, list) else asked
        except StopIteration as end:
            self.ask, self.outcomes = None, end.value
        return self


def words(payload: bytes) -> list[bytes]:
    return payload.split(b"\r\n")[2::2]


def test_a_retry_has_the_same_identity() -> None:
    talk = Talk(writes()).answer()
    first = talk.ask.payload
    talk.answer([LOST]).answer()
    assert talk.ask.payload == first
    assert talk.answer([[b"confirmed"]]).outcomes == [True]


def test_the_next_call_of_a_channel_has_the_next_number() -> None:
    talk = Talk(writes()).answer()
    *_, number, _ = words(talk.ask.payload)
    talk.answer([[b"nothing"]])
    (ask,) = next(deliver([writes()], talk.state, talk.callers, Settings()))  # type: ignore[misc]
    assert int(words(ask.payload)[-2]) == int(number) + 1


def test_a_missing_script_is_loaded_and_evaluated_in_one_write() -> None:
    talk = Talk(writes()).answer()
    talk.answer([redis_errors.NoScriptError("NOSCRIPT No matching script")])
    assert isinstance(talk.ask, Exchange)
    assert talk.ask.replies == 2
    assert b"SCRIPT" in talk.ask.payload
    assert b"EVAL\r\n" in talk.ask.payload
    assert talk.answer([b"sha", [b"confirmed"]]).outcomes == [True]


def test_only_the_missing_scripts_of_a_batch_are_sent_again() -> None:
    talk = Talk(writes(), reads()).answer()
    assert talk.ask.replies == 4  # two SCRIPT LOADs ahead, on a fresh connection
    talk.answer([b"sha", b"sha", redis_errors.NoScriptError("NOSCRIPT"), [b"entries", 5]])
    assert talk.ask.replies == 2
    assert talk.answer([b"sha", [b"nothing"]]).outcomes == [False, 5]


def test_what_was_answered_before_a_cut_is_not_sent_again() -> None:
    talk = Talk(writes(), writes(), reads()).answer()
    talk.answer([b"sha", b"sha", [b"confirmed"], LOST]).answer()
    assert talk.ask.replies == 2 + 2  # the scripts of a fresh connection, and the two that had no answer
    assert talk.answer([b"sha", b"sha", [b"nothing"], [b"entries", 1]]).outcomes == [True, False, 1]


def hashes() -> Transaction[list[Any]]:
    return Transaction(Keys("x").of("a"), [("HGETALL", "a"), ("HGETALL", "b")], list)


def test_commands_together_are_one_call_at_one_instant() -> None:
    talk = Talk(hashes(), reads()).answer()
    sent = [word for word in talk.ask.payload.split(b"\r\n") if word.isalpha()]
    start = sent.index(b"MULTI")
    assert sent[start : start + 7] == [b"MULTI", b"HGETALL", b"a", b"HGETALL", b"b", b"EXEC", b"EVALSHA"]
    assert talk.ask.replies == 1 + 4 + 1  # a SCRIPT LOAD ahead, and the script behind
    talk.answer([b"sha", b"OK", b"QUEUED", b"QUEUED", [[b"n", b"1"], []], [b"entries", 1]])
    assert talk.outcomes == [[[b"n", b"1"], []], 1]


@pytest.mark.parametrize(
    "replies",
    [
        [b"OK", b"QUEUED", LOST],
        [redis_errors.BusyLoadingError("LOADING"), redis_errors.ResponseError("EXECABORT")],
        [b"OK", redis_errors.ReadOnlyError("READONLY"), b"QUEUED", redis_errors.ExecAbortError("EXECABORT")],
    ],
)
def test_commands_together_are_sent_again_together(replies: list[Any]) -> None:
    talk = Talk(hashes()).answer()
    first = talk.ask.payload
    talk.answer(replies).answer()
    assert talk.ask.payload == first
    assert talk.answer([b"OK", b"QUEUED", b"QUEUED", [[], []]]).outcomes == [[[], []]]


def test_what_is_wrong_with_one_of_several_commands_is_told() -> None:
    talk = Talk(hashes()).answer()
    (error,) = talk.answer([b"OK", b"QUEUED", b"QUEUED", [[], redis_errors.ResponseError("WRONGTYPE")]]).outcomes or []
    assert isinstance(error, CorruptValue)


COMMAND = b"*3\r\n$4\r\nHGET\r\n$12\r\nrs:{x}:texts\r\n$1\r\na\r\n"


def noted() -> ScriptThenRead[list[Any]]:
    call = NOTE(Keys("x"), "a", mtime="", whole=0)
    return ScriptThenRead(call, ("HGET", "rs:{x}:texts", "a"), list)


def test_a_command_beside_a_script_is_one_call() -> None:
    talk = Talk(noted(), reads()).answer()
    first, second = talk.ask.payload.split(b"EVALSHA")[1:]
    assert first.endswith(COMMAND + b"*4\r\n$7\r\n")
    assert b"HGET" not in second
    assert talk.ask.replies == 2 + 2 + 1  # two SCRIPT LOADs ahead, and the other script behind
    assert talk.answer([b"sha", b"sha", [b"miss"], None, [b"entries", 1]]).outcomes == [[[b"miss"], None], 1]


@pytest.mark.parametrize("replies", [[LOST], [[b"hit", b"", b"", 1], LOST]])
def test_a_call_that_would_count_twice_is_its_fallback_when_it_is_sent_again(replies: list[Any]) -> None:
    talk = Talk(noted()).answer()
    assert NOTES.sha.encode() in talk.ask.payload
    talk.answer(replies).answer()
    assert NOTES.sha.encode() not in talk.ask.payload
    assert script(NOTES.fallback).sha.encode() in talk.ask.payload
    assert talk.ask.payload.endswith(COMMAND)
    assert talk.answer([[b"miss"], None]).outcomes == [[[b"miss"], None]]


def test_a_missing_script_is_loaded_beside_its_command() -> None:
    talk = Talk(noted()).answer()
    talk.answer([redis_errors.NoScriptError("NOSCRIPT"), b"blob"])
    assert talk.ask.replies == 3
    assert talk.ask.payload.endswith(COMMAND)
    assert talk.answer([b"sha", [b"miss"], None]).outcomes == [[[b"miss"], None]]


def test_what_is_wrong_with_the_command_beside_is_told() -> None:
    talk = Talk(noted()).answer()
    (error,) = talk.answer([[b"miss"], redis_errors.ResponseError("WRONGTYPE")]).outcomes or []
    assert isinstance(error, CorruptValue)


def test_a_void_call_is_sent_again_with_the_servers_time() -> None:
    talk = Talk(writes()).answer()
    talk.answer([[b"void", 1_700_000_000_000]])
    assert int(words(talk.ask.payload)[-1]) == 1_700_000_000_000 + 10_000
    assert talk.answer([[b"confirmed"]]).outcomes == [True]


def given_up(reply: Any, *, op: Op[Any] | None = None, after: Any = None) -> Any:
    """Answer everything with ``reply`` until the deadline; the first exchange with ``after``."""
    talk = Talk(op or writes(), deadline=2.0)
    while talk.outcomes is None:
        if isinstance(talk.ask, Connect):
            talk.answer(reply if isinstance(reply, Exception) and after is None else None)
        else:
            talk.answer([after] if after is not None else [reply])
            after = None if after is not None and talk.outcomes is None else after
        talk.time += 0.01
    return talk.outcomes[0]


def test_lost_replies_until_the_deadline_leave_the_outcome_unknown() -> None:
    error = given_up(LOST)
    assert isinstance(error, OutcomeUnknown)
    assert error.identity.number == 1
    assert "no answer for 2 s: cut; engine.resolve tells more" in str(error)


def test_lost_replies_of_a_read_are_no_doubt() -> None:
    assert isinstance(given_up(LOST, op=reads()), ServerUnavailable)


def test_no_connection_until_the_deadline_is_not_applied() -> None:
    error = given_up(redis_errors.ConnectionError("refused"))
    assert isinstance(error, ServerUnavailable)
    assert isinstance(error, NotApplied)
    assert isinstance(error, ConnectionError)


def test_a_process_that_slept_past_its_deadline_asks_once_more_and_is_told() -> None:
    talk = Talk(writes(), deadline=1.0, oversleeps=60.0).answer(ConnectionRefusedError("nobody there"))
    assert isinstance(talk.ask, Connect)
    assert talk.ask.end > talk.time
    talk.answer(ConnectionRefusedError("nobody there"))
    assert talk.outcomes is not None
    assert isinstance(talk.outcomes[0], ServerUnavailable)


def test_a_missing_script_at_the_deadline_is_no_bug_of_the_script() -> None:
    talk = Talk(writes(), deadline=1.0).answer()
    talk.time = 2.0
    talk.answer([redis_errors.NoScriptError("No matching script.")])
    assert talk.outcomes is not None
    assert isinstance(talk.outcomes[0], ServerUnavailable)


def test_a_refusal_until_the_deadline_is_not_applied() -> None:
    error = given_up(redis_errors.ReadOnlyError("You can't write against a read only replica."))
    assert isinstance(error, ServerRefused)


def test_a_refusal_after_a_lost_reply_proves_nothing() -> None:
    talk = Talk(writes(), deadline=1.0).answer()
    talk.answer([LOST])
    while talk.outcomes is None:
        talk.answer(
            None if isinstance(talk.ask, Connect) else [redis_errors.OutOfMemoryError("OOM command not allowed")]
        )
        talk.time += 0.01
    assert isinstance(talk.outcomes[0], OutcomeUnknown)


def test_a_call_ends_at_its_deadline() -> None:
    talk = Talk(writes(), deadline=3.0).answer()
    while talk.outcomes is None:
        talk.answer(None if isinstance(talk.ask, Connect) else [LOST])
    assert 2.4 < talk.time <= 3.0  # the longest pause is half a second


# --- a caller's own time-out --------------------------------------------------------------------------------


def impatient(op: Op[Any], until: float) -> Op[Any]:
    op.until = until
    return op


def test_a_call_ends_at_its_callers_time_out() -> None:
    talk = Talk(impatient(writes(), 1.5)).answer()
    while talk.outcomes is None:
        talk.answer(None if isinstance(talk.ask, Connect) else [LOST])
    assert 0.9 < talk.time <= 1.5
    assert isinstance(talk.outcomes[0], OutcomeUnknown)
    assert "no answer for 1.5 s" in str(talk.outcomes[0])


def test_a_call_whose_time_is_over_is_tried_once() -> None:
    talk = Talk(impatient(writes(), -1.0)).answer()
    assert isinstance(talk.ask, Exchange)
    assert talk.answer([[b"confirmed"]]).outcomes == [True]


def test_the_earliest_time_out_of_a_batch_counts() -> None:
    talk = Talk(impatient(writes(), 4.0), writes(), impatient(writes(), 3.0)).answer()
    assert talk.ask.end == 3.0 + Settings().socket_timeout


def test_a_wait_is_not_cut_before_the_server_may_answer() -> None:
    wait = command(None, "BLPOP", "a", "5", read=bool, blocks=5.0)
    assert Talk(wait, writes(), deadline=0.5).answer().ask.end == 5.0 + Settings().socket_timeout
    assert Talk(impatient(wait, 2.0), writes()).answer().ask.end == 2.0 + Settings().socket_timeout


def test_what_is_sent_behind_a_wait_is_not_void_when_the_wait_is_over() -> None:
    wait = command(None, "BLPOP", "a", "5", read=bool, blocks=5.0)
    talk = Talk(wait, writes(), deadline=0.5).answer()
    assert int(words(talk.ask.payload)[-1]) >= 5_000


def test_a_call_counts_from_when_its_caller_called() -> None:
    talk = deliver([reads()], ConnectionState(), Callers(), Settings(deadline=2.0), lambda: 10.0, began=9.0)
    ask = next(talk)
    assert isinstance(ask, Connect)
    assert ask.end == 11.0 + Settings().socket_timeout


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (redis_errors.NoScriptError("NOSCRIPT No matching script. Please use EVAL."), Fault.NO_SCRIPT),
        (redis_errors.ConnectionError("Connection closed by server."), Fault.LOST),
        (redis_errors.TimeoutError("Timeout reading from socket"), Fault.LOST),
        (ConnectionResetError(), Fault.LOST),
        (TimeoutError(), Fault.LOST),
        (redis_errors.InvalidResponse("Protocol error"), Fault.LOST),
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), Fault.NOT_NOW),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), Fault.NOT_NOW),
        (redis_errors.MasterDownError("Link with MASTER is down"), Fault.NOT_NOW),
        (redis_errors.TryAgainError("TRYAGAIN"), Fault.NOT_NOW),
        (redis_errors.ResponseError("BUSY Redis is busy running a script."), Fault.NOT_NOW),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."), Fault.NOT_NOW),
        (redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"), Fault.NOT_NOW),
        (redis_errors.ResponseError("UNBLOCKED force unblock from blocking operation"), Fault.NOT_NOW),
        (
            redis_errors.ResponseError(
                "Error running script (call to f_8f2): @user_script:12: @user_script: 12: "
                "-READONLY You can't write against a read only replica. "
            ),
            Fault.NOT_NOW,
        ),
        (
            redis_errors.ResponseError(
                "Error running script (call to f_8f2): @user_script:12: @user_script: 12: "
                "-OOM command not allowed when used memory > 'maxmemory'. "
            ),
            Fault.FULL,
        ),
        (redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), Fault.FULL),
        (redis_errors.NoPermissionError("this user has no permissions"), Fault.REFUSED),
        (redis_errors.MovedError("3999 127.0.0.1:6381"), Fault.REFUSED),
        (redis_errors.AuthenticationError("Authentication required."), Fault.REFUSED),
        (redis_errors.ResponseError("user_script:3: attempt to index a nil value"), Fault.FAILED),
        (redis_errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), Fault.FAILED),
    ],
)
def test_an_error_is_what_it_says(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (redis_errors.OutOfMemoryError("OOM"), ServerFull),
        (redis_errors.NoPermissionError("NOPERM"), ServerRefused),
        (redis_errors.ResponseError("user_script:3: attempt to index a nil value"), ScriptFailed),
        (redis_errors.ResponseError("WRONGTYPE Operation against a key"), CorruptValue),
    ],
)
def test_a_proven_refusal_is_raised_at_once(reply: Exception, kind: type[Exception]) -> None:
    (outcome,) = Talk(writes()).answer().answer([reply]).outcomes or [None]
    assert isinstance(outcome, kind)


def test_a_script_error_names_the_line_of_the_file() -> None:
    reply = redis_errors.ResponseError("user_script:3: attempt to index a nil value script: 8f2, on @user_script:3.")
    (outcome,) = Talk(writes()).answer().answer([reply]).outcomes or [None]
    assert str(outcome).startswith("progress/confirm.lua:3: ")


# --- plans --------------------------------------------------------------------------------------------------


class Answers(Engine):
    """An engine whose answers are given: plans are tested without a server."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(Settings())
        self._answers = iter(answers)

    def _carry(self, ops: Any, deadline: float | None = None) -> list[Any]:
        return [next(self._answers) for _ in ops]


def test_a_plan_gets_results_one_by_one_or_together() -> None:
    def plan() -> Plan[Any]:
        one = yield from do(reads())
        yield from pause(0.001)
        two = yield from do_all([reads(), reads()])
        return [one, *two]

    assert Answers(1, 2, 3).follow(plan()) == [1, 2, 3]


def test_a_failed_step_is_thrown_into_its_plan() -> None:
    def plan() -> Plan[str]:
        try:
            yield reads()
        except ServerFull:
            return "handled"
        return "not thrown"

    assert Answers(ServerFull("full")).follow(plan()) == "handled"


def test_a_plan_that_is_left_is_closed() -> None:
    closed = []

    def plan() -> Iterator[Any]:
        try:
            yield reads()
        finally:
            closed.append(True)

    with pytest.raises(ServerFull):
        Answers(ServerFull("full")).follow(plan())  # type: ignore[arg-type]
    assert closed


def test_a_plan_may_be_followed_by_hand() -> None:
    plan = do(reads())
    step = next(plan)
    assert isinstance(step, Op)
    with pytest.raises(StopIteration) as end:
        plan.send(7)
    assert end.value.value == 7
    assert next(pause(0.5)) == Pause(0.5)


@pytest.mark.parametrize("error", [StaleToken("k", 1, 2), OutcomeUnknown("text"), ServerFull("full")])
def test_errors_cross_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)


# --- callers: borrowed from the engine, returned at the outcome -------------------------------------------------


def caller_of(payload: bytes) -> bytes:
    (record,) = [word for word in words(payload) if b"}:c:" in word]
    return record


def test_a_caller_is_returned_at_the_outcome_and_used_again() -> None:
    talk = Talk(writes()).answer()
    assert not talk.callers  # it is in flight
    first = caller_of(talk.ask.payload)
    talk.answer([LOST]).answer()
    assert not talk.callers
    talk.answer([[b"confirmed"]])
    assert len(talk.callers) == 1
    again = next(deliver([writes()], talk.state, talk.callers, Settings()))
    assert isinstance(again, list)
    assert caller_of(again[0].payload) == first


def test_calls_in_flight_at_once_have_a_caller_each_whatever_connection_they_use() -> None:
    callers, records = Callers(), set[bytes]()
    for number in range(3):
        state = ConnectionState()
        state.connected = True
        asked = next(deliver([writes(), writes()], state, callers, Settings()))
        assert isinstance(asked, list)
        records |= {word for word in asked[0].payload.split(b"\r\n") if b"}:c:" in word}
        assert len(records) == 2 * (number + 1)


def test_the_caller_of_an_unknown_call_is_dropped() -> None:
    talk = Talk(writes(), deadline=1.0).answer()
    while talk.outcomes is None:
        talk.answer(None if isinstance(talk.ask, Connect) else [LOST])
        talk.time += 0.01
    assert isinstance(talk.outcomes[0], OutcomeUnknown)
    assert not talk.callers


def test_the_caller_of_an_interrupted_call_is_dropped() -> None:
    talk = Talk(writes()).answer()
    talk._talk.close()
    assert not talk.callers


def test_the_caller_of_a_refused_call_is_returned() -> None:
    talk = Talk(writes()).answer()
    talk.answer([redis_errors.NoPermissionError("this user has no permissions")])
    assert isinstance((talk.outcomes or [])[0], ServerRefused)
    assert len(talk.callers) == 1
