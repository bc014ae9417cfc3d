"""Opaque values: whatever can be encoded, whole, except None."""

from __future__ import annotations

import copy
import operator
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from redis_state import CorruptValue, Engine, NotApplied, RecordMapping, UnsupportedType, ValueMapping
from redis_state.mapping.tracked import thaw
from tests.support.servers import Server


@pytest.fixture
def m(engine: Engine) -> ValueMapping:
    return ValueMapping("things", ttl=60, engine=engine)


@pytest.mark.parametrize(
    "value",
    [
        *(0, False, "", b"", [], {}, (), set(), 0.0, 10**40, -1, float("inf")),
        *("text", b"\xff\x00", [1, (2, {3})], {1: "one", (1, 2): {"a": None}}, Decimal("1.50"), "☃" * 5000),
        datetime(2025, 1, 2, tzinfo=UTC),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_comes_back_equal_and_of_its_type(m: ValueMapping, value: Any) -> None:
    m["a"] = value
    for found in (m["a"], m.get("a"), m.get_many(["a"])["a"], m.setdefault("a", 5), dict(m.items())["a"], m.pop("a")):
        assert found == value
        assert isinstance(found, type(value))
        assert type(thaw(found)) is type(value)


def test_falsy_values_are_there(m: ValueMapping) -> None:
    m["a"] = 0
    assert "a" in m
    assert m.get("a", 5) == 0
    assert m.pop("a", 5) == 0


CHANGES = {
    "append": lambda m: m["list"].append(2),
    "item": lambda m: m["dict"].__setitem__("x", 1),
    "nested": lambda m: m["dict"]["in"].append(1),
    "in a tuple": lambda m: m["tuple"][0].append(1),
    "default": lambda m: m.setdefault("new", []).append(1),
    "iadd": lambda m: m.__setitem__("list", operator.iadd(m["list"], [1])),
    "add": lambda m: m["set"].add(1),
    "many": lambda m: m.get_many(["list"])["list"].clear(),
    "items": lambda m: [value.clear() for key, value in m.items() if key == "list"],
    "times": lambda m: m.__setitem__("n", m["n"] * 2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_would_be_lost_is_refused(m: ValueMapping, change: Any) -> None:
    m.update({"list": [1], "dict": {"in": []}, "set": {0}, "tuple": ([],), "n": 5, "new": [7]})
    before = m.copy()
    with pytest.raises(TypeError, match=r"is a snapshot, so .* would be lost; write m\.mutate\('\w+', lambda v: ...\)"):
        change(m)
    assert m.copy() == before


def test_a_copy_is_one_to_work_on(m: ValueMapping) -> None:
    m["a"] = {"list": [1]}
    for plain in (
        m["a"].copy(),
        copy.copy(m["a"]),
        copy.deepcopy(m["a"]),
        m.copy()["a"],
        pickle.loads(pickle.dumps(m["a"])),
    ):
        plain["list"].append(2)
        assert type(plain) is dict
    assert m.pop("a")["list"].append(3) is None


GOES_ON = {
    "iadd": ("n", lambda m: m.__setitem__("n", m["n"] + 1)),
    "get": ("new", lambda m: m.__setitem__("new", m.get("new", 0) + 1)),
    "float": ("x", lambda m: m.__setitem__("x", m["x"] - 0.5)),
    "update": ("n", lambda m: m.update(n=m["n"] + 1)),
    "or": ("n", lambda m: m.__ior__({"n": m["n"] + 1})),
}


@pytest.mark.parametrize(("key", "write"), GOES_ON.values(), ids=GOES_ON)
def test_a_number_that_is_put_back_adds(m: ValueMapping, key: str, write: Any) -> None:
    m.update({"n": 5, "x": 1.5})
    expected = {"n": 6, "new": 1, "x": 1.0}[key]
    write(m)
    assert m[key] == expected
    read = m.get(key)
    m.increment(key, 10)  # another one, meanwhile
    m[key] = read + 1
    assert m[key] == expected + 11
    m[key] = read  # unchanged: it is restored
    assert m[key] == expected


ANEW = {
    "list": lambda m: m["list"] + [2],
    "before": lambda m: [2] + m["list"],
    "dict": lambda m: m["dict"] | {"b": 2},
    "set": lambda m: m["set"] - {1},
    "tuple": lambda m: m["tuple"] + (2,),
    "text": lambda m: m["text"] + "b",
}


@pytest.mark.parametrize(("key", "make"), ANEW.items())
def test_what_an_operator_made_is_written_if_nothing_else_was(m: ValueMapping, key: str, make: Any) -> None:
    m.update({"list": [1], "before": [1], "dict": {"a": 1}, "set": {1, 3}, "tuple": (1,), "text": "a"})
    key = "list" if key == "before" else key
    made = make(m)
    m[key] = made
    assert m[key] == made != {}
    made = make(m)
    m.mutate(key, lambda _: {"list": [9], "dict": {"z": 9}, "set": {9}, "tuple": (9,), "text": "z"}[key])
    before = m.copy()
    with pytest.raises(NotApplied, match=rf"m\['{key}'\] was changed elsewhere .* m\.mutate\('{key}', ...\)"):
        m[key] = made
    assert m.copy() == before


def test_values_are_added_to_exactly(m: ValueMapping) -> None:
    assert m.increment("n") == 1
    assert m.increment("n", 2**53) == 2**53 + 1
    assert m.increment("n", -(2**53)) == 1
    assert m.increment("x", 0.5) == 0.5
    m["big"] = 10**18
    with pytest.raises(OverflowError, match="'big'"):
        m.increment("big")
    m["text"] = "5"
    with pytest.raises(TypeError, match="'text' is no number"):
        m.increment("text")
    with pytest.raises(TypeError, match="finite"):
        m.increment("n", float("nan"))


def test_a_count_lives_on(m: ValueMapping) -> None:
    m.put("long", 1, ttl=1000)
    m.put("short", 1, ttl=5)
    for key in ("long", "short"):
        m.increment(key)
        m.mutate(key, lambda n: n + 1)
        assert m[key] == 3
    assert m.ttl("long") > 900  # type: ignore[operator]
    assert m.ttl("short") > 50  # type: ignore[operator]


def test_mutate_changes_a_value(m: ValueMapping) -> None:
    m["a"] = {"list": [1]}
    assert m.mutate("a", lambda v: v["list"].append(2)) == {"list": [1, 2]}
    assert m.mutate("a", lambda v: {**v, "n": 1}) == {"list": [1, 2], "n": 1}
    for unmeant in (lambda v: v.pop("list"), lambda v: v.setdefault("n", 0), lambda v: v.setdefault("d", {}), len):
        with pytest.raises(TypeError, match="would become that"):
            m.mutate("a", unmeant)
    m["n"] = 5
    with pytest.raises(TypeError, match="return the new value"):
        m.mutate("n", lambda _: None)
    with pytest.raises(KeyError):
        m.mutate("none", lambda v: v)
    assert m == {"a": {"list": [1, 2], "n": 1}, "n": 5}


def test_values_are_added_and_removed_by_name(m: ValueMapping) -> None:
    assert m.add("a", 1, ttl=500)
    assert not m.add("a", 2)
    assert m["a"] == 1
    assert m.ttl("a") > 400  # type: ignore[operator]
    m.update({f"k{n}": n for n in range(600)})
    assert m.delete_many([*(f"k{n}" for n in range(600)), "k1", "none"]) == 600
    assert list(m) == ["a"]


def test_of_many_writers_none_is_lost(m: ValueMapping) -> None:
    m["log"] = []

    def write(_: int) -> None:
        for _ in range(20):
            m["n"] = m.get("n", 0) + 1
            m["n"] += 1
            m.mutate("log", lambda log: log.append(1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert (m["n"], len(m["log"])) == (160, 80)


def test_a_value_is_replaced_by_one_of_another_type(m: ValueMapping) -> None:
    m["a"] = [1]
    m["a"] = 5
    m["a"] += 1
    assert m == {"a": 6}


def test_what_cannot_be_stored_is_refused_by_name(m: ValueMapping) -> None:
    with pytest.raises(UnsupportedType, match=r"'a'\[1\]\.b"):
        m["a"] = [1, {"b": object()}]
    with pytest.raises(TypeError, match="None"):
        m["a"] = None
    assert "a" not in m


def test_bytes_of_somebody_else_are_refused_by_name(m: ValueMapping, server: Server) -> None:
    m["fine"] = 1
    with server.client() as client:
        client.set(m.entries.entry("a"), "not ours", ex=60)
    for read in (lambda: m["a"], lambda: m.get_many(["fine", "a"]), lambda: m.pop("a")):
        with pytest.raises(CorruptValue, match="'a'"):
            read()


def test_each_write_renews_the_time(m: ValueMapping) -> None:
    m.put("a", 1, ttl=5)
    m["a"] = 2
    assert m.ttl("a") > 50  # type: ignore[operator]
    m.put("a", 1, ttl=5)
    m.touch("a")
    assert m.ttl("a") > 50  # type: ignore[operator]


def test_a_value_that_is_set_by_default_is_told_as_it_lies_there(m: ValueMapping) -> None:
    default = [1]
    told = m.setdefault("a", default)
    default.append(2)
    assert told == m["a"] == [1]


@pytest.mark.parametrize(
    "read",
    [
        lambda m: m["k"],
        lambda m: m.get("k"),
        lambda m: m.setdefault("k", 5),
        lambda m: m.get_many(["k"]),
        lambda m: list(m.items()),
        lambda m: m.pop("k"),
    ],
)
def test_a_null_of_somebody_else_is_neither_there_nor_absent(m: ValueMapping, server: Server, read: Any) -> None:
    m["k"] = 1
    with server.client() as client:
        client.set(m.engine.keys("things").key("value", "k"), "null", ex=60)
    with pytest.raises(CorruptValue, match="'k'.*None is never stored"):
        read(m)


def test_records_and_values_of_one_namespace_are_apart(m: ValueMapping, engine: Engine) -> None:
    records = RecordMapping("things", ttl=60, engine=engine)
    records["a"] = {"n": 1}
    assert len(m) == 0
    with pytest.raises(KeyError):
        del m["a"]
    m["a"] = 5
    assert (dict(m.items()), records.copy()) == ({"a": 5}, {"a": {"n": 1}})
    m.clear()
    assert list(records) == ["a"]
    assert records.popitem() == ("a", {"n": 1})


def test_a_default_is_told_in_one_call(m: ValueMapping, engine: Engine) -> None:
    records = RecordMapping("records", ttl=60, engine=engine)
    for n, wanted in ((1, 1), (2, 1)):
        calls = engine.status().calls
        assert m.setdefault("k", n) == wanted
        record = records.setdefault("k", {"n": n})
        assert record == {"n": wanted}
        assert engine.status().calls == calls + 2
        assert record.version == records["k"].version
    record["n"] += 1
    assert records["k"]["n"] == 2
