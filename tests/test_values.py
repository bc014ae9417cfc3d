"""Opaque values: whatever can be encoded, whole, except None."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from servers import Server

from redis_state import CorruptValue, Engine, UnsupportedType, ValueMapping


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
        assert type(found) is type(value)


def test_falsy_values_are_there(m: ValueMapping) -> None:
    m["a"] = 0
    assert "a" in m
    assert m.get("a", 5) == 0
    assert m.pop("a", 5) == 0


def test_what_comes_out_is_a_copy(m: ValueMapping) -> None:
    m["a"] = [1]
    m["a"].append(2)
    assert m["a"] == [1]


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


def test_a_value_that_is_set_by_default_needs_not_be_read(m: ValueMapping) -> None:
    default = [1]
    assert m.setdefault("a", default) is default
    assert m["a"] == [1]
