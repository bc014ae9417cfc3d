"""What all machines share: a real server behind a proxy, the faults that any step may meet, and time that passes.

A machine does the same to a server and to a plain Python model, and compares. This base gives each one

* the faults as a rule: scripts forgotten, connections cut, a reply or a request lost, a copy that arrives late, all
  data lost. None of them may be seen in any answer;
* time as a rule: what the server holds is made older, so nothing sleeps. TTLs and leases of machines are 200 s more
  than a multiple of ``QUANTUM``, so however long a test takes, it is clear what is over;
* invariants over every key that the server holds: see ``invariants``.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from time import monotonic, sleep
from typing import Any, ClassVar, NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from property_tests.machines import invariants
from property_tests.machines.server_snapshot import QUANTUM, TIME_PASSES, Snapshot
from property_tests.models.base import Call, Refused
from property_tests.servers import KINDS, NEWEST, STRESS
from redis_state import Engine, RedisStateError
from redis_state.engine.op import command
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

OLDER = 0.15  # of the examples run on the servers that are not the newest

TTL = 1000.0
FAULTS = (
    "scripts_are_forgotten",
    "connections_are_killed",
    "connections_are_cut",
    *3 * ("the_next_reply_is_lost",),
    "the_next_request_is_lost",
    *2 * ("the_next_request_is_late",),
    *2 * ("late_requests_arrive",),
    "all_data_is_lost",
)
FACTS = {  # what errors say that models judge
    "StaleToken": ("newest",),
    "AlreadyDone": ("result",),
    "AlreadyClaimed": ("holder",),
    "AttemptsExhausted": ("attempts",),
    "UploadClosed": ("state",),
    "UploadIncomplete": ("received", "total"),
}


class Place(NamedTuple):
    """Where machines run: ``engine`` meets the faults, ``observer`` and ``client`` do not."""

    engine: Engine
    observer: Engine
    client: redis.Redis
    proxy: Proxy


_open = ExitStack()
atexit.register(_open.close)


@cache
def _server(kind: str) -> tuple[Server, Proxy, redis.Redis]:
    """Start a server of this kind, for the rest of the process."""
    server = _open.enter_context(Server(available()[kind]))
    proxy = _open.enter_context(Proxy(server.socket_path))
    return server, proxy, _open.enter_context(server.client(encoding_errors="surrogateescape"))


@cache
def place(kind: str, **options: Any) -> Place:
    """Return engines with these settings, on the server of this kind."""
    server, proxy, client = _server(kind)
    engine, observer = (_open.enter_context(Engine.from_url(url, **options)) for url in (proxy.url, server.url))
    return Place(engine, observer, client, proxy)


def everywhere(test: Any) -> Any:
    """Run a test on each kind of server. When it fails, it takes its time to find the shortest way to that."""
    return pytest.mark.timeout(600)(pytest.mark.parametrize("kind", KINDS)(test))


def run(machine: type[Machine], kind: str, examples: int, steps: int = 40, **options: Any) -> None:
    """Run a machine on a server of this kind; the older ones see fewer examples."""
    share = STRESS * (1.0 if kind == NEWEST else OLDER)
    bound: Any = type(machine.__name__, (machine,), place(kind, **options)._asdict())
    kept = settings(
        max_examples=max(4, int(examples * share)),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_machine(bound, settings=kept)


def agreed(model: Any, call: Call, said: Any) -> Any:
    """Return the model after a call that said this; fail when it could not have said it."""
    after = model.step(call, said)
    assert after is not None, f"{call} said {said!r} of {model}"
    return after


class Machine(RuleBasedStateMachine):
    """Faults, time and invariants. A machine adds the rules of its domain, ``agrees`` and ``older``."""

    engine: Engine
    observer: Engine
    client: redis.Redis
    proxy: Proxy

    model: Any
    indexed: ClassVar[str] = ""  # the kind of key that an index tells of
    companions: ClassVar[str] = ""  # the kinds that live and die with a record

    @initialize()
    def begin(self) -> None:
        self.proxy.clear()
        self.proxy.release()
        self.client.flushall()
        self.renewed: set[str] = set()
        self.began = monotonic()
        self.snapshot = Snapshot(self.client)
        self.start()
        self.stock()
        self.refusing = False

    # --- what a domain says -----------------------------------------------------------------------

    def start(self) -> None:
        """Make the model anew: the server holds nothing."""

    def stock(self) -> None:
        """Put something there where nothing is, so that most steps meet something."""

    def lost(self) -> None:
        """Let the model lose everything, too."""
        self.start()

    def older(self, seconds: float) -> None:
        """Let time pass in the model."""

    def agrees(self, snapshot: Snapshot) -> None:
        """Compare what the server holds with the model."""

    @contextmanager
    def refused(self, error: type[BaseException]) -> Iterator[pytest.ExceptionInfo[Any]]:
        """Expect this error, and that nothing changed."""
        with pytest.raises(error) as caught:
            yield caught
        assert type(caught.value) is error
        self.refusing = True

    def same(self, verb: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """Do the same to the server and to ``model``, one of ``models``; return what was said."""
        said = self.heard(act)
        self.model = agreed(self.model, Call(verb, args), said)
        return said

    def heard(self, act: Callable[[], Any]) -> Any:
        """Return what an action says, as models know it."""
        try:
            return act()
        except (RedisStateError, KeyError, ValueError, TypeError) as error:
            kind = type(error).__name__
            self.refusing = True
            return Refused(kind, tuple(getattr(error, fact) for fact in FACTS.get(kind, ())))

    @property
    def timely(self) -> bool:
        """Whether no time but that of ``time_passes`` has passed since the beginning, to speak of."""
        return monotonic() - self.began < 4

    def expired(self, seconds: float) -> list[str]:
        """Return the records that are over in so many seconds. That they live so long is a law."""
        return [name for name, left in self.snapshot.left("r").items() if left <= seconds]

    def calm(self) -> None:
        """Let no fault meet the next call: for reads that count their use, whose copies do not."""
        self.proxy.clear()
        self.engine.run(command(None, "PING", read=bool))

    def until_it_is_over(self) -> None:
        """Wait for what was written to live a few milliseconds."""
        while any(seen.left is not None and seen.left < 1 for seen in Snapshot(self.client).values()):
            pass
        sleep(0.002)  # an index may tell of it one more

    # --- faults -----------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(FAULTS))
    def a_fault(self, fault: str) -> None:
        getattr(self, fault)()

    def scripts_are_forgotten(self) -> None:
        self.client.script_flush()
        self.refusing = True

    def connections_are_killed(self) -> None:
        self.client.client_kill_filter(_type="normal", skipme=True)
        self.refusing = True

    def connections_are_cut(self) -> None:
        self.proxy.reset_all()
        self.refusing = True

    def the_next_reply_is_lost(self) -> None:
        self.proxy.drop_next()
        self.refusing = True

    def the_next_request_is_lost(self) -> None:
        self.proxy.drop_requests(n=1)
        self.refusing = True

    def the_next_request_is_late(self) -> None:
        """Keep it back, so that it is sent again, and deliver it some steps later."""
        self.proxy.hold_next(mode="reset")
        self.refusing = True

    def late_requests_arrive(self) -> None:
        for reply in self.proxy.release():
            assert not isinstance(reply, Exception) or "NOSCRIPT" in str(reply)
        self.refusing = True

    def all_data_is_lost(self) -> None:
        self.proxy.release()  # a record of a call that is lost as well cannot keep a late copy from acting
        self.client.flushall()
        self.snapshot = Snapshot(self.client)
        self.lost()
        self.stock()
        self.refusing = False

    @rule(times=st.sampled_from([1, 1, 1, 3]))
    def time_passes(self, times: int) -> None:
        self.all_is_well()
        self.client.eval(TIME_PASSES, 0, int(times * QUANTUM * 1000))
        self.older(times * QUANTUM)
        self.snapshot = Snapshot(self.client)
        self.stock()
        self.snapshot = Snapshot(self.client)
        self.refusing = False

    # --- invariants -------------------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        before, snapshot = self.snapshot, Snapshot(self.client)
        self.snapshot = snapshot
        if self.refusing:
            assert snapshot.held() == before.held()
            self.refusing = False
        invariants.of_keys(snapshot)
        if self.indexed:
            invariants.of_indexes(before, snapshot, self.indexed)
        if self.indexed == "r":
            invariants.of_records(before, snapshot, self.renewed, self.companions)
        self.renewed = set()
        self.agrees(snapshot)
