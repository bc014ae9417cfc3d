"""Texts that several processes put and read: within the budget, and the least recently used goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import TextClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

names = st.sampled_from("abcde")


class Filled(str):
    """A text of one letter, which tells its length instead of all of it."""

    def __repr__(self) -> str:
        return f"{self[0]!r} * {len(self)}"


small = [Filled(letter * 150) for letter in "xy"]  # three of them fit
texts = st.sampled_from([*small, *small, *small, Filled("z" * 900), Filled("z" * 1200), *small])  # one, and none
OLD, NEW = 10**18 + 1, 10**18 + 2
mtimes = st.sampled_from([OLD, NEW])
calls = st.one_of(
    *often(3, a_call("put", names, texts)),
    a_call("put", names, texts, mtimes),
    a_call("stats"),
    a_call("clear"),
    a_call("drop", names),
    a_call("get", names, mtimes),
    *often(3, a_call("get", names)),
)
full = [Call("put", (name, small[0])) for name in "abc"]
openings = [full, (), [Call("put", ("a", small[0], NEW))]]


@tried(150)
@given(program=programs(calls, openings))
def test_a_text_cache_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, TextClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_a_text_cache_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, TextClient)
