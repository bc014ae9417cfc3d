"""The blocking engine: the only code that sends and waits for threads.

An engine belongs to all threads of a process. Each call leases a connection (the one used last, so its
connection is warm) and gives it back; there are as many as calls were ever in flight at once. After
a fork the child begins with none, so nothing is shared with its parent.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from time import sleep
from typing import Any, Self, TypeVar

from redis_state.config import Settings
from redis_state.engine.base import LARGEST_WRITE, EngineBase
from redis_state.engine.base import Status as Status
from redis_state.engine.batch import Batch as Batch
from redis_state.engine.batch import not_sent, raise_first, unanswered
from redis_state.engine.connection import Connection
from redis_state.engine.delivery import Connect, deliver
from redis_state.engine.op import Op, Pause, Plan
from redis_state.engine.replicated import confirmed
from redis_state.engine.resolve import resolve
from redis_state.errors import OutcomeUnknown, RedisStateError

T = TypeVar("T")


class Engine(EngineBase):
    """Carries operations to a server and back, for all threads of a process."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings.from_env())
        _engines.add(self)

    def run(self, op: Op[T]) -> T:
        """Run one operation: one round trip. Raises what its reply means, ``NotApplied`` or ``OutcomeUnknown``."""
        result = self._carry((op,))[0]
        if isinstance(result, BaseException):
            raise result
        return result  # type: ignore[no-any-return]

    def run_all(self, ops: Sequence[Op[T]], *, return_exceptions: bool = False) -> list[T]:
        """Run several operations in one write (500 at a time), each with its own outcome, in order.

        They are independent: a failed one does not stop the others, and after a restart in their
        midst a later one may run before an earlier one. The first error is raised after all have
        run; with ``return_exceptions`` the list holds the errors instead. Each write has the engine's
        deadline; once one had no answer at all, the later ones are not sent (``ServerUnavailable``).
        """
        results: list[Any] = []
        for start in range(0, len(ops), LARGEST_WRITE):
            results += self._carry(ops[start : start + LARGEST_WRITE])
            if unanswered(results[start:]):
                results += not_sent(ops[len(results) :])
                break
        if not return_exceptions:
            raise_first(results)
        return results

    def batch(self) -> Batch:
        """Collect operations in a ``with`` block, and run them in one write at its end."""
        return Batch(self)

    def follow(self, plan: Plan[T]) -> T:
        """Run a plan to its end. A step that fails is thrown into it."""
        try:
            step = next(plan)
            while True:
                try:
                    if isinstance(step, Op):
                        answer: Any = self.run(step)
                    elif isinstance(step, Pause):
                        sleep(step.seconds)
                        answer = None
                    else:
                        answer = self.run_all(step)
                except RedisStateError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            plan.close()

    def resolve(self, error: OutcomeUnknown, *, deadline: float | None = None) -> Any:
        """Tell what became of a call: its result, or raises ``NotApplied`` (proven), or ``error`` while undecided.

        ``deadline``: seconds to try for, in place of the engine's: a large result over a slow link may need
        more.
        """
        plan = resolve(error)
        try:
            outcome = self._carry((next(plan),), deadline)[0]
            if isinstance(outcome, BaseException):
                plan.throw(outcome)
            plan.send(outcome)
        except StopIteration as end:
            return end.value

    def close(self) -> None:
        """Close all idle connections and give up the embedded server. The engine connects again when used."""
        self._hang_up()
        self._give_up_embedded()
        for engine in self._with_it():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _carry(self, ops: Sequence[Op[Any]], deadline: float | None = None) -> list[Any]:
        settings = self.settings if deadline is None else replace(self.settings, deadline=deadline)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self.settings)
            self._count(connection)
        delivery = deliver(ops, connection.state, self._callers, settings, events=self.events)
        if settings.durability is not None:
            delivery = confirmed(delivery, ops, settings.durability)
        try:
            effect = next(delivery)
            while True:
                if type(effect) is list:
                    (exchange,) = effect  # one server
                    effect = delivery.send([connection.exchange(exchange)])
                elif type(effect) is Connect:
                    effect = delivery.send(self._connect(connection, effect))
                else:
                    if effect.leave:  # type: ignore[union-attr]
                        self._hang_up()
                    sleep(effect.seconds)  # type: ignore[union-attr]
                    effect = next(delivery)
        except StopIteration as end:
            self._idle.append(connection)
            return end.value  # type: ignore[no-any-return]
        except BaseException:  # interrupted: what was sent may run, so these callers are never used again
            connection.close()
            raise

    def _connect(self, connection: Connection, effect: Connect) -> BaseException | None:
        self.closed = False
        try:
            server = self._server(effect.end)
        except RedisStateError as error:
            return error
        return self._told_early(connection.connect(server, effect.end), server) or self._judge(connection.state)


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
