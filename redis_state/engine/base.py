"""What both engines share: settings, keys, where the server is, and the account of what happened. Sends nothing."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from redis_state.clock import monotonic
from redis_state.config import Server, Settings
from redis_state.durability import Replicas
from redis_state.engine import embedded
from redis_state.engine.batch import Batch as Batch
from redis_state.engine.certificates import check_certificates
from redis_state.engine.connection import Connection
from redis_state.engine.faults import nothing_listens, unavailable
from redis_state.engine.inflight import Callers, ConnectionState
from redis_state.engine.server_check import Memory, enforce, evicts
from redis_state.engine.server_selector import ServerSelector
from redis_state.errors import ServerUnavailable, UnsafeServer
from redis_state.events import Connected, Events, Hook
from redis_state.keys import Keys

if TYPE_CHECKING:
    from redis_state.engine.connection_async import AsyncConnection

T = TypeVar("T")
EARLY = 0.7  # seconds to try where nothing listens, of an engine that never was connected
LARGEST_WRITE = 500  # ops; a longer batch is sent in several writes


@dataclass(frozen=True, slots=True)
class Status:
    """What an engine has done since it was made, in this process."""

    server: str
    connections: int  # made and not closed
    calls: int  # ops carried to an outcome
    replies_lost: int  # connections that broke with a call in flight; the call was sent again
    scripts_loaded: int  # SCRIPT LOADs sent: ahead of a connection's batches, and where a server had lost them
    scripts_healed: int  # calls that met a server without their script, unseen by the caller


class EngineBase:
    """What both engines share: settings, keys, the link, and the account of what happened."""

    closed = False  # and not connected again since

    def __init__(self, settings: Settings) -> None:
        check_certificates(settings.server)
        check_certificates(settings.cache_server)
        self.settings = settings
        self.events = Events()
        self._idle: deque[Any] = deque()  # connections that carry nothing now
        self._selector = ServerSelector(settings.server)
        self._embedded: embedded.Embedded | None = None
        self._starting = threading.RLock()  # a signal handler may use the engine while its thread starts the server
        self._refused_at = 0.0  # when nothing listened for the first time
        self._judged: Memory | None = None  # the settings of the server that were looked at last
        self._keys: dict[str, Keys] = {}
        self._callers: Callers = deque()  # those that have no call in flight
        self._states: dict[weakref.ref[Any], ConnectionState] = {}  # by connection; an interrupt may lose one anywhere
        self._past = ConnectionState()  # what those of lost connections have counted
        apart = settings.cache_server
        self._of_caches: Any = None  # an engine of the same kind, closed with this one
        self._durable: dict[Replicas | None, Self] = {}  # the same
        if apart is not None and apart != settings.server:
            self._of_caches = type(self)(replace(settings, server=apart, durability=None))
            self._of_caches.events = self.events

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
            self._keys[keys.namespace] = keys
        return keys

    def durable(self, durability: Replicas | None) -> Self:
        """Return an engine to the same server that asks replicas to confirm what it writes: see ``replicas``.

        It has connections of its own, tells its events to the hooks of this one, and is closed with this one.
        """
        if durability == self.settings.durability:
            return self
        if durability not in self._durable:
            made = type(self)(replace(self.settings, durability=durability, cache_server=None))
            made.events = self.events
            self._durable.setdefault(durability, made)
        return self._durable[durability]

    def _with_it(self) -> list[Any]:
        """Return the engines that are closed with this one."""
        return [*filter(None, [self._of_caches]), *self._durable.values()]

    def on_event(self, hook: Hook) -> Callable[[], None]:
        """Call a hook with each event from now on: see ``redis_state.events``. Returns a function that removes it."""
        return self.events.add(hook)

    def __getstate__(self) -> Any:
        raise TypeError(f"{type(self).__name__}: connections stay in their process; make an engine there")

    def status(self) -> Status:
        """Tell what happened so far. Costs nothing on the server."""
        self._forget_lost()
        states = [*self._states.values(), self._past]
        return Status(
            server=str(self._selector.server()),
            connections=sum(state.connected for state in states),
            calls=sum(state.calls for state in states),
            replies_lost=sum(state.lost for state in states),
            scripts_loaded=sum(state.scripts_loaded for state in states),
            scripts_healed=sum(state.healed for state in states),
        )

    def _count(self, connection: Connection | AsyncConnection) -> None:
        """Have a new connection counted, for as long as it lives."""
        self._forget_lost()
        self._states[weakref.ref(connection)] = connection.state

    def _forget_lost(self) -> None:
        """Keep of the states whose connection an interrupt took away only what they counted."""
        past = self._past
        for connection in [connection for connection in list(self._states) if connection() is None]:
            if state := self._states.pop(connection, None):
                past.calls += state.calls
                past.lost += state.lost
                past.healed += state.healed
                past.scripts_loaded += state.scripts_loaded

    def _server(self, end: float) -> Server:
        """Return where to connect; start the embedded server when that is asked for and none runs."""
        server = self._selector.server()
        if server.kind != "embedded":
            return server
        if not self._starting.acquire(timeout=max(0.0, end - monotonic())):
            raise ServerUnavailable("the embedded server did not start in time: another thread is still at it")
        try:
            if self._embedded is not None:
                self._embedded.ensure(min(end - monotonic(), embedded.READY_SECONDS))
            else:
                started = embedded.start(server.path or None)
                if self._embedded is None:
                    self._embedded = started
                else:  # a signal handler did, meanwhile
                    started.close()  # type: ignore[unreachable]
            return Server("unix", path=str(self._embedded.socket_path))
        finally:
            self._starting.release()

    def _told_early(self, failed: BaseException | None, server: Server) -> BaseException | None:
        """Return what ends the retries where nothing listens and nothing ever did: a wrong address is told soon."""
        if failed is None or self._judged is not None or not nothing_listens(failed):
            return failed
        now = monotonic()
        self._refused_at = self._refused_at or now
        waited = now - self._refused_at
        return failed if waited < EARLY else unavailable(failed, server, waited)

    def _judge(self, state: ConnectionState) -> BaseException | None:
        """Look at the settings of a server that was connected to; return the error when it is not to be used."""
        memory = state.memory
        if memory != self._judged:
            try:
                enforce(evicts(memory, str(state.server)), self.settings.unsafe_server)
            except UnsafeServer as error:
                state.connected = False
                return error
            self._judged = memory
        self.events.tell(Connected(str(state.server), again=state.lost > 0))
        return None

    def _hang_up(self) -> None:
        """Close all idle connections. Other threads may take some meanwhile, or close as well."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            connection.close()

    def _begin_anew(self) -> None:
        """Forget what belongs to the parent of a fork."""
        self._idle = deque()  # the parent's sockets; dropping them closes our copies and nothing else
        self._callers = deque()  # the parent goes on with its own
        self._states, self._past = {}, ConnectionState()
        self._starting = threading.RLock()

    def _give_up_embedded(self) -> None:
        self.closed = True
        embedded_server, self._embedded = self._embedded, None
        if embedded_server is not None:
            embedded_server.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._selector.server()}>"
