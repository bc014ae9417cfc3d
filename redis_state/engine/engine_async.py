"""The asyncio engine: the only code that sends and awaits. It follows the same conversation as ``run``."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from redis_state.clock import monotonic
from redis_state.config import Settings
from redis_state.engine.base import LARGEST_WRITE, EngineBase
from redis_state.engine.batch import BatchBase, not_sent, raise_first, unanswered
from redis_state.engine.connection_async import AsyncConnection
from redis_state.engine.delivery import Connect, deliver
from redis_state.engine.op import Op, Pause, Plan, earliest
from redis_state.engine.replicated import confirmed
from redis_state.engine.resolve import resolve
from redis_state.errors import OutcomeUnknown, RedisStateError, ServerUnavailable

T = TypeVar("T")
_NO_PLACE = "not sent in time: all {} connections were in use; is the server slow, or max_connections too low?"


class AsyncEngine(EngineBase):
    """Carries operations to a server and back, for the tasks of one event loop.

    At most ``max_connections`` calls are in flight; more wait their turn. Waits (``watch`` and the
    like) have connections of their own beside these.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings.from_env())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore
        _engines.add(self)

    async def run(self, op: Op[T]) -> T:
        """Run one operation: one round trip. Raises what its reply means, ``NotApplied`` or ``OutcomeUnknown``."""
        result = (await self._carry((op,)))[0]
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[no-any-return]

    async def run_all(self, ops: Sequence[Op[T]], *, return_exceptions: bool = False) -> list[T]:
        """Run several operations in one write (500 at a time), each with its own outcome, in order.

        Each write has the engine's deadline; once one had no answer at all, the later ones are not sent.
        """
        results: list[Any] = []
        for start in range(0, len(ops), LARGEST_WRITE):
            results += await self._carry(ops[start : start + LARGEST_WRITE])
            if unanswered(results[start:]):
                results += not_sent(ops[len(results) :])
                break
        if not return_exceptions:
            raise_first(results)
        return results

    def batch(self) -> AsyncBatch:
        """Collect operations in an ``async with`` block, and run them in one write at its end."""
        return AsyncBatch(self)

    async def follow(self, plan: Plan[T]) -> T:
        """Run a plan to its end. A step that fails is thrown into it; cancellation closes it."""
        try:
            step = next(plan)
            while True:
                try:
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                        answer: Any = None
                    else:
                        answer = await (self.run(step) if isinstance(step, Op) else self.run_all(step))
                except RedisStateError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            plan.close()

    async def resolve(self, error: OutcomeUnknown, *, deadline: float | None = None) -> Any:
        """Tell what became of a call: its result, or raises ``NotApplied`` (proven), or ``error`` while undecided.

        ``deadline``: seconds to try for, in place of the engine's: a large result over a slow link may need
        more.
        """
        plan = resolve(error)
        try:
            outcome = (await self._carry((next(plan),), deadline))[0]
            if isinstance(outcome, BaseException):
                plan.throw(outcome)
            plan.send(outcome)
        except StopIteration as end:
            return end.value

    async def close(self) -> None:
        """Close all idle connections and give up the embedded server. The engine connects again when used.

        It may have been used in other event loops, also in some that are over.
        """
        self._stay_in_loop()
        self._drop()

    def _drop(self) -> None:
        """Close all idle connections and give up the embedded server, in any loop or none."""
        self._hang_up()
        self._give_up_embedded()
        for engine in self._with_it():
            engine._drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _carry(self, ops: Sequence[Op[Any]], deadline: float | None = None) -> list[Any]:
        began = monotonic()
        settings = self.settings if deadline is None else replace(self.settings, deadline=deadline)
        self._stay_in_loop()
        if any(op.blocks for op in ops):
            return await self._deliver(ops, settings, began)
        places = self._places
        if places.locked():
            latest = min(began + settings.deadline, max(earliest(ops), began + settings.socket_timeout))
            try:
                async with asyncio.timeout(latest - monotonic()) as time:
                    await places.acquire()
            except TimeoutError:
                if not time.expired():
                    raise  # a signal handler's own
                return [ServerUnavailable(_NO_PLACE.format(settings.max_connections)) for _ in ops]
        else:
            await places.acquire()
        try:
            return await self._deliver(ops, settings, began)
        finally:
            places.release()

    async def _deliver(self, ops: Sequence[Op[Any]], settings: Settings, began: float) -> list[Any]:
        connection = self._lease()
        delivery = deliver(ops, connection.state, self._callers, settings, began=began, events=self.events)
        if settings.durability is not None:
            delivery = confirmed(delivery, ops, settings.durability)
        try:
            effect = next(delivery)
            while True:
                if type(effect) is list:
                    (exchange,) = effect  # one server
                    effect = delivery.send([await connection.exchange(exchange)])
                elif type(effect) is Connect:
                    effect = delivery.send(await self._connect(connection, effect))
                else:
                    if effect.leave:  # type: ignore[union-attr]
                        self._hang_up()
                    await asyncio.sleep(effect.seconds)  # type: ignore[union-attr]
                    effect = next(delivery)
        except StopIteration as end:
            self._idle.append(connection)
            return end.value  # type: ignore[no-any-return]
        except BaseException:  # cancelled: what was sent may run, so these callers are never used again
            connection.close()
            raise

    def _stay_in_loop(self) -> None:
        """Drop what belongs to an earlier event loop: sockets cannot move."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._places = asyncio.Semaphore(self.settings.max_connections)
            self._hang_up()

    def _lease(self) -> AsyncConnection:
        try:
            return self._idle.pop()  # type: ignore[no-any-return]
        except IndexError:
            connection = AsyncConnection(self.settings)
            self._count(connection)
            return connection

    async def _connect(self, connection: AsyncConnection, effect: Connect) -> BaseException | None:
        self.closed = False
        try:
            waits = self._selector.server().kind == "embedded"  # until it has started, and to see whether it lives
            server = await asyncio.to_thread(self._server, effect.end) if waits else self._server(effect.end)
        except RedisStateError as error:
            return error
        return self._told_early(await connection.connect(server, effect.end), server) or self._judge(connection.state)


class AsyncBatch(BatchBase):
    """A batch of an asyncio engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__()
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: object) -> None:
        if kind is None:
            self._settle(await self._engine.run_all(self._ops, return_exceptions=True))


_engines: weakref.WeakSet[AsyncEngine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._loop = None
        engine._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
