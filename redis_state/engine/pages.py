"""Lists that are read page by page, inside a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from redis_state.engine.op import Op, Plan, command, do
from redis_state.keys import Partition

PAGE = 500  # entries that are read in one step of the server

T = TypeVar("T")


def by_cursor(page: Callable[..., Op[tuple[str, list[T]]]]) -> Plan[list[T]]:
    """Read all pages. ``page(cursor=...)`` reads one and the cursor of the next; "0" is the first, and the end.

    An entry that moves meanwhile may be found twice.
    """
    found: list[T] = []
    cursor = "0"
    while True:
        cursor, entries = yield from do(page(cursor=cursor))
        found += entries
        if cursor == "0":
            return found


def by_offset(page: Callable[..., Op[list[T]]], size: int = PAGE) -> Plan[list[T]]:
    """Read all pages. ``page(skip=...)`` reads ``size`` entries; the last page has fewer.

    An entry that moves meanwhile may be found twice.
    """
    found: list[T] = []
    skip = 0
    while True:
        entries = yield from do(page(skip=skip))
        found += entries
        skip += size
        if len(entries) < size:
            return found


def scan(partition: Partition, verb: str, key: str) -> Plan[list[bytes]]:
    """Read a hash (``HSCAN``) or a sorted set (``ZSCAN``): name, value, name, value, ... in any order."""
    words = ("COUNT", PAGE)
    return by_cursor(
        lambda cursor: command(partition, verb, key, cursor, *words, read=lambda reply: (reply[0].decode(), reply[1]))
    )
