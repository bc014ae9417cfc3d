"""What is being computed by whom: a computation that asks for its own value would wait for itself for ever.

The chain is kept in a context variable. So child tasks, and threads of ``asyncio.to_thread``, know what they are part
of; a thread that is started otherwise does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False, slots=True)
class Computing:
    """A computation that runs. A task that outlives it does not wait for it any more: it is ``over``."""

    place: Any  # server and key
    name: str
    over: bool = False


_chain: ContextVar[tuple[Computing, ...]] = ContextVar("redis_state_computing", default=())


@contextmanager
def computing(place: Any, name: str) -> Iterator[None]:
    """Compute the value of a place in this block."""
    one = Computing(place, name)
    token = _chain.set((*_chain.get(), one))
    try:
        yield
    finally:
        one.over = True
        _chain.reset(token)


def circle(place: Any) -> RuntimeError | None:
    """Return what is wrong when the value of a place is asked for by its own computation."""
    running = [one for one in _chain.get() if not one.over]
    for start, one in enumerate(running):
        if one.place == place:
            way = " -> ".join(f"{each.name[:100]!r}" for each in [*running[start:], one])
            return RuntimeError(f"computing {one.name[:100]!r} asks for itself ({way}), which would never end")
    return None
