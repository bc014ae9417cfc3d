"""Calls with an identity: of all copies of a call one acts, and it can be told what became of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from machines import TTL, Look, Machine, everywhere, run

from redis_state.engine.converse import RECALL, RECORD_KEPT_MS
from redis_state.engine.op import Op, command
from redis_state.keys import Keys, call_record
from redis_state.mapping.records import Records

KEYS = Keys("calls")
RECORDS = Records(KEYS, TTL)
callers = st.sampled_from(["one", "another"])
numbers = st.sampled_from([1, 2, 3, 9, 10, 11, 100])
fields = st.sampled_from(["n", "m"])
ENDED = {"soon": 600.0, "just": -60.0, "long ago": -60.0 - RECORD_KEPT_MS / 1000}


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
        caller=callers, number=numbers, field=fields, create=st.booleans(), ends=st.sampled_from([600.0, 600.0, -1.0])
    )
    def send(self, caller: str, number: int, field: str, create: bool, ends: float) -> None:
        op = RECORDS.increment("a", field, 5, create=create)
        identity = number, int((self.look.now + ends) * 1000)
        words = (*op.keys, call_record(op.keys[0], caller), *op.args, *identity)
        said = self.engine.run(_evaluated(op, len(op.keys) + 1, *words))
        last, answer = self.records.get(caller, (0, None))
        if number == last:
            assert said == answer
        elif number < last:
            assert said == [b"superseded"]
        elif ends < 0:
            assert said[0] == b"void"
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
        record, void_at = call_record(KEYS.record("a"), caller), int((self.look.now + ENDED[ended]) * 1000)
        call = RECALL(record=record, number=number, void_at=void_at, kept_ms=RECORD_KEPT_MS)
        said = self.engine.run(call.read_by(lambda reply: reply))
        last, answer = self.records.get(caller, (0, None))
        if number == last:
            assert said == [b"answered", answer]
        elif ended == "soon":
            assert said[0] == b"undecided"
            assert 0 < said[1] <= 601_000
        else:
            assert said == [b"never" if ended == "just" else b"forgotten"]
        self.refusing = True

    @rule(caller=callers)
    def a_record_ends(self, caller: str) -> None:
        self.proxy.release()  # it outlives the time of its call, so no copy of that can still come and act
        self.client.delete(call_record(KEYS.record("a"), caller))
        self.records.pop(caller, None)

    def agrees(self, look: Look) -> None:
        record = look.of("r").get("a")
        held = record.holds if record else {}
        assert {field: int(text) for field, text in held.items() if not field.startswith("@")} == self.sums
        assert {key for key in look if ":c:" in key} == {call_record(KEYS.record("a"), name) for name in self.records}


def _evaluated(op: Op[Any], *words: Any) -> Op[Any]:
    assert op.script is not None
    return command("EVAL", op.script.text, *words, read=lambda reply: reply)


@everywhere
def test_of_all_copies_of_a_call_one_acts(kind: str) -> None:
    run(Calls, kind, examples=25)
