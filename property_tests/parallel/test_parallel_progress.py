"""Segments that several processes mark at the same time: each counts once, and one of them hears of the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import ProgressClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

track = st.just("t")
totals = st.sampled_from([2, 2, 3])
calls = st.one_of(
    *often(3, a_call("mark", track, st.integers(0, 3))),
    a_call("begin", track, totals),
    a_call("begin", track, totals, st.just(True)),
    a_call("claim", track),
    a_call("expire", track),
    a_call("fail", track),
    a_call("remove", track),
    a_call("get", track),
    a_call("confirm", track),
    a_call("advance", track, st.integers(-1, 3)),
)
openings = [(Call("begin", ("t", total)),) for total in (2, 2, 3)]


@tried(150)
@given(program=programs(calls, openings))
def test_progress_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, ProgressClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_progress_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, ProgressClient)
