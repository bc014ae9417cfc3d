"""The blocking engine: the only code that sends and waits for threads.

An engine belongs to all threads of a process. Each call leases a channel (the one used last, so its
connection is warm) and gives it back; there are as many as calls were ever in flight at once. After
a fork the child begins with none, so nothing is shared with its parent.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any, Generic, Self, TypeVar

from redis_state.config import Server, Settings
from redis_state.engine import embedded
from redis_state.engine.call import Session
from redis_state.engine.channel import Channel
from redis_state.engine.converse import Connect, Exchange, converse, resolve
from redis_state.engine.guard import Memory, complain, evicts
from redis_state.engine.link import Link
from redis_state.engine.op import Op, Pause, Plan
from redis_state.errors import OutcomeUnknown, RedisStateError, UnsafeServer
from redis_state.keys import Keys

T = TypeVar("T")
LARGEST_WRITE = 500  # ops; a longer batch is sent in several writes


@dataclass(frozen=True, slots=True)
class Status:
    """What an engine has done since it was made, in this process."""

    server: str
    connections: int  # made and not closed
    calls: int  # ops carried to an outcome
    replies_lost: int  # connections that broke with a call in flight; the call was sent again
    scripts_loaded: int  # SCRIPT LOADs sent: to fresh connections, and where a server had lost them
    scripts_healed: int  # calls that met a server without their script, unseen by the caller


class EngineBase:
    """What both engines share: settings, keys, the link, and the account of what happened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._link = Link(settings.server)
        self._embedded: embedded.Embedded | None = None
        self._starting = threading.Lock()
        self._judged: Memory | None = None  # the settings of the server that were looked at last
        self._keys: dict[str, Keys] = {}
        self._sessions: list[Session] = []

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Make an engine from ``REDIS_URL`` or ``REDIS_HOST`` and its companions. Connects on first use."""
        return cls(Settings.from_env().with_changes(**settings))

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> Self:
        """Make an engine for a URL: redis://, rediss://, unix://, embedded://. Connects on first use."""
        return cls(Settings.from_url(url, **settings))

    def keys(self, namespace: str) -> Keys:
        """Return the keys of a namespace, with this engine's prefix and partitions."""
        keys = self._keys.get(namespace)
        if keys is None:
            keys = Keys(namespace, prefix=self.settings.prefix, partitions=self.settings.partitions)
            self._keys[namespace] = keys
        return keys

    def status(self) -> Status:
        """Tell what happened so far. Costs nothing on the server."""
        sessions = list(self._sessions)
        return Status(
            server=str(self._link.server()),
            connections=sum(session.connected for session in sessions),
            calls=sum(session.calls for session in sessions),
            replies_lost=sum(session.lost for session in sessions),
            scripts_loaded=sum(session.scripts_loaded for session in sessions),
            scripts_healed=sum(session.healed for session in sessions),
        )

    def _server(self) -> Server:
        """Return where to connect; start the embedded server when that is asked for and none runs."""
        server = self._link.server()
        if server.kind != "embedded":
            return server
        with self._starting:
            if self._embedded is None:
                self._embedded = embedded.start(server.path or None)
            else:
                self._embedded.ensure()
        return Server("unix", path=str(self._embedded.socket_path))

    def _judge(self, session: Session) -> BaseException | None:
        """Look at the settings of a server, once; return the error when it is not to be used."""
        memory = session.memory
        if memory != self._judged:
            try:
                complain(evicts(memory, str(session.server)), self.settings.unsafe_server)
            except UnsafeServer as error:
                session.connected = False
                return error
            self._judged = memory
        return None

    def _give_up_embedded(self) -> None:
        embedded_server, self._embedded = self._embedded, None
        if embedded_server is not None:
            embedded_server.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._link.server()}>"


class Engine(EngineBase):
    """Carries operations to a server and back, for all threads of a process."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings.from_env())
        self._idle: deque[Channel] = deque()
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
        run; with ``return_exceptions`` the list holds the errors instead.
        """
        results: list[Any] = []
        for start in range(0, len(ops), LARGEST_WRITE):
            results += self._carry(ops[start : start + LARGEST_WRITE])
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
                    if isinstance(step, Pause):
                        sleep(step.seconds)
                        answer: Any = None
                    else:
                        answer = self.run(step) if isinstance(step, Op) else self.run_all(step)
                except RedisStateError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            plan.close()

    def resolve(self, error: OutcomeUnknown) -> Any:
        """Tell what became of a call: its result, or raises ``NotApplied`` (proven), or ``error`` while undecided."""
        return self.follow(resolve(error))

    def close(self) -> None:
        """Close all idle connections and give up the embedded server. The engine connects again when used."""
        while self._idle:
            self._idle.pop().close()
        self._give_up_embedded()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _carry(self, ops: Sequence[Op[Any]]) -> list[Any]:
        try:
            channel = self._idle.pop()
        except IndexError:
            channel = Channel(self.settings)
            self._sessions.append(channel.session)
        conversation = converse(ops, channel.session, self.settings)
        try:
            ask = next(conversation)
            while True:
                if type(ask) is Exchange:
                    ask = conversation.send(channel.exchange(ask))
                elif type(ask) is Connect:
                    ask = conversation.send(self._connect(channel, ask))
                else:
                    sleep(ask.seconds)  # type: ignore[union-attr]
                    ask = next(conversation)
        except StopIteration as end:
            self._idle.append(channel)
            return end.value  # type: ignore[no-any-return]
        except BaseException:  # interrupted: what was sent may run, so these callers are never used again
            channel.close()
            self._sessions.remove(channel.session)
            raise

    def _connect(self, channel: Channel, ask: Connect) -> BaseException | None:
        try:
            server = self._server()
        except RedisStateError as error:
            return error
        return channel.connect(server, ask.within) or self._judge(channel.session)


class Later(Generic[T]):
    """The result of an operation in a batch, once the batch has run."""

    __slots__ = ("_outcome",)

    def __init__(self) -> None:
        self._outcome: Any = RuntimeError("the batch has not run yet: results are there after its `with` block")

    def result(self) -> T:
        """Return the operation's result, or raise its error."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome  # type: ignore[no-any-return]


class BatchBase:
    """Operations that are sent together at the end of a block; none when it raises."""

    def __init__(self) -> None:
        self._ops: list[Op[Any]] = []
        self._later: list[Later[Any]] = []

    def add(self, op: Op[T]) -> Later[T]:
        """Add an operation. Its ``result()`` is there after the block."""
        later: Later[T] = Later()
        self._ops.append(op)
        self._later.append(later)
        return later

    def _settle(self, outcomes: Sequence[Any]) -> None:
        for later, outcome in zip(self._later, outcomes, strict=True):
            later._outcome = outcome
        raise_first(outcomes)


class Batch(BatchBase):
    """A batch of a blocking engine."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: object) -> None:
        if kind is None:
            self._settle(self._engine.run_all(self._ops, return_exceptions=True))


def raise_first(outcomes: Sequence[Any]) -> None:
    """Raise the first error of a batch, with a note of where it stood."""
    for place, error in enumerate(outcomes):
        if isinstance(error, BaseException):
            if len(outcomes) > 1:
                failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
                error.add_note(f"operation {place + 1} of a batch of {len(outcomes)}; {failed} failed in all")
            raise error


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._idle = deque()  # the parent's sockets; dropping them closes our copies and nothing else
        engine._sessions = []
        engine._starting = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
