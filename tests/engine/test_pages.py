"""Lists are read page by page until there are no more."""

from __future__ import annotations

from typing import Any

import pytest

from redis_state import Plan
from redis_state.engine.op import Command, command
from redis_state.engine.pages import by_cursor, by_offset, scan
from redis_state.keys import Keys

PART = Keys("pages").of("a")
KEY = PART.key("entry", "a")


def answered(plan: Plan[Any], *replies: Any) -> tuple[list[Command[Any]], Any]:
    """Run a plan against these replies. Returns its operations and its result."""
    ops = []
    op: Any = next(plan)
    try:
        for reply in replies:
            ops.append(op)
            op = plan.send(op.read(reply))
    except StopIteration as end:
        assert reply is replies[-1]
        return ops, end.value
    raise AssertionError("it reads on")


@pytest.mark.parametrize("sizes", [(0,), (2,), (3, 0), (3, 3, 1)])
def test_pages_by_offset_end_with_one_that_is_not_full(sizes: tuple[int, ...]) -> None:
    entries = [f"e{number}" for number in range(sum(sizes))]
    pages = [entries[3 * place : 3 * place + size] for place, size in enumerate(sizes)]
    ops, found = answered(by_offset(lambda skip: command(None, "LRANGE", "k", skip, read=list), 3), *pages)
    assert found == entries
    assert [op.words[-1] for op in ops] == [3 * place for place in range(len(sizes))]


def test_pages_by_cursor_end_with_cursor_0() -> None:
    page = lambda cursor: command(None, "SSCAN", "k", cursor, read=tuple)  # noqa: E731
    ops, found = answered(by_cursor(page), ("7", ["a"]), ("5", []), ("0", ["b", "a"]))
    assert found == ["a", "b", "a"]
    assert [op.words[-1] for op in ops] == ["0", "7", "5"]


def test_a_hash_is_scanned_by_pages() -> None:
    ops, found = answered(scan(PART, "HSCAN", KEY), (b"9", [b"a", b"1"]), (b"0", [b"b", b"2"]))
    assert found == [b"a", b"1", b"b", b"2"]
    assert [op.words for op in ops] == [("HSCAN", KEY, "0", "COUNT", 500), ("HSCAN", KEY, "9", "COUNT", 500)]
    assert [op.keys for op in ops] == [[KEY], [KEY]]
