"""A lock that several processes want, lose, and write under: one holder at a time, and tokens that rise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import LockClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

calls = st.one_of(
    *often(2, a_call("acquire")),
    a_call("release"),
    a_call("renew"),
    a_call("inspect"),
    a_call("expire"),
    *often(2, a_call("write")),
)
openings = [(), (Call("acquire"), Call("expire"))]  # one who has lost it, and goes on


@tried(150)
@given(program=programs(calls, openings))
def test_a_lock_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, LockClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_a_lock_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, LockClient)
