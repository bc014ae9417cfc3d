"""A call that asks for replicas returns when they have it, or says that they do not: also when its reply was lost."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import Any

import pytest

from redis_state import (
    ConfigError,
    Engine,
    Locks,
    NotReplicated,
    OutcomeUnknown,
    RecordMapping,
    aio,
    cache,
    replicas,
)
from redis_state.aio import AsyncEngine
from tests.support.machine_lag import MachineLag
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

SHORT = 0.15  # seconds that a call waits for a replica that is frozen
_numbers = count()
LONG = 10.0  # for one that is not: it answers in a millisecond


class Replicated:
    """A primary, its replica, and a proxy before the primary."""

    def __init__(self, primary: Server, replica: Server, proxy: Proxy) -> None:
        self.primary, self.replica, self.proxy = primary, replica, proxy

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the replica hear nothing."""
        os.kill(self.replica.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.replica.pid, signal.SIGCONT)

    def asked_to_wait(self) -> int:
        with self.primary.client() as client:
            found: dict[str, Any] = client.info("commandstats")
        return int(found.get("cmdstat_wait", {"calls": 0})["calls"])


@pytest.fixture(scope="module", params=[*available()])
def servers(request: pytest.FixtureRequest) -> Iterator[Replicated]:
    binary = available()[request.param]
    with (
        Server(binary, tcp=True) as primary,
        Server(binary, tcp=True) as replica,
        Proxy(primary.socket_path) as proxy,
    ):
        yield Replicated(primary, replica.replica_of(primary), proxy)


@pytest.fixture
def prefix() -> str:
    """Return a prefix of its own: the servers serve all tests of this module."""
    return f"d{next(_numbers)}"


Run = Callable[[Any], Any]


@pytest.fixture(params=["blocking", "awaited"])
def engine(
    request: pytest.FixtureRequest, servers: Replicated, prefix: str
) -> Iterator[Callable[..., tuple[Any, Run]]]:
    """Make an engine that asks for one replica; beside it, what waits for an awaited result."""
    with ExitStack() as stack:

        def make(timeout: float, **settings: Any) -> tuple[Any, Run]:
            settings |= {"prefix": prefix, "durability": replicas(1, timeout=timeout)}
            if request.param == "blocking":
                return stack.enter_context(Engine.from_url(servers.proxy.url, **settings)), lambda value: value
            runner = stack.enter_context(asyncio.Runner())
            awaited = AsyncEngine.from_url(servers.proxy.url, **settings)
            stack.callback(lambda: runner.run(awaited.close()))

            async def resolved(value: Any) -> Any:
                return await value

            return awaited, lambda value: runner.run(resolved(value))

        yield make


def records(engine: Any) -> Any:
    if isinstance(engine, Engine):
        return RecordMapping("durable", ttl=60, engine=engine)
    return aio.RecordMapping("durable", ttl=60, engine=engine)


def test_what_is_answered_is_on_the_replica(servers: Replicated, engine: Callable[..., tuple[Any, Run]]) -> None:
    here, run = engine(LONG)
    key = records(here).entries.keys.key("entry", "k")
    with servers.replica.client() as client:
        for n in range(1, 30):
            assert run(records(here).increment("k", "n")) == n
            assert client.hget(key, "n") == str(n)


def test_what_a_frozen_replica_does_not_have_is_not_confirmed(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(SHORT)
    with servers.frozen():
        with pytest.raises(NotReplicated, match="0 of 1 replicas confirmed it") as told:
            run(records(here).increment("k", "n"))
        assert (told.value.result, told.value.replicas) == (1, 0)
        assert run(records(here).get("k")) == {"n": 1}
    patient, run = engine(LONG)
    assert run(records(patient).increment("k", "n")) == 2


@pytest.mark.parametrize("mode", ["reset", "withhold"])
def test_a_call_that_is_sent_again_is_not_confirmed_falsely(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]], mode: Any
) -> None:
    """Its copy writes nothing, on a connection that has written nothing: WAIT alone would say 1 there."""
    here, run = engine(SHORT, socket_timeout=0.3)
    with suppress(NotReplicated):  # on a busy machine the replica may be late
        run(records(here).increment("k", "n"))
    with servers.frozen():
        servers.proxy.drop_next(1, only=["EVALSHA"], mode=mode)
        with pytest.raises(NotReplicated) as told:
            run(records(here).increment("k", "n"))
        assert told.value.result == 2
    assert run(records(here).get("k")) == {"n": 2}


def test_a_lost_confirmation_is_asked_for_again(servers: Replicated, engine: Callable[..., tuple[Any, Run]]) -> None:
    here, run = engine(LONG)
    run(records(here).increment("k", "n"))
    servers.proxy.drop_next(1, only=["WAIT"])
    assert run(records(here).increment("k", "n")) == 2
    assert run(records(here).get("k")) == {"n": 2}


def test_what_was_lost_with_its_confirmation_is_not_confirmed(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(SHORT, socket_timeout=0.3)
    with suppress(NotReplicated):  # on a busy machine the replica may be late
        run(records(here).increment("k", "n"))
    with servers.frozen():
        servers.proxy.drop_next(1, only=["WAIT"])
        with pytest.raises(NotReplicated) as told:
            run(records(here).increment("k", "n"))
    assert told.value.result == 2


def test_a_batch_waits_once_and_what_only_reads_never(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(LONG)
    entries = records(here).entries
    run(here.run_all([entries.increment("k", "n") for _ in range(3)]))
    before = servers.asked_to_wait()
    assert run(here.run_all([entries.increment("k", "n") for _ in range(10)])) == [*range(4, 14)]
    assert servers.asked_to_wait() == before + 1
    with servers.frozen():
        assert run(records(here).get("k")) == {"n": 13}
        assert [read.fields for read in run(here.run_all([entries.get("k")] * 3))] == [{"n": 13}] * 3
    assert servers.asked_to_wait() == before + 1


def test_a_hit_of_the_text_cache_waits_for_no_replica(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(LONG)
    texts = (cache.TextCache if isinstance(here, Engine) else aio.TextCache)(engine=here, budget=1 << 20)
    for name, size in (("small", 10), ("large", 100_000)):
        run(texts.put(name, "x" * size))
        with servers.frozen():
            assert run(texts.get(name)).content == "x" * size


def test_of_a_batch_each_result_says_that_it_is_not_confirmed(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(SHORT)
    entries = records(here).entries
    ops = [entries.increment("k", "n"), entries.get("k"), entries.increment("none", "n", create=False)]
    with servers.frozen():
        first, read, missing = run(here.run_all(ops, return_exceptions=True))
    assert isinstance(first, NotReplicated)
    assert first.result == 1
    assert read.fields == {"n": 1}
    assert isinstance(missing, KeyError), "what changed nothing has nothing to confirm"


def test_a_lock_that_is_not_confirmed_is_given_back(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]]
) -> None:
    here, run = engine(LONG)
    kind = Locks if isinstance(here, Engine) else aio.Locks
    locks = kind("durable", engine=here)
    with servers.frozen():
        began = time.monotonic()
        with pytest.raises(NotReplicated):
            run(locks.lock("a", lease=0.6).acquire())
        assert time.monotonic() - began < LONG / 2, "it waits for a third of the lease at most"
    with Engine.from_url(servers.primary.url, prefix=here.settings.prefix) as other:
        assert Locks("durable", engine=other).inspect("a") is None


def test_a_call_ends_by_its_deadline_whatever_it_was_to_wait(
    servers: Replicated, engine: Callable[..., tuple[Any, Run]], machine_lag: MachineLag
) -> None:
    here, run = engine(60.0, deadline=1.2, socket_timeout=0.4)
    with servers.frozen():
        began = time.monotonic()
        with pytest.raises((NotReplicated, OutcomeUnknown)):  # the latter where WAIT's answer came too late
            run(records(here).increment("k", "n"))
        assert time.monotonic() - began < 1.2 + 0.4 + machine_lag.slack


def test_some_objects_ask_for_replicas_and_others_do_not(servers: Replicated, prefix: str) -> None:
    with Engine.from_url(servers.primary.url, prefix=prefix) as engine:
        heard: list[Any] = []
        engine.on_event(heard.append)
        safe = engine.durable(replicas(1, timeout=SHORT))
        assert safe is engine.durable(replicas(1, timeout=SHORT))
        assert engine.durable(None) is engine
        with servers.frozen():
            assert records(engine).increment("k", "n") == 1
            with pytest.raises(NotReplicated):
                records(safe).increment("k", "n")
        assert [event for event in heard if type(event).__name__ == "CallFinished"]
        assert safe.status().connections == 1
    assert safe.status().connections == 0, "it is closed with the other one"


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        replicas(0)
    with pytest.raises(ValueError, match="from 1 to 100"):
        replicas(True)
    with pytest.raises(ValueError, match="timeout=0: seconds, from 0.001 to 60"):
        replicas(1, timeout=0)
    with pytest.raises(ConfigError, match="redis_state.replicas"):
        Engine.from_url("redis://localhost", durability=1)
    with pytest.raises(ConfigError, match="no replicas"):
        Engine.from_url("embedded://", durability=replicas(1))


def test_what_it_says_survives_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(NotReplicated("why", {"n": 1}, 2)))
    assert (str(error), error.result, error.replicas) == ("why", {"n": 1}, 2)
