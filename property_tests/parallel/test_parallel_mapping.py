"""Records that several processes write at the same time, through every operation that a mapping has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from property_tests.models import Call, Table
from property_tests.parallel.checker import Checker, tried
from property_tests.parallel.clients import MappingClient
from property_tests.parallel.generator import Program, a_call, faulty_programs, often, programs

keys = st.sampled_from(["a", "a", "b"])
fields = st.sampled_from(["n", "n", "m"])
numbers = st.integers(1, 9)
entries = st.dictionaries(fields, numbers, max_size=2).map(Table)
fences = st.sampled_from([None, None, 1, 2, 3])


calls = st.one_of(
    *often(2, a_call("increment", keys, fields, numbers, fences)),
    *often(2, a_call("mutate", keys, fields, numbers)),
    a_call("put", keys, entries, fences),
    a_call("get", keys),
    a_call("patch", keys, entries, fences),
    a_call("create", keys, entries),
    a_call("setdefault", keys, entries),
    a_call("fill", keys, fields, numbers),
    a_call("unset", keys, fields),
    a_call("pop", keys),
    a_call("remove", keys, fences),
    a_call("get_many", st.just(("a", "b"))),
    a_call("length"),
    *often(2, a_call("put_if_version", keys, entries)),
    *often(2, a_call("add", keys, fields, numbers)),
)
openings = [(), (Call("put", ("a", Table(n=1))), Call("get", ("a",)))]  # one who has seen a version


@tried(250)
@given(program=programs(calls, openings))
def test_records_in_parallel(checker: Checker, program: Program) -> None:
    checker.check(program, MappingClient)


@tried(30)
@given(program=faulty_programs(calls, openings))
def test_records_in_parallel_while_things_go_wrong(checker: Checker, program: Program) -> None:
    checker.check(program, MappingClient)
