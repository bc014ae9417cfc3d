"""A lock that several processes want, lose, and write under: one holder at a time, and tokens that rise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from models import Call
from parallel.actors import Locking
from parallel.court import Court, tried
from parallel.programs import Program, a_call, faulty_programs, often, programs

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
def test_a_lock_in_parallel(court: Court, program: Program) -> None:
    court.judge(program, Locking)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_a_lock_in_parallel_while_things_go_wrong(court: Court, program: Program) -> None:
    court.judge(program, Locking)
