"""What this process holds, and which waits would be a wait for oneself. Sends nothing.

The server says who holds a lock by the random name of its acquisition, so a look into this table tells whether that is
a thread or a task of this process. A *thread* waits for itself when it took what it waits for in the same context; a
pool that runs each job in a context of its own (as web frameworks do) may run one job where another was entered. A
*task* waits for itself when it took it, or when the task that took it waits for it (``await``, ``gather``, a group).
"""

from __future__ import annotations

import asyncio
import os
import weakref
from asyncio import Future, Task
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from threading import get_ident
from typing import Any, TypeAlias

from redis_state.lock.lease import LeaseHolder
from redis_state.lock.operations import own_process

Whose: TypeAlias = Callable[[str, str, bool], str]

PROCESS, THREAD, TASK = "another thread or task of this process", "this thread", "this task"
MOST = 1000  # futures that are looked at before a wait counts as one for others

_holds: dict[str, weakref.ref[LeaseHolder]] = {}


class Place:
    """A context of a thread, with the copies of it that run in the same thread.

    A job that a pool runs in a copy of its caller's context is in a place of its own: that is another thread.
    """

    __slots__ = ("thread",)

    def __init__(self, thread: int) -> None:
        self.thread = thread


_nowhere = Place(0)
_place: ContextVar[Place] = ContextVar("redis_state_place", default=_nowhere)


def took(hold: LeaseHolder, this: weakref.ref[LeaseHolder] | None = None) -> None:
    """Remember that this thread has taken it. ``this`` refers to what is watched, and forgotten by who watches it."""
    hold.thread = thread = get_ident()
    place = _place.get()
    if place.thread != thread:  # once for each: setting it each time would be felt
        _place.set(place := Place(thread))
    hold.place = place
    _holds[hold.holder] = this or weakref.ref(hold, partial(_holds.pop, hold.holder))


def took_async(hold: LeaseHolder, this: weakref.ref[LeaseHolder] | None = None) -> None:
    """Remember that this task has taken it."""
    hold.thread = get_ident()
    task = asyncio.current_task()
    hold.task = None if task is None else weakref.ref(task)
    _holds[hold.holder] = this or weakref.ref(hold, partial(_holds.pop, hold.holder))


def gave(hold: LeaseHolder) -> None:
    """Forget it."""
    _holds.pop(hold.holder, None)


def forget(holder: str) -> None:
    """Forget what was dropped."""
    _holds.pop(holder, None)


def whose(name: str, holder: str, forever: bool) -> str:
    """Tell who of this process is the holder, or "". ``RuntimeError`` for a thread that would wait for itself."""
    hold = _of(holder)
    if hold is None:
        return PROCESS if own_process(holder) else ""
    if hold.thread != get_ident() or not (_loop_runs() or hold.place is _place.get()):
        return PROCESS
    _refuse(name, hold, THREAD, forever)
    return THREAD


def whose_async(name: str, holder: str, forever: bool) -> str:
    """Tell who of this process is the holder, or "". ``RuntimeError`` for a task that would wait for itself."""
    hold, task = _of(holder), asyncio.current_task()
    if hold is None:
        return PROCESS if own_process(holder) else ""
    taker = None if hold.task is None else hold.task()
    if task is None or taker is None or (taker is not task and not waits(taker, task)):
        return PROCESS
    who = TASK if taker is task else "the task that waits for this one"
    _refuse(name, hold, who, forever)
    return who


def waits(taker: Task[Any], task: Task[Any]) -> bool:
    """Tell whether one task waits for another, as far as its futures show."""
    seen: set[Future[Any]] = set()
    next_ones: list[Future[Any]] = [task]
    while next_ones and len(seen) < MOST:
        this = next_ones.pop()
        if this is taker:
            return True
        if this not in seen and not this.done():
            seen.add(this)
            next_ones += _waiters(this)
    return False


def _waiters(future: Future[Any]) -> Iterator[Future[Any]]:
    """Tell what goes on when a future is done: who awaits it, and what stands for it and others."""
    for callback, *_ in getattr(future, "_callbacks", None) or ():
        cells = [cell.cell_contents for cell in getattr(callback, "__closure__", None) or () if _is_full(cell)]
        if asyncio.FIRST_COMPLETED in cells or any(isinstance(each, asyncio.Handle) for each in cells):
            continue  # another one, or a time-out, may end the wait
        for each in (getattr(callback, "__self__", None), *cells):
            each = getattr(each, "_on_completed_fut", each)  # of a task group: what its end waits for
            if isinstance(each, Future):
                yield each


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _refuse(name: str, hold: LeaseHolder, who: str, forever: bool) -> None:
    if forever and hold.endless:
        raise RuntimeError(
            f"lock {name!r} is not reentrant, and {who} holds it: it would wait for itself for ever. "
            f"Release it first, pass on what was acquired, or wait with a time-out"
        )


def _of(holder: str) -> LeaseHolder | None:
    found = _holds.get(holder)
    return None if found is None else found()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _after_fork() -> None:
    parents = [hold for one in list(_holds.values()) if (hold := one()) is not None]
    _holds.clear()
    for hold in parents:
        hold.disown()


os.register_at_fork(after_in_child=_after_fork)
