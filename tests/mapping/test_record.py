"""Live records: writes go through, numbers remember what was added to them, nested values refuse silent changes."""

from __future__ import annotations

import copy
import enum
import json
import operator
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_state import CorruptValue, Engine, Locks, NotApplied, Record, RecordMapping, StaleToken, UnsupportedType
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.snapshots import Origin, track
from tests.support.servers import Server

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy


@pytest.fixture
def m(engine: Engine) -> RecordMapping:
    return RecordMapping("things", ttl=60, engine=engine, container_id="c1")


@pytest.fixture
def r(m: RecordMapping) -> Any:
    m["k"] = {
        "n": 10,
        "x": 0.5,
        "text": "a",
        "list": [1, [2]],
        "dict": {"a": {"b": 1}},
        "set": {1, 2},
        "pair": ([1], 2),
    }
    return m["k"]


def elsewhere(m: RecordMapping, key: str = "k") -> dict[str, Any]:
    """Read what another container sees."""
    return m.copy()[key]


# --- fields -------------------------------------------------------------------------------------------


def test_a_record_is_a_dict(r: Any) -> None:
    assert isinstance(r, dict)
    assert isinstance(r, Record)
    assert r["text"] == r.get("text") == "a"
    assert r.get("none") is None
    assert r.get("none", 5) == 5
    assert set(r) == {"n", "x", "text", "list", "dict", "set", "pair"}


def test_setting_a_field_touches_no_other(m: RecordMapping, r: Any) -> None:
    m["k"]["other"] = "from another container"
    r["text"] = "b"
    r["new"] = None
    assert elsewhere(m)["other"] == "from another container"
    assert elsewhere(m)["text"] == r["text"] == "b"
    assert elsewhere(m)["new"] is None


def test_many_fields_are_set_at_once(m: RecordMapping, r: Any) -> None:
    r.update({"a": 1}, b=2)
    r |= {"c": [3]}
    assert {"a": 1, "b": 2, "c": [3]}.items() <= elsewhere(m).items()
    assert (r["a"], r["b"], r["c"]) == (1, 2, [3])


def test_fields_can_be_taken_out(m: RecordMapping, r: Any) -> None:
    del r["text"]
    assert r.pop("n") == 10
    assert r.pop("n", 5) == 5
    with pytest.raises(KeyError):
        r.pop("n")
    with pytest.raises(KeyError):
        del r["text"]
    field, value = r.popitem()
    assert (field, value) == ("pair", ([1], 2))
    assert set(r) == set(elsewhere(m)) == {"x", "list", "dict", "set"}
    r.clear()
    assert r == elsewhere(m) == {}
    with pytest.raises(KeyError):
        r.popitem()


def test_setdefault_sets_what_another_container_has_not_set(m: RecordMapping, r: Any) -> None:
    m["k"]["late"] = 1
    assert r.setdefault("late", 2) == 1
    assert r.setdefault("mine", [2]) == [2]
    assert (elsewhere(m)["late"], elsewhere(m)["mine"]) == (1, [2])


def test_a_record_shows_what_it_read_and_wrote_until_refreshed(m: RecordMapping, r: Any) -> None:
    m["k"] = {"n": 1}
    assert r["n"] == 10
    assert r.refresh() is r
    assert r == {"n": 1}
    assert r.version == m["k"].version


@pytest.mark.parametrize("field", ["@version", "@", "@@x", "@ttl", "", "a:b", "{}", "☃", "x" * 10_000])
def test_a_field_may_be_called_anything(m: RecordMapping, field: str) -> None:
    m["k"] = {field: 1}
    m["k"][field] += 1
    assert m["k"] == {field: 2}
    assert m["k"].setdefault(field, 9) == 2
    m.patch("k", {field: 3})
    assert m.increment("k", field) == 4
    assert m["k"].pop(field) == 4
    assert m["k"] == {}
    assert m.ttl("k") > 50  # type: ignore[operator]


@pytest.mark.parametrize("field", [1, None, b"a", ("a",)])
def test_a_field_that_is_no_string_is_refused(m: RecordMapping, r: Any, field: Any) -> None:
    before = elsewhere(m)
    for write in (
        lambda: m.__setitem__("k", {"fine": 1, field: 1}),
        lambda: m.patch("k", {"fine": 1, field: 1}),
        lambda: r.__setitem__(field, 1),
        lambda: m.increment("k", field),
        lambda: r.setdefault(field, 1),
        lambda: r.pop(field, None),
    ):
        with pytest.raises(TypeError, match="field"):
            write()
    assert elsewhere(m) == before


def test_more_fields_than_a_script_can_take_are_refused(m: RecordMapping) -> None:
    most = {f"f{n}": n for n in range(3500)}
    m["k"] = most
    assert m["k"] == most
    assert m.pop("k") == most
    for write in (m.put, m.patch, m.setdefault):
        with pytest.raises(ValueError, match="3501 fields"):
            write("k", {**most, "one": "more"})  # type: ignore[operator]
    assert "k" not in m


@pytest.mark.parametrize("value", [5, "text", [1], [("a", 1)], None, b"x"])
def test_an_entry_is_a_mapping(m: RecordMapping, value: Any) -> None:
    with pytest.raises(TypeError, match="mapping"):
        m["k"] = value
    assert "k" not in m


def test_an_unsupported_value_is_named_by_its_path(m: RecordMapping, r: Any) -> None:
    before = elsewhere(m)
    for write in (lambda: m.put("k", {"a": [{"b": object()}]}), lambda: r.update(fine=1, a=[{"b": object()}])):
        with pytest.raises(UnsupportedType, match=r"'k'.*a\[0\]\.b"):
            write()
    assert elsewhere(m) == before


def test_a_hash_of_somebody_else_is_refused(m: RecordMapping, server: Server) -> None:
    with server.client() as client:
        client.hset(m.entries.entry("k"), mapping={"a": "1"})
        client.expire(m.entries.entry("k"), 60)
        with pytest.raises(CorruptValue, match="'k'"):
            m.get("k")


# --- numbers ------------------------------------------------------------------------------------------


def test_in_place_addition_adds_to_what_redis_holds(m: RecordMapping, r: Any) -> None:
    m["k"]["n"] = 100
    r["n"] += 5
    r["n"] -= 1
    assert elsewhere(m)["n"] == r["n"] == 104


def test_addition_written_out_adds_too(m: RecordMapping, r: Any) -> None:
    m["k"]["n"] = 100
    r["n"] = r["n"] + 1
    assert elsewhere(m)["n"] == 101
    r["n"] = 1 + r["n"] - 3
    assert elsewhere(m)["n"] == 99


def test_addition_in_a_variable_adds_too(m: RecordMapping, r: Any) -> None:
    n = r["n"]
    n += 2
    n -= 5
    m["k"]["n"] = 100
    r["n"] = n
    assert elsewhere(m)["n"] == 97


def test_addition_across_two_reads_of_the_entry_adds_too(m: RecordMapping, r: Any) -> None:
    n = m["k"]["n"] + 1
    m["k"]["n"] = 100
    m["k"]["n"] = n
    assert elsewhere(m)["n"] == 101


def test_a_plain_number_overwrites(m: RecordMapping, r: Any) -> None:
    m["k"]["n"] = 100
    r["n"] = 5
    assert elsewhere(m)["n"] == 5
    r["n"] = int(r["n"]) + 1
    assert elsewhere(m)["n"] == 6


def test_what_was_added_is_sent_once(m: RecordMapping, r: Any) -> None:
    n = r["n"] + 1
    r["n"] = n
    r["n"] = n
    assert elsewhere(m)["n"] == 11
    r["n"] = n + 1
    assert elsewhere(m)["n"] == 12


def test_what_was_added_is_sent_once_across_two_reads_too(m: RecordMapping, r: Any) -> None:
    n = r["n"] + 1
    m["k"]["n"] = n
    m["k"]["n"] = n
    assert elsewhere(m)["n"] == 11


def test_a_number_can_be_put_back(m: RecordMapping, r: Any) -> None:
    saved = r["n"]
    r["n"] = 0
    r["n"] = saved
    assert elsewhere(m)["n"] == 10
    r["n"] = 0
    r["n"] = saved + 1
    assert elsewhere(m)["n"] == 11
    saved = m["k"]["n"]
    m["k"]["n"] = 0
    m["k"]["n"] = saved
    assert elsewhere(m)["n"] == 11


def test_an_unchanged_number_undoes_nobody(m: RecordMapping, r: Any) -> None:
    m["k"]["n"] = 100
    r["n"] = r["n"]
    assert elsewhere(m)["n"] == 100


def test_a_number_of_another_field_or_entry_is_a_value(m: RecordMapping, r: Any) -> None:
    m["other"] = {"n": 1}
    r["m"] = r["n"] * 2
    m["other"]["n"] = r["n"] + 1
    r["x"] = r["n"] + 1
    assert (elsewhere(m)["m"], elsewhere(m)["x"], elsewhere(m, "other")["n"]) == (20, 11, 11)


@pytest.mark.parametrize(
    "change", [operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, lambda n, by: by - n]
)
def test_what_is_no_addition_says_what_to_write(m: RecordMapping, r: Any, change: Callable[[Any, Any], Any]) -> None:
    for record in (r, m["k"]):
        with pytest.raises(TypeError, match=r"m\.mutate\('k', lambda r: .*r\['n'\]"):
            record["n"] = change(r["n"], 3)
        with pytest.raises(TypeError, match=r"m\.mutate"):
            record["n"] = change(r["n"], 3) + 1
    assert elsewhere(m)["n"] == 10


def test_in_place_multiplication_changes_nothing(m: RecordMapping, r: Any) -> None:
    with pytest.raises(TypeError, match=r"m\.mutate"):
        r["n"] *= 2
    with pytest.raises(TypeError, match=r"m\.mutate"):
        m["k"]["x"] /= 2
    with pytest.raises(TypeError, match=r"m\.mutate"):
        r["n"] <<= 2
    assert (elsewhere(m)["n"], elsewhere(m)["x"]) == (10, 0.5)
    assert r["n"] == 10


class Step(enum.IntEnum):
    TWO = 2


def test_any_kind_of_number_can_be_added(m: RecordMapping, r: Any) -> None:
    m["k"]["n"] = 100
    r["n"] += Step.TWO
    r["n"] += True
    r["n"] += r["n"]
    assert elsewhere(m)["n"] == 206


def test_a_sum_has_the_type_that_python_gives_it(m: RecordMapping, r: Any) -> None:
    r["n"] += 0.25
    r["x"] += 1
    for field, value in (("n", 10.25), ("x", 1.5)):
        assert elsewhere(m)[field] == value
        assert type(elsewhere(m)[field]) is float
    r["x"] += 0.5
    assert type(elsewhere(m)["x"]) is float
    r["n"] = 3
    r["n"] += 1
    assert type(elsewhere(m)["n"]) is int


@patient
@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300) | st.integers(-(10**17), 10**17))
def test_a_tracked_number_calculates_like_a_plain_one(here: float, there: float) -> None:
    same_for_all_operators(here, there)


@patient
@given(st.integers(-(10**17), 10**17), st.integers(-200, 200) | st.booleans() | st.floats(-100, 100))
def test_a_tracked_int_calculates_like_a_plain_one(here: int, there: float) -> None:
    same_for_all_operators(here, there)


OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, divmod),
    *(operator.and_, operator.or_, operator.xor, operator.eq, operator.lt, operator.ge),
    *(operator.iadd, operator.isub, operator.imul, operator.ifloordiv, operator.iand, operator.ixor),
]


def same_for_all_operators(here: float, there: float) -> None:
    tracked = track(here, Origin(None, "k", "n", here))
    for function in OPERATORS:
        for calculate in (lambda n, f=function: f(n, there), lambda n, f=function: f(there, n)):
            assert outcome(calculate, tracked) == outcome(calculate, here), function
    for function in (
        operator.neg,
        operator.pos,
        abs,
        operator.invert,
        round,
        int,
        float,
        bool,
        hash,
        str,
        repr,
        format,
    ):
        assert outcome(function, tracked) == outcome(function, here), function
    if isinstance(here, int) and isinstance(there, int):
        for calculate in (
            lambda n: pow(n, abs(there), 1009),
            lambda n: pow(abs(there), abs(n), 1009),
            lambda n: n << abs(there),
            lambda n: n >> abs(there),
            lambda n: pow(n, abs(there) % 9),
            lambda n: range(9)[n % 9],
        ):
            assert outcome(calculate, tracked) == outcome(calculate, here)


def outcome(calculate: Callable[[Any], Any], number: Any) -> tuple[str, str]:
    try:
        result = calculate(number)
    except (ArithmeticError, TypeError, ValueError) as error:
        return type(error).__name__, ""
    if isinstance(result, tuple):
        return "tuple", repr(result)
    return next(base for base in (bool, int, float, complex, str) if isinstance(result, base)).__name__, repr(result)


# --- increments ---------------------------------------------------------------------------------------


def test_increment_creates_what_is_missing(m: RecordMapping) -> None:
    assert m.increment("k", "n") == 1
    assert m.increment("k", "n", 5) == 6
    assert m.increment("k", "x", 0.5) == 0.5
    assert m["k"] == {"n": 6, "x": 0.5}
    assert m.ttl("k") > 50  # type: ignore[operator]


def test_in_place_addition_creates_nothing(m: RecordMapping, r: Any) -> None:
    old = m["k"]
    with pytest.raises(KeyError):
        m["k"]["none"] += 1
    with pytest.raises(KeyError):
        m["none"]["n"] += 1
    m["k"].pop("n")
    with pytest.raises(KeyError, match="n"):
        old["n"] += 1
    del m["k"]
    with pytest.raises(KeyError, match="k"):
        old["x"] += 1
    assert len(m) == 0


def test_a_write_to_an_entry_that_is_gone_is_a_key_error(m: RecordMapping, r: Any) -> None:
    del m["k"]
    for write in (
        lambda: r.__setitem__("text", "b"),
        lambda: r.update(text="b"),
        lambda: r.pop("text"),
        lambda: r.setdefault("new", 1),
        lambda: r.clear(),
        lambda: r.refresh(),
        lambda: m.mutate("k", lambda _: {}),
    ):
        with pytest.raises(KeyError, match="k"):
            write()
    assert r.pop("x", None) is None
    assert m.patch("k", {"a": 1}) is False
    assert "k" not in m


LARGEST = 10**18 - 1


@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_are_exact_up_to_18_digits(m: RecordMapping, sign: int) -> None:
    m["k"] = {"n": sign * (LARGEST - 1)}
    m["k"]["n"] += sign
    assert m["k"]["n"] == sign * LARGEST
    m["k"]["n"] -= sign * LARGEST
    assert m["k"]["n"] == 0
    assert m.increment("k", "n", sign * LARGEST) == sign * LARGEST


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_18_digits_nothing_is_added(m: RecordMapping, sign: int) -> None:
    m["k"] = {"n": sign * 10**18, "m": 0, "x": 1e308}
    for overflow in (
        lambda: m.increment("k", "n"),
        lambda: m.increment("k", "m", sign * 10**18),
        lambda: m.increment("k", "m", 10**400),
        lambda: m.increment("k", "x", 1e308),
        lambda: m["k"].__setitem__("n", m["k"]["n"] + 1),
        lambda: m.increment("new", "n", sign * 10**18),
    ):
        with pytest.raises(OverflowError, match=r"\['(k|new)'\]"):
            overflow()
    assert m == {"k": {"n": sign * 10**18, "m": 0, "x": 1e308}}


@pytest.mark.parametrize("value", ["text", "12", "", True, None, [1], {"a": 1}, b"1", (1,)])
def test_to_what_is_no_number_nothing_is_added(m: RecordMapping, value: Any) -> None:
    m["k"] = {"n": value}
    version = m["k"].version
    with pytest.raises(TypeError, match=r"\['k'\]\['n'\]"):
        m.increment("k", "n")
    assert m["k"] == {"n": value}
    assert m["k"].version == version


@pytest.mark.parametrize("by", ["1", None, float("nan"), float("inf"), True, 1j, b"1"])
def test_only_a_finite_number_can_be_added(m: RecordMapping, by: Any) -> None:
    with pytest.raises(TypeError, match="finite"):
        m.increment("k", "n", by)
    assert "k" not in m


@patient
@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300) | st.integers(-(10**17), 10**17))
def test_floats_add_up_as_in_python(adding: Callable[[float, float], Any], here: float, there: float) -> None:
    found = adding(here, there)
    assert (type(found), repr(found)) == (float, repr(here + there))


@patient
@given(st.integers(-LARGEST, LARGEST), st.integers(-LARGEST, LARGEST))
def test_ints_add_up_as_in_python(adding: Callable[[float, float], Any], here: int, there: int) -> None:
    assert adding(here, there) == here + there


@pytest.fixture(scope="module")
def adding(server: Server) -> Any:
    with Engine.from_url(server.url, prefix="adding") as engine:
        m = RecordMapping("things", ttl=60, engine=engine)

        def add(here: float, there: float) -> Any:
            m["k"] = {"n": here}
            return m.increment("k", "n", there)

        yield add


# --- what is nested -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["list"].append(1),
        lambda r: r["list"].sort(),
        lambda r: r["list"].__setitem__(0, 1),
        lambda r: r["list"].__delitem__(0),
        lambda r: operator.iadd(r["list"], [1]),
        lambda r: r["list"][1].append(1),
        lambda r: r.get("list").extend([1]),
        lambda r: r["dict"].__setitem__("a", 1),
        lambda r: r["dict"].update(a=1),
        lambda r: r["dict"].setdefault("z", 1),
        lambda r: operator.ior(r["dict"], {"z": 1}),
        lambda r: r["dict"]["a"].pop("b"),
        lambda r: r["set"].add(3),
        lambda r: operator.ior(r["set"], {3}),
        lambda r: r["set"].clear(),
        lambda r: r["pair"][0].append(1),
        lambda r: next(value for field, value in r.items() if field == "list").append(1),
        lambda r: next(value for value in r.values() if isinstance(value, list)).append(1),
    ],
)
def test_a_nested_value_says_how_to_change_it(m: RecordMapping, r: Any, change: Callable[[Any], Any]) -> None:
    before = elsewhere(m)
    with pytest.raises(
        TypeError, match=r"m\['k'\]\['(list|dict|set|pair)'\] is a snapshot.*m\.mutate\('k', lambda r: "
    ):
        change(r)
    assert elsewhere(m) == before == r


def test_a_copy_of_a_nested_value_is_plain(r: Any) -> None:
    more = [*r["list"], 3], r["list"] + [3], r["list"][:], sorted(r["set"] | {3}), list(r["list"])
    for made in more:
        made.append(4)
    r["set"].copy().add(9)
    (r["set"] | {3}).add(9)
    r["dict"].copy()["new"] = 1
    assert r["list"] == [1, [2]]


def test_a_nested_value_can_be_replaced(m: RecordMapping, r: Any) -> None:
    r["list"] = [*r["list"], 3]
    r["dict"] = {**r["dict"], "new": r["set"]}
    assert elsewhere(m)["list"] == [1, [2], 3]
    assert elsewhere(m)["dict"] == {"a": {"b": 1}, "new": {1, 2}}


def all_plain(value: Any) -> bool:
    if type(value) in (list, tuple, set):
        return all(map(all_plain, value))
    if type(value) is dict:
        return all(map(all_plain, value.values()))
    return type(value) in (int, float, str, bool, type(None))


@pytest.mark.parametrize(
    "made_plain",
    [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r)), lambda r: r.copy(), dict],
    ids=["copy", "deepcopy", "pickle", "method", "dict"],
)
def test_a_copy_of_a_record_is_plain(r: Any, made_plain: Callable[[Any], Any]) -> None:
    made = made_plain(r)
    assert made == r
    assert all_plain(made)


@pytest.mark.parametrize("field", ["n", "x", "list", "dict", "set"])
def test_a_copy_of_a_field_is_plain(r: Any, field: str) -> None:
    for made in (copy.copy(r[field]), copy.deepcopy(r[field]), pickle.loads(pickle.dumps(r[field]))):
        assert made == r[field]
        assert all_plain(made)
    assert all_plain(copy.deepcopy({"in": [r[field]]}))


def test_a_record_can_be_written_as_json(m: RecordMapping, r: Any) -> None:
    del r["set"]
    assert json.loads(json.dumps(r)) == json.loads(json.dumps(elsewhere(m)))
    assert json.loads(json.dumps([r["n"], r["x"], r["list"], r["dict"]])) == [10, 0.5, [1, [2]], {"a": {"b": 1}}]


def test_what_came_out_of_an_entry_can_go_into_another(m: RecordMapping, r: Any) -> None:
    m["whole"] = r
    m["parts"] = {field: r[field] for field in r}
    m["nested"] = {"in": [r["n"], {"list": r["list"], "pair": r["pair"]}], "record": r}
    m.patch("parts", {"more": r["list"]})
    assert elsewhere(m, "whole") == elsewhere(m)
    assert elsewhere(m, "parts") == {**elsewhere(m), "more": [1, [2]]}
    assert elsewhere(m, "nested")["in"] == [10, {"list": [1, [2]], "pair": ([1], 2)}]
    assert elsewhere(m, "nested")["record"] == elsewhere(m)
    assert all_plain(elsewhere(m, "nested"))


# --- mutate -------------------------------------------------------------------------------------------


def test_mutate_changes_a_plain_copy(m: RecordMapping, r: Any) -> None:
    def change(fields: dict[str, Any]) -> None:
        assert all_plain(fields)
        fields["list"].append(3)
        fields["n"] *= 2

    assert m.mutate("k", change) == elsewhere(m)
    assert elsewhere(m)["list"] == [1, [2], 3]
    assert elsewhere(m)["n"] == 20


def test_mutate_takes_a_new_dict(m: RecordMapping, r: Any) -> None:
    assert m.mutate("k", lambda _: {"only": 1}) == elsewhere(m) == {"only": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop("list"),
        lambda r: r.pop("text"),
        lambda r: r.pop("pair"),
        lambda r: r.pop("dict"),
        lambda r: r["dict"].pop("a"),
        lambda r: r.setdefault("dict", {}),
        lambda r: r.setdefault("new", {}),
        lambda r: r["n"],
        lambda r: r.items(),
        lambda _: True,
    ],
)
def test_a_record_never_becomes_what_was_taken_out_of_it(m: RecordMapping, r: Any, change: Any) -> None:
    before = elsewhere(m)
    with pytest.raises(TypeError, match=r"mutate\('k'\): the function returned .* would become that; .*lambda r: "):
        m.mutate("k", change)
    assert elsewhere(m) == before


@pytest.mark.parametrize(
    "change", [lambda r: {**r, "n": 1}, lambda r: {**r["dict"], "n": 1}, lambda r: r, lambda r: r.update(n=1)]
)
def test_mutate_takes_a_new_record_or_nothing(m: RecordMapping, r: Any, change: Any) -> None:
    assert m.mutate("k", change) == elsewhere(m)


def test_a_write_back_keeps_the_time_to_live(m: RecordMapping) -> None:
    m.put("k", {"n": 1}, ttl=1000)
    assert m.put_if_version("k", {"n": 2}, m["k"].version)
    left = m.ttl("k")
    assert left is not None
    assert left > 900
    m["k"]["n"] += 1
    assert (m.ttl("k") or 0) > 900


def test_mutate_that_raises_changes_nothing(m: RecordMapping, r: Any) -> None:
    before = elsewhere(m)

    def change(fields: dict[str, Any]) -> None:
        fields.clear()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        m.mutate("k", change)
    assert elsewhere(m) == before


def test_mutate_sees_what_was_written_meanwhile(m: RecordMapping, r: Any) -> None:
    seen = []

    def change(fields: dict[str, Any]) -> None:
        seen.append(fields["n"])
        if len(seen) == 1:
            m.increment("k", "n")
        fields["n"] += 100

    m.mutate("k", change)
    assert seen == [10, 11]
    assert elsewhere(m)["n"] == 111


def test_mutate_leaves_owner_and_time_to_live(m: RecordMapping, engine: Engine) -> None:
    m.put("k", {"n": 1}, ttl=500)
    other = RecordMapping("things", ttl=60, engine=engine, container_id="c2")
    other.mutate("k", lambda fields: fields.update(n=2))
    assert engine.run(m.entries.owner("k")) == "c1"
    assert m.ttl("k") > 490  # type: ignore[operator]
    other["k"].clear()
    assert engine.run(m.entries.owner("k")) == "c1"


# --- time to live -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda m: m["k"].__setitem__("text", "b"),
        lambda m: m["k"].__setitem__("n", m["k"]["n"] + 1),
        lambda m: m["k"].pop("n"),
        lambda m: m["k"].setdefault("new", 1),
        lambda m: m.patch("k", {"a": 1}),
        lambda m: m.increment("k", "n"),
        lambda m: m.mutate("k", lambda fields: fields),
        lambda m: m.touch("k"),
    ],
    ids=["set", "add", "pop", "setdefault", "patch", "increment", "mutate", "touch"],
)
def test_a_write_renews_the_time_that_the_entry_was_put_with(
    m: RecordMapping, server: Server, write: Callable[[RecordMapping], Any]
) -> None:
    m.put("k", {"n": 1, "text": "a"}, ttl=500)
    with server.client() as client:
        client.pexpire(m.entries.entry("k"), 5_000)
        client.zadd(m.entries.keys.key("partition", "k"), {"k": time.time() * 1000 + 5_000})
        write(m)
        assert m.ttl("k") > 490  # type: ignore[operator]
        assert client.zscore(m.entries.keys.key("partition", "k"), "k") > time.time() * 1000 + 490_000


def test_patch_and_touch_can_give_another_time(m: RecordMapping) -> None:
    m.put("k", {"n": 1}, ttl=500)
    m.patch("k", {"n": 2}, ttl=50)
    assert m.ttl("k") <= 50  # type: ignore[operator]
    m.touch("k", 300)
    m.increment("k", "n")
    assert 290 < m.ttl("k") <= 300  # type: ignore[operator]


# --- versions -----------------------------------------------------------------------------------------


def test_each_write_raises_the_version(m: RecordMapping) -> None:
    versions = []
    for write in (
        lambda: m.put("k", {"n": 1}),
        lambda: m.patch("k", {"n": 2}),
        lambda: m.increment("k", "n"),
        lambda: m["k"].update(n=1),
        lambda: m["k"].setdefault("new", 1),
        lambda: m["k"].pop("new"),
        lambda: m.mutate("k", lambda fields: fields),
        lambda: m.put("k", {}),
    ):
        write()
        versions.append(m["k"].version)
    assert versions == sorted(set(versions))


def test_a_version_never_comes_twice(m: RecordMapping) -> None:
    versions = set()
    for _ in range(50):
        m["k"] = {"n": 1}
        versions.add(m["k"].version)
        m.increment("k", "n")
        versions.add(m["k"].version)
        del m["k"]
    assert len(versions) == 100


def test_put_if_version_writes_only_over_what_was_read(m: RecordMapping) -> None:
    m["k"] = {"n": 1}
    read = m["k"]
    assert m.put_if_version("k", {"n": 2}, read.version) is True
    assert m.put_if_version("k", {"n": 3}, read.version) is False
    assert m["k"] == {"n": 2}
    read = m["k"]
    del m["k"]
    assert m.put_if_version("k", {"n": 3}, read.version) is False
    m["k"] = {"n": 4}
    assert m.put_if_version("k", {"n": 3}, read.version) is False
    assert m["k"] == {"n": 4}


# --- fences -------------------------------------------------------------------------------------------

FENCED = {
    "put": lambda m, token: m.put("k", {"n": 2}, fence=token),
    "put_if_version": lambda m, token: m.put_if_version("k", {"n": 2}, m["k"].version, fence=token),
    "patch": lambda m, token: m.patch("k", {"n": 2}, fence=token),
    "increment": lambda m, token: m.increment("k", "n", fence=token),
    "mutate": lambda m, token: m.mutate("k", lambda _: {"n": 2}, fence=token),
}
REMOVING = {"delete": lambda m, token: m.delete("k", fence=token)}


@pytest.mark.parametrize("write", list(FENCED.values()), ids=list(FENCED))
def test_a_newer_or_equal_token_writes(m: RecordMapping, write: Callable[[Any, int], Any]) -> None:
    m.put("k", {"n": 1}, fence=7)
    write(m, 7)
    write(m, 9)
    assert m["k"]["n"] > 1
    with pytest.raises(StaleToken):
        m.patch("k", {"n": 0}, fence=8)


@pytest.mark.parametrize("write", [*FENCED.values(), *REMOVING.values()], ids=[*FENCED, *REMOVING])
def test_an_older_token_changes_nothing(m: RecordMapping, write: Callable[[Any, int], Any]) -> None:
    m.put("k", {"n": 1}, fence=7)
    before = m["k"]
    with pytest.raises(StaleToken, match=r"'k': fencing token 6 is older than 7") as caught:
        write(m, 6)
    assert (caught.value.key, caught.value.token, caught.value.newest) == ("k", 6, 7)
    assert m["k"] == before
    assert m["k"].version == before.version


@pytest.mark.parametrize("write", [*FENCED.values(), *REMOVING.values()], ids=[*FENCED, *REMOVING])
def test_the_last_token_of_the_lock_counts_before_its_holder_writes(
    m: RecordMapping, server: Server, write: Callable[[Any, int], Any]
) -> None:
    m["k"] = {"n": 1}
    with server.client() as client:
        client.hset(m.entries.keys.key("fence", "k"), "fence", 2**52)
        client.expire(m.entries.keys.key("fence", "k"), 60)
    with pytest.raises(StaleToken) as caught:
        write(m, 2**52 - 1)
    assert caught.value.newest == 2**52
    assert m["k"] == {"n": 1}
    write(m, 2**52)
    assert m.get("k") != {"n": 1}


@pytest.mark.parametrize("write", [*FENCED.values(), *REMOVING.values()], ids=[*FENCED, *REMOVING])
def test_a_token_that_was_never_granted_is_refused(m: RecordMapping, write: Callable[[Any, int], Any]) -> None:
    m["k"] = {"n": 1}
    locks = Locks("things", m.engine)
    with pytest.raises(StaleToken, match="was never granted") as caught:  # years ahead, and no lock is known
        write(m, 2**53 - 1)
    assert caught.value.newest < 2**52
    with locks.lock("k") as held:
        m.patch("k", {"n": 5}, fence=held)
        with pytest.raises(StaleToken, match="was never granted") as caught:
            write(m, held.fence + 1)
        assert caught.value.newest == held.fence
        assert m["k"] == {"n": 5}
        write(m, held.fence)
    with locks.lock("k") as later:
        m.put("k", {"n": 6}, fence=later)


def test_a_holder_whose_lock_lies_in_another_slot_is_refused(server: Server, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix, partitions=16) as engine:
        m, keys = RecordMapping("things", ttl=60, engine=engine), engine.keys("things")
        name = next(f"r{n}" for n in range(100) if keys.of(f"r{n}") != keys.of("lock"))
        same = next(f"r{n}" for n in range(100) if keys.of(f"r{n}") == keys.of("lock"))
        for locks in (Locks("things", engine), Locks("others", engine)):
            with locks.lock("lock") as held:
                with pytest.raises(ValueError, match=r"name the lock 'r\d+', in the record's namespace"):
                    m.put(name, {"n": 1}, fence=held)
                assert name not in m
        m.put(name, {"n": 1}, fence=held.fence)  # a bare token is taken
        old = Locks("things", engine).lock("lock").acquire()
        assert old is not None
        m.put(same, {"n": 1}, fence=old)
        old.release()
        with Locks("things", engine).lock("lock"), pytest.raises(StaleToken):
            m.patch(same, {"n": 2}, fence=old)


def test_a_holder_of_another_namespace_is_refused(m: RecordMapping) -> None:
    with Locks("others", m.engine).lock("k") as held, pytest.raises(ValueError, match="in the record's namespace"):
        m.put("k", {"n": 1}, fence=held)


def test_a_fence_survives_writes_without_one(m: RecordMapping) -> None:
    m.put("k", {"n": 1}, fence=7)
    m["k"] = {"n": 2}
    m["k"]["n"] += 1
    with pytest.raises(StaleToken):
        m.put("k", {"n": 0}, fence=6)
    assert m["k"] == {"n": 3}


def test_a_fenced_increment_creates_with_its_fence(m: RecordMapping) -> None:
    assert m.increment("k", "n", fence=7) == 1
    with pytest.raises(StaleToken):
        m.increment("k", "n", fence=6)


@pytest.mark.parametrize("fence", [0, -1, True, 2**53, 2**60])
def test_a_token_is_a_whole_number_from_one(m: RecordMapping, fence: Any) -> None:
    with pytest.raises(ValueError, match="token"):
        m.put("k", {}, fence=fence)
    assert "k" not in m


def test_fences_hold_on_both_engines(ask: Any, prefix: str) -> None:
    records = RecordOperations(Keys("things", prefix=prefix), 60.0)
    ask(records.put("k", {"n": 1}, fence=7))
    with pytest.raises(StaleToken):
        ask(records.patch("k", {"n": 2}, fence=6))
    fields, version = ask(records.mutate("k", lambda fields: {"n": fields["n"] + 1}, fence=8))
    assert fields == {"n": 2}
    assert ask(records.get("k")).version == version


# --- eight processes at once --------------------------------------------------------------------------


def race(engine: Engine) -> RecordMapping:
    return RecordMapping("race", ttl=60, engine=engine)


def add_in_place(engine: Engine, rank: int) -> None:
    m = race(engine)
    for _ in range(50):
        m["k"]["n"] += 1
        m["k"]["n"] = m["k"]["n"] + 1
        m["k"]["x"] += 0.25


def add(engine: Engine, rank: int) -> list[Any]:
    return [race(engine).increment("k", "n") for _ in range(50)]


def mutate(engine: Engine, rank: int) -> None:
    for n in range(10):
        race(engine).mutate("k", lambda fields, n=n: fields["done"].append([rank, n]))


def fill(engine: Engine, rank: int) -> int:
    record = race(engine)["k"]
    return sum(record.setdefault(f"f{n}", rank) == rank for n in range(50))


def unset(engine: Engine, rank: int) -> int:
    record = race(engine)["k"]
    return sum(record.pop(f"f{n}", None) is not None for n in range(50))


def set_own_field(engine: Engine, rank: int) -> None:
    for n in range(50):
        race(engine)["k"][f"by{rank}"] = n


def test_no_addition_is_lost(process_pool: Any, engine: Engine) -> None:
    race(engine)["k"] = {"n": 0, "x": 0.0}
    process_pool.race(engine, add_in_place)
    assert race(engine)["k"] == {"n": 100 * process_pool.size, "x": 12.5 * process_pool.size}


def test_each_increment_answers_another_sum(process_pool: Any, engine: Engine) -> None:
    sums = [found for sums in process_pool.race(engine, add) for found in sums]
    assert sorted(sums) == list(range(1, 50 * process_pool.size + 1))


def test_mutate_loses_nothing(process_pool: Any, engine: Engine) -> None:
    race(engine)["k"] = {"done": []}
    process_pool.race(engine, mutate)
    assert sorted(race(engine)["k"]["done"]) == [[rank, n] for rank in range(process_pool.size) for n in range(10)]


def test_each_field_is_filled_and_taken_by_exactly_one(process_pool: Any, engine: Engine) -> None:
    race(engine)["k"] = {}
    assert sum(process_pool.race(engine, fill)) == 50
    assert len(race(engine)["k"]) == 50
    assert sum(process_pool.race(engine, unset)) == 50
    assert race(engine)["k"] == {}


def test_writers_of_different_fields_do_not_undo_each_other(process_pool: Any, engine: Engine) -> None:
    race(engine)["k"] = {}
    process_pool.race(engine, set_own_field)
    assert race(engine)["k"] == {f"by{rank}": 49 for rank in range(process_pool.size)}


def test_records_read_together_say_when_one_is_something_else(m: RecordMapping, engine: Engine, server: Server) -> None:
    m.update({"a": {"n": 1}, "b": {"n": 2}})
    with server.client() as client:
        client.set(engine.keys("things").key("entry", "c"), "text", ex=60)
    with pytest.raises(CorruptValue, match="a read: a key holds data of another kind"):
        m.get_many(["a", "c"])
    assert m.get_many(["a", "b"]) == {"a": {"n": 1}, "b": {"n": 2}}
    assert engine.status().replies_lost == 0


# --- what operators make ------------------------------------------------------------------------------

ANEW: dict[str, Callable[[Any], Any]] = {
    "list": lambda value: value + [3],  # noqa: RUF005  (the operator is what is tested)
    "dict": lambda value: value | {"b": 2},
    "set": lambda value: value - {1},
    "pair": lambda value: value + (3,),  # noqa: RUF005
    "text": lambda value: value + "b",
}


@pytest.mark.parametrize(("field", "make"), ANEW.items())
def test_what_an_operator_made_is_written_if_the_field_is_as_it_was(
    m: RecordMapping, r: Any, field: str, make: Callable[[Any], Any]
) -> None:
    m["k"]["n"] += 1  # another field
    made = make(r[field])
    r[field] = made
    assert r[field] == elsewhere(m)[field] == made
    assert all_plain(elsewhere(m))
    assert elsewhere(m)["n"] == 11
    later = m["k"]
    made = make(later[field])
    m.patch("k", {field: {"list": [9], "dict": {"z": 9}, "set": {9}, "pair": (9,), "text": "z"}[field]})
    before = elsewhere(m)
    for write in (
        lambda: later.__setitem__(field, made),
        lambda: m["k"].update({field: made, "n": 99}),
        lambda: m.__setitem__("k", {"n": 99, field: made}),
        lambda: m.update(k={field: made}),
    ):
        with pytest.raises(NotApplied, match=rf"m\['k'\]\['{field}'\] was changed elsewhere .*m\.mutate\('k', ...\)"):
            write()
        assert elsewhere(m) == before


def test_numbers_are_added_to_in_whole_writes(m: RecordMapping, r: Any) -> None:
    read = m["k"]
    m["k"]["n"] += 5
    m["k"].update(n=read["n"] + 1, text="b")
    assert (elsewhere(m)["n"], elsewhere(m)["text"]) == (16, "b")
    m["k"] = {"n": read["n"] + 1, "text": "c"}
    assert elsewhere(m) == {"n": 17, "text": "c"}
    with pytest.raises(TypeError, match="is a snapshot"):
        m["k"] = {"n": read["n"] * 2}
    del m["k"]
    m["k"] = {"n": read["n"] + 1}
    assert elsewhere(m) == {"n": 11}


def test_a_record_that_is_put_back_undoes_nothing(m: RecordMapping, r: Any) -> None:
    r["n"] += 1
    r["new"] = 1
    r.pop("x")
    r.setdefault("later", 2)
    r["list"] = r["list"] + [3]
    m["k"] = r
    r["n"] += 1
    m["k"] = r
    assert elsewhere(m) == r.copy()
    assert r.version == m["k"].version
    m["k"]["n"] += 5  # elsewhere
    r["n"] += 1
    with pytest.raises(NotApplied, match=r"m\['k'\] was changed elsewhere"):
        m["k"] = r
    assert elsewhere(m)["n"] == 18
    del m["k"]
    m["k"] = r
    assert elsewhere(m) == r.copy()


def test_copies_of_a_mapping_are_plain(m: RecordMapping, r: Any) -> None:
    for plain in (m.copy(), copy.copy(m), copy.deepcopy(m), m | {}, {} | m):
        assert type(plain) is dict
        assert all_plain(plain)
        plain["k"]["n"] = 777
        assert elsewhere(m)["n"] == 10
    assert m | {"k": 1} == {"k": 1}
    assert list(reversed(m)) == ["k"]
    for made in (RecordMapping, Record):
        with pytest.raises(TypeError, match="write m"):
            made.fromkeys("ab")
