"""Chunks that several processes deliver, in any order and more than once; an assembly that one of them does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import UploadClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

chunks = st.tuples(st.integers(0, 2), st.sampled_from([8, 8, 8, 4]), st.sampled_from([None, "a", "b"]))
accept = a_call("accept", st.lists(chunks, min_size=1, max_size=2).map(tuple))
sizes = st.sampled_from([24, 20, 8])
calls = st.one_of(
    *often(3, accept),
    a_call("finish", st.sampled_from("xyz")),
    a_call("fail"),
    a_call("expire"),
    a_call("declare", sizes),
    a_call("create", st.none() | sizes),
    a_call("abort"),
    a_call("look"),
    *often(2, a_call("take")),
)
whole = tuple((number, 8, None) for number in range(3))
openings = [
    (),
    (Call("create"),),
    (Call("create", (20,)),),
    *[(Call("create", (24,)), Call("accept", (whole[:count],))) for count in (1, 2, 3, 3)],
]


@tried(150)
@given(program=programs(calls, openings))
def test_an_upload_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, UploadClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_an_upload_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, UploadClient)
