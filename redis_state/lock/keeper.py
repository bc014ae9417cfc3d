"""What renews the leases of a process: one thread for each engine, or one timer for each event loop.

A lease is renewed at a third of its life. Those that are due at about the same time go in one
write. Nobody has to be told here that a lease is over: ``lost`` looks at the clock by itself. After a
fork the child's keeper is empty, and what the parent holds is disowned there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op
from redis_state.engine.run import Engine
from redis_state.errors import RedisStateError
from redis_state.lock import steps
from redis_state.lock.steps import Request
from redis_state.lock.term import LATER, Hold, Renewal

log = logging.getLogger("redis_state.lock")

SOONEST = 0.02  # seconds between two looks
AGAIN = 0.5  # seconds until what could not be freed is tried again
IDLE = 10.0  # seconds without anything to do, until the thread ends

H = TypeVar("H", bound=Hold)
GivenUp: TypeAlias = tuple[Engine, Request, float]  # and when its lease is over at the latest


class Batch:
    """Renewals on their way to one server."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._parts: list[tuple[Hold, Renewal, int]] = []
        self.ops: list[Op[Any]] = []
        for hold in holds:
            renewal = hold.renewal()
            self._parts.append((hold, renewal, len(self.ops)))
            self.ops += renewal.ops

    def answered(self, outcomes: Sequence[object]) -> list[Hold]:
        """Give each hold its answer. Returns those that are over."""
        over = []
        for hold, renewal, place in self._parts:
            answer = outcomes[place]
            if isinstance(answer, BaseException):
                log.warning("%r was not renewed: %s", hold, answer)
            if not hold.renewed(renewal, answer):
                over.append(hold)
        return over


def _due(holds: Iterable[H]) -> list[H]:
    """Return what is due, and with it what will be before long: one write serves all."""
    now = monotonic()
    return [hold for hold in holds if hold.renew_from <= now]


class Keeper:
    """The thread of an engine. It starts with the first lease that wants to be renewed, and ends when idle.

    A process has one, then, as long as it has one engine; with several, a server that does not answer
    costs no lease on another.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)  # what is held, and its thread, keep it alive, and nothing else does
        self.begin()

    def begin(self) -> None:
        """Hold nothing, as in a new process."""
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self.holds: dict[Hold, None] = {}
        self._given_up: list[GivenUp] = []
        self._next_look = LATER

    def keep(self, hold: Hold) -> None:
        """Renew a lease from now on, if it wants that."""
        with self._lock:
            self.holds[hold] = None
            self._wake_by(hold.renew_at)

    def drop(self, hold: Hold) -> None:
        """Renew it no more."""
        with self._lock:
            self.holds.pop(hold, None)

    def give_back(self, engine: Engine, want: Request) -> None:
        """Free what an acquisition without an answer may have brought, once the server answers again."""
        with self._news:
            self._given_up.append((engine, want, monotonic() + want.first_lease))
            self._wake_by(monotonic())

    def _wake_by(self, due: float) -> None:
        if due == LATER:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="redis-state-leases", daemon=True)
            self._thread.start()
        if due < self._next_look:
            self._next_look = due
            self._news.notify()

    def _run(self) -> None:
        while self._sleep():
            with self._news:
                due = _due(self.holds)
                given_up, self._given_up = self._given_up, []
            if due:
                self._renew(due)
            if given_up:
                given_up = self._not_freed(given_up)
            with self._news:
                self._given_up += given_up
                self._next_look = min([LATER, *[hold.renew_at for hold in self.holds]])
                if self._given_up:
                    self._next_look = min(self._next_look, monotonic() + AGAIN)
                self._next_look = max(self._next_look, monotonic() + SOONEST)

    def _sleep(self) -> bool:
        """Wait until something is due; False when there was nothing to do for long."""
        idle = monotonic() + IDLE
        with self._news:
            while (left := self._next_look - monotonic()) > 0:
                if self._next_look == LATER and monotonic() >= idle:
                    self._thread = None
                    return False
                self._news.wait(min(left, IDLE))
        return True

    def _renew(self, holds: Sequence[Hold]) -> None:
        engine = self._engine()
        if engine is None:  # so nobody has these any more, either
            return
        batch = Batch(holds)
        outcomes: Sequence[object] = [None] * len(batch.ops)
        try:
            outcomes = engine.run_all(batch.ops, return_exceptions=True)
        except Exception:
            log.exception("leases could not be renewed")
        for hold in batch.answered(outcomes):
            self.drop(hold)

    def _not_freed(self, given_up: Sequence[GivenUp]) -> list[GivenUp]:
        """Free what was given up; return what is to be tried again."""
        leaves: list[Op[Any]] = [steps.leave(want) for _, want, _ in given_up]
        answers = given_up[0][0].run_all(leaves, return_exceptions=True)
        pairs = zip(given_up, answers, strict=True)
        return [part for part, answer in pairs if isinstance(answer, RedisStateError) and monotonic() < part[2]]


class AwaitedKeeper:
    """The timer of one event loop. While nothing is held there is no timer, and never a task that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.holds: dict[Hold, AsyncEngine] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def keep(self, hold: Hold, engine: AsyncEngine) -> None:
        """Renew a lease from now on, if it wants that."""
        self.holds[hold] = engine
        if hold.renew_at != LATER:
            self._look_at(hold.renew_at)

    def drop(self, hold: Hold) -> None:
        """Renew it no more."""
        self.holds.pop(hold, None)
        if not self.holds and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Run something beside everything else, to its end."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _look_at(self, due: float) -> None:
        due += self._loop.time() - monotonic()
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        due = _due(self.holds)
        for engine in {self.holds[hold] for hold in due}:
            self.spawn(self._renew(engine, [hold for hold in due if self.holds[hold] is engine]))
        for hold in due:
            hold.renew_at = hold.renew_from = LATER  # until it is answered
        self._look_again()

    def _look_again(self) -> None:
        due = min([LATER, *[hold.renew_at for hold in self.holds]])
        if due != LATER:
            self._look_at(max(due, monotonic() + SOONEST))

    async def _renew(self, engine: AsyncEngine, holds: Sequence[Hold]) -> None:
        batch = Batch(holds)
        outcomes: Sequence[object] = [None] * len(batch.ops)
        try:
            outcomes = await engine.run_all(batch.ops, return_exceptions=True)
        finally:
            for hold in batch.answered(outcomes):
                self.drop(hold)
            self._look_again()


_keepers: weakref.WeakKeyDictionary[Engine, Keeper] = weakref.WeakKeyDictionary()
_awaited: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AwaitedKeeper] = weakref.WeakKeyDictionary()


def keeper(engine: Engine) -> Keeper:
    """Return the keeper of an engine."""
    found = _keepers.get(engine)
    if found is None:
        found = _keepers.setdefault(engine, Keeper(engine))
    return found


def awaited_keeper() -> AwaitedKeeper:
    """Return the keeper of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _awaited.get(loop)
    if found is None:
        found = _awaited[loop] = AwaitedKeeper(loop)
    return found


def _after_fork() -> None:
    parents = [hold for each in _keepers.values() for hold in each.holds]
    parents += [hold for each in _awaited.values() for hold in each.holds]
    for each in _keepers.values():
        each.begin()
    _awaited.clear()
    for hold in parents:
        hold.disown()


os.register_at_fork(after_in_child=_after_fork)
