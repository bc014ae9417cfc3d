"""News of an entry: a stream that its writers append to, and that waiters read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from redis_state.durations import to_ms
from redis_state.engine.op import Op, command
from redis_state.keys import Partition

T = TypeVar("T")


def latest_id(partition: Partition, stream: str) -> Op[str]:
    """Read the id of the newest event; "0" when there is none."""
    return command(partition, "XREVRANGE", stream, "+", "-", "COUNT", 1, read=_entry_id)


def wait_after(partition: Partition, stream: str, last: str, seconds: float, read: Callable[[Any], T]) -> Op[T]:
    """Wait for an event newer than the id ``last``, ``seconds`` at the most; the reply is None when there was none."""
    words = ("XREAD", "COUNT", 1, "BLOCK", to_ms(seconds), "STREAMS", stream, last)
    return command(partition, *words, read=read, blocks=seconds)


def _entry_id(entries: list[Any]) -> str:
    return entries[0][0].decode() if entries else "0"
