"""What renews the leases of an event loop: a timer. See ``renewer``, which does it for threads."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis_state.clock import monotonic
from redis_state.engine.engine_async import AsyncEngine
from redis_state.errors import CallError
from redis_state.lock import own
from redis_state.lock.batch import MIN_INTERVAL_S, RETRY_S, Batch, Kept, Parting
from redis_state.lock.lease import LeaseHolder
from redis_state.lock.lost import NEVER


class AsyncRenewer:
    """The timer of one event loop. While nothing is held there is no timer, and never a task that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self.holds: dict[str, Kept] = {}  # what is renewed
        self._dropped: deque[Kept] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def keep(self, hold: LeaseHolder, engine: AsyncEngine) -> None:
        """Renew a lease from now on, if it wants that."""
        hold._renewer = self
        if not hold.renews:
            own.took_async(hold)
            return
        self.holds[hold.holder] = kept = Kept.of(hold, self._drops, engine)
        own.took_async(hold, kept)
        if hold.renew_at != NEVER:
            self._look_at(hold.renew_at)

    def heed(self, hold: LeaseHolder) -> None:
        """Look at a lease again that was renewed by hand."""
        if hold.holder in self.holds and hold.renew_at != NEVER:
            self._look_at(hold.renew_at)

    def drop(self, hold: LeaseHolder) -> None:
        """Renew it no more."""
        self.holds.pop(hold.holder, None)
        own.gave(hold)
        if not self.holds and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drops(self, kept: Kept) -> None:
        """Hear that a hold was dropped, in any thread."""
        self._dropped.append(kept)
        loop = self._loop()
        with suppress(RuntimeError):  # the loop is closed, so nothing renews it either
            if loop is not None:
                loop.call_soon_threadsafe(self._forget)

    def _forget(self) -> None:
        while self._dropped:
            kept = self._dropped.popleft()
            self.holds.pop(kept.request.owner, None)
            own.forget(kept.request.owner)
            parting = kept.forgotten()
            if parting is not None and not kept.engine.closed:  # else it would be connected again for this
                self.spawn(self.part(parting))

    async def part(self, parting: Parting) -> None:
        """Free what is held by no one, once the server answers."""
        while True:
            try:
                await parting.engine.run(parting.op)
            except CallError:
                if monotonic() >= parting.until:
                    return
                await asyncio.sleep(RETRY_S)
            else:
                return

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Run something beside everything else, to its end."""
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _look_at(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        due += loop.time() - monotonic()
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        self._forget()
        for engine in {kept.engine for kept in list(self.holds.values())}:
            batch = Batch(self.held(engine), engine.events)
            if batch.ops:
                self.spawn(self._renew(engine, batch))
        self._look_again()

    def held(self, engine: AsyncEngine | None = None) -> list[LeaseHolder]:
        """Return what is renewed, with one engine or with any."""
        kept = [one for one in list(self.holds.values()) if engine is None or one.engine is engine]
        return [hold for one in kept if (hold := one()) is not None]

    def _look_again(self) -> None:
        due = min([NEVER, *[hold.renew_at for hold in self.held()]])
        if due != NEVER:
            self._look_at(max(due, monotonic() + MIN_INTERVAL_S))

    async def _renew(self, engine: AsyncEngine, batch: Batch) -> None:
        outcomes: Sequence[object] = [None] * len(batch.ops)
        try:
            outcomes = await engine.run_all(batch.ops, return_exceptions=True)
        finally:
            for hold in batch.answered(outcomes):
                self.drop(hold)
            self._look_again()


_renewers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRenewer] = weakref.WeakKeyDictionary()


def async_renewer() -> AsyncRenewer:
    """Return the renewer of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _renewers.get(loop)
    if found is None:
        found = _renewers[loop] = AsyncRenewer(loop)
    return found


os.register_at_fork(after_in_child=_renewers.clear)
