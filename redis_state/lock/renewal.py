"""What renews the leases of a process: one thread for each engine. ``async_renewer`` does it for event loops.

A lease is renewed at a third of its life. Those that are due at about the same time go in one
write. No holder has to be told here that a lease is over: ``lost`` looks at the clock by itself. After a
fork the child's renewer is empty, and what the parent holds is disowned there.

A renewer refers to what it renews weakly. A hold that is dropped without being released (its ``with`` block was
interrupted at its end, or what ``acquire`` returned was thrown away) is freed.

Signal handlers and finalizers use locks in the midst of anything. So word to the thread goes through a queue that may
be used so, whatever else is written here is written in one step, and no step relies on the one before it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from redis_state.clock import monotonic
from redis_state.engine.engine import Engine
from redis_state.errors import CallError
from redis_state.lock import own
from redis_state.lock.batch import MIN_INTERVAL_S, RETRY_S, Batch, Kept, Parting, log
from redis_state.lock.lease import LeaseHolder
from redis_state.lock.lost import NEVER
from redis_state.lock.operations import Request

IDLE_S = 10.0  # without anything to do, until the thread ends


class Renewer:
    """The thread of an engine. It starts with the first lease that wants to be renewed, and ends when idle.

    A process has one, then, as long as it has one engine; with several, a server that does not answer
    costs no lease on another.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)  # what is held, and its thread, keep it alive, and nothing else does
        self.begin()

    def begin(self) -> None:
        """Hold nothing, as in a new process."""
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._news: SimpleQueue[float | Kept] = SimpleQueue()  # when something is due, and what was dropped
        self._next_look = NEVER  # set by the thread alone
        self._dropped: list[Kept] = []  # by the thread alone, too
        self.holds: dict[str, Kept] = {}  # what is renewed
        self._partings: deque[Parting] = deque()

    def keep(self, hold: LeaseHolder) -> None:
        """Renew a lease from now on, if it wants that. ``RuntimeError`` when no thread can be started for it."""
        hold._renewer = self
        if not hold.renews:
            own.took(hold)
            return
        self.holds[hold.holder] = kept = Kept.of(hold, self._news.put, self._engine())
        own.took(hold, kept)
        try:
            self._wake_by(hold.renew_at)
        except BaseException:
            self.drop(hold)
            hold._ended("its lease could not be renewed")
            raise

    def heed(self, hold: LeaseHolder) -> None:
        """Look at a lease again that was renewed by hand."""
        if hold.holder in self.holds:
            self._wake_by(hold.renew_at)

    def drop(self, hold: LeaseHolder) -> None:
        """Renew it no more."""
        self.holds.pop(hold.holder, None)
        own.gave(hold)

    def release_later(self, engine: Engine, request: Request) -> None:
        """Free what an acquisition without an answer may have brought, once the server answers again."""
        self._partings.append(Parting.of(engine, request))
        with suppress(RuntimeError):  # no thread can be started now: the next one sees to it
            self._wake_by(monotonic())

    def _wake_by(self, due: float) -> None:
        if due < self._next_look:
            self._news.put(due)
        if due != NEVER and self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="redis-state-leases", daemon=True)
            thread.start()
            if self._thread is None:  # else a signal handler has started another one meanwhile, and this one ends
                self._thread = thread

    def _run(self) -> None:
        with self._starting:
            pass  # who started this thread has noted it by now
        try:
            while self._sleep():
                try:
                    self._look()
                except Exception:
                    self._next_look = monotonic() + RETRY_S
                    log.exception("leases could not be renewed; it is tried again")
        finally:  # it says itself that it has died: asking ``is_alive`` is not safe from interrupts
            if self._thread is threading.current_thread():
                self._thread = None
                self._next_look = NEVER

    def _sleep(self) -> bool:
        """Wait until something is due; False when there was nothing to do for long."""
        idle = monotonic() + IDLE_S
        while self._thread is threading.current_thread():
            left = self._next_look - monotonic()
            if left <= 0:
                return True
            if left == NEVER and monotonic() >= idle and self._may_end():
                return False
            with suppress(Empty):
                news = self._news.get(timeout=min(left, IDLE_S))
                if isinstance(news, Kept):
                    self._dropped.append(news)
                    return True
                self._next_look = min(self._next_look, news)
        return False

    def _may_end(self) -> bool:
        this, self._thread = self._thread, None  # in this order: who brings something looks for a thread afterwards
        if self._news.empty() and not self.holds:
            return True
        with self._starting:
            if self._thread is None:
                self._thread = this
        return False

    def _look(self) -> None:
        self._next_look = NEVER  # so that all who come from now on send word
        self._renew()
        self._forget()
        soonest = NEVER
        if self._partings:
            self._part()
            soonest = monotonic() + RETRY_S if self._partings else NEVER
        soonest = min([soonest, *[hold.renew_at for hold in self.held()]])
        self._next_look = max(soonest, monotonic() + MIN_INTERVAL_S)

    def held(self) -> list[LeaseHolder]:
        """Return what is held now."""
        return [hold for one in list(self.holds.values()) if (hold := one()) is not None]

    def _forget(self) -> None:
        while self._dropped:
            kept = self._dropped.pop()
            self.holds.pop(kept.request.owner, None)
            own.forget(kept.request.owner)
            parting = kept.forgotten()
            if parting is not None and not kept.engine.closed:  # else it would be connected again for this
                self._partings.append(parting)

    def _renew(self) -> None:
        engine = self._engine()
        if engine is None:  # no caller has these any more
            return
        batch = Batch(self.held(), engine.events)
        if not batch.ops:
            return
        outcomes: Sequence[object] = [None] * len(batch.ops)
        try:
            outcomes = engine.run_all(batch.ops, return_exceptions=True)
        except Exception:
            log.exception("leases could not be renewed")
        for hold in batch.answered(outcomes):
            self.drop(hold)

    def _part(self) -> None:
        """Free what is held by no one; what failed is tried again."""
        partings = [self._partings.popleft() for _ in range(len(self._partings))]
        outcomes: Sequence[object] = [CallError()] * len(partings)
        try:
            outcomes = partings[0].engine.run_all([parting.op for parting in partings], return_exceptions=True)
        finally:
            now = monotonic()
            pairs = zip(partings, outcomes, strict=True)
            self._partings += [one for one, outcome in pairs if isinstance(outcome, CallError) and now < one.until]


_renewers: weakref.WeakKeyDictionary[Engine, Renewer] = weakref.WeakKeyDictionary()


def renewer(engine: Engine) -> Renewer:
    """Return the renewer of an engine."""
    found = _renewers.get(engine)
    if found is None:
        found = _renewers.setdefault(engine, Renewer(engine))
    return found


def _after_fork() -> None:
    for each in list(_renewers.values()):
        each.begin()


os.register_at_fork(after_in_child=_after_fork)
