"""Calls with an identity: of all copies of a call one acts, and it can be told what became of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from redis_state.engine.inflight import RECORD_KEPT_MS
from redis_state.engine.op import Op, command
from redis_state.engine.operation import ScriptOp
from redis_state.engine.resolve import RECALL
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations
from tests.support.raw import raw

KEYS = Keys("calls")
RECORDS = RecordOperations(KEYS, TTL)
callers = st.sampled_from(["one", "another"])
numbers = st.sampled_from([1, 2, 3, 9, 10, 11, 100])
fields = st.sampled_from(["n", "m"])
spans = st.sampled_from([300.0, 300.0, -1.0, 500.0])  # seconds until the time of a call ends
NEVER, LOST = b"never", b"forgotten"  # what is told of a call of which a copy was void: none acts any more
ENDED = {"soon": 300.0, "just": -60.0, "long ago": -60.0 - RECORD_KEPT_MS / 1000}


class Calls(Machine):
    """What every caller said last, and what that was answered."""

    indexed = "r"

    def start(self) -> None:
        self.sums: dict[str, int] = {}
        self.records: dict[str, tuple[int, Any]] = {}
        self.left = 0.0

    def older(self, seconds: float) -> None:
        self.left -= seconds
        if self.left < 0:
            self.sums = {}

    @rule(
        caller=callers,
        number=numbers,
        field=fields,
        create=st.booleans(),
        ends=spans,
    )
    def send(self, caller: str, number: int, field: str, create: bool, ends: float) -> None:
        op = RECORDS.increment("a", field, 5, create=create)
        assert isinstance(op, ScriptOp)
        identity = number, int((self.snapshot.now + ends) * 1000)
        words = (*op.keys, KEYS.key("record", caller), *op.args, *identity)
        said = self.engine.run(_evaluated(op, len(op.keys) + 1, *words))
        last, answer = self.records.get(caller, (0, None))
        if number == last and answer not in (NEVER, LOST):
            assert said == answer
        elif number < last:
            assert said == [b"superseded"]
        elif number == last or ends < 0 or ends > 360:  # its time is over, or so far ahead that the clock was set back
            assert said[0] == b"void"
            if number != last:
                self.records[caller] = number, LOST if ends > 360 else NEVER
        elif not create and field not in self.sums:
            assert said == [b"unset" if self.sums else b"missing"]
            self.records[caller] = number, said
        else:
            self.sums[field] = self.sums.get(field, 0) + 5
            self.left = TTL
            assert said == [b"counted", self.sums[field]]
            self.records[caller] = number, said

    @rule(caller=callers, number=numbers, ended=st.sampled_from(sorted(ENDED)))
    def recall(self, caller: str, number: int, ended: str) -> None:
        void_at = int((self.snapshot.now + ENDED[ended]) * 1000)
        said = self.engine.run(raw(RECALL(KEYS, caller, number=number, void_at=void_at, kept_ms=RECORD_KEPT_MS)))
        last, answer = self.records.get(caller, (0, None))
        if number == last:
            assert said == ([answer] if answer in (NEVER, LOST) else [b"answered", answer])
        elif ended == "soon":
            assert said[0] == b"undecided"
            assert 0 < said[1] <= 301_000
        else:
            assert said == [b"never" if ended == "just" else b"forgotten"]
            if ended == "just" and number > last:
                self.records[caller] = number, NEVER
                return
        self.refusing = True

    @rule(caller=callers)
    def a_record_ends(self, caller: str) -> None:
        self.proxy.release()  # it outlives the time of its call, so no copy of that can still come and act
        self.client.delete(KEYS.key("record", caller))
        self.records.pop(caller, None)

    def agrees(self, snapshot: Snapshot) -> None:
        record = snapshot.of("r").get("a")
        held = record.holds if record else {}
        assert {field: int(text) for field, text in held.items() if not field.startswith("@")} == self.sums
        assert {key for key in snapshot if ":c:" in key} == {KEYS.key("record", name) for name in self.records}


def _evaluated(op: Op[Any], *words: Any) -> Op[Any]:
    assert op.script is not None
    return command(KEYS, "EVAL", op.script.text, *words, read=lambda reply: reply)


@everywhere
def test_of_all_copies_of_a_call_one_acts(kind: str) -> None:
    run(Calls, kind, examples=25)
