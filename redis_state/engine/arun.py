"""The asyncio engine: the only code that sends and awaits. It follows the same conversation as ``run``."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from redis_state.config import Settings
from redis_state.engine.channel import AsyncChannel
from redis_state.engine.converse import Connect, Exchange, converse, resolve
from redis_state.engine.op import Op, Pause, Plan
from redis_state.engine.run import LARGEST_WRITE, BatchBase, EngineBase, raise_first
from redis_state.errors import OutcomeUnknown, RedisStateError

T = TypeVar("T")


class AsyncEngine(EngineBase):
    """Carries operations to a server and back, for the tasks of one event loop.

    At most ``max_connections`` calls are in flight; more wait their turn. Waits (``watch`` and the
    like) have connections of their own beside these.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings.from_env())
        self._idle: deque[AsyncChannel] = deque()
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
        """Run several operations in one write (500 at a time), each with its own outcome, in order."""
        results: list[Any] = []
        for start in range(0, len(ops), LARGEST_WRITE):
            results += await self._carry(ops[start : start + LARGEST_WRITE])
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

    async def resolve(self, error: OutcomeUnknown) -> Any:
        """Tell what became of a call: its result, or raises ``NotApplied`` (proven), or ``error`` while undecided."""
        return await self.follow(resolve(error))

    async def close(self) -> None:
        """Close all idle connections and give up the embedded server. The engine connects again when used."""
        while self._idle:
            await self._idle.pop().close()
        self._give_up_embedded()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _carry(self, ops: Sequence[Op[Any]]) -> list[Any]:
        self._stay_in_loop()
        if any(op.blocks for op in ops):
            return await self._converse(ops)
        async with self._places:
            return await self._converse(ops)

    async def _converse(self, ops: Sequence[Op[Any]]) -> list[Any]:
        channel = self._lease()
        conversation = converse(ops, channel.session, self.settings)
        try:
            ask = next(conversation)
            while True:
                if type(ask) is Exchange:
                    ask = conversation.send(await channel.exchange(ask))
                elif type(ask) is Connect:
                    ask = conversation.send(await self._connect(channel, ask))
                else:
                    await asyncio.sleep(ask.seconds)  # type: ignore[union-attr]
                    ask = next(conversation)
        except StopIteration as end:
            self._idle.append(channel)
            return end.value  # type: ignore[no-any-return]
        except BaseException:  # cancelled: what was sent may run, so these callers are never used again
            self._sessions.remove(channel.session)
            await channel.close()
            raise

    def _stay_in_loop(self) -> None:
        """Drop what belongs to an earlier event loop: sockets cannot move."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._places = asyncio.Semaphore(self.settings.max_connections)
            self._idle.clear()
            self._sessions.clear()

    def _lease(self) -> AsyncChannel:
        if self._idle:
            return self._idle.pop()
        channel = AsyncChannel(self.settings)
        self._sessions.append(channel.session)
        return channel

    async def _connect(self, channel: AsyncChannel, ask: Connect) -> BaseException | None:
        try:
            starts = self._link.server().kind == "embedded" and self._embedded is None
            server = await asyncio.to_thread(self._server) if starts else self._server()
        except RedisStateError as error:
            return error
        return await channel.connect(server, ask.within) or self._judge(channel.session)


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
        engine._idle = deque()
        engine._sessions = []
        engine._loop = None
        engine._starting = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
