"""Contexts that cost more to make than to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def borrow(pool: list[T], make: Callable[[], T]) -> T:
    """Take a context out of its pool, or make one; the caller puts it back.

    Each is used by one caller at a time; more are made while these are out, and one lost to an exception is not missed.
    """
    try:
        return pool.pop()
    except IndexError:
        return make()
