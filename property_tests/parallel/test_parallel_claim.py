"""Work that several processes want to do: one does it at a time, and nobody does it again when it is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import ClaimClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

calls = st.one_of(
    *often(2, a_call("take")),
    a_call("fail"),
    a_call("release"),
    a_call("expire"),
    a_call("reopen"),
    a_call("look"),
    a_call("update", st.integers(1, 99)),
    a_call("finish", st.sampled_from("xyz")),
)
openings = [(), (Call("take"), Call("expire"))]  # one who has lost it, and goes on


@tried(150)
@given(program=programs(calls, openings))
def test_a_claim_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, ClaimClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_a_claim_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, ClaimClient)
