"""Real servers: one of each kind for each test worker, and a fresh prefix on it for each test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from redis_state import AsyncEngine, Engine, Op
from tests.support import containers
from tests.support.clock import SteppedServer, why_not
from tests.support.machine_lag import MachineLag
from tests.support.process_pool import ProcessPool
from tests.support.servers import Server, available, between

if TYPE_CHECKING:
    from tests.support.tus_fleet import Fleet

_numbers = itertools.count(1)
BETWEEN = between()

# Runs inside the server, so that the check costs one round trip.
_FOREVER = """
local forever = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) == -1 then
    forever[#forever + 1] = key
  end
end
return forever
"""


ON_ALL_SERVERS = (
    *("tests/lua/", "tests/engine/test_acl.py", "tests/engine/test_server_guard.py"),
    "property_tests/machines/",
)
SERVERS = {"server", "stepped", "kind", "own"}  # the parameters that name one
TRIED_AGAIN = {"reruns": 2}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose on which servers each test runs, and let comparisons of durations try again.

    A machine that stands still for a moment says nothing about the library, so a bound that allows for the lag of the
    machine, and a test that is marked ``timing``, has three tries. Nothing else has, also in the same test: a race that
    shows once in a hundred runs is a fault.
    """
    left_out = {item for item in items if _is_between(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.get_closest_marker("timing"):
            item.add_marker(pytest.mark.flaky(**TRIED_AGAIN))
        elif "machine_lag" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(**TRIED_AGAIN, only_rerun=r"AssertionError: [^~]*\bMachineLag object\b"))
    if containers.ASKED and (why_not := containers.why_not()):
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why_not))


def _is_between(item: pytest.Item) -> bool:
    """Tell whether a test would run on a server that it need not run on: neither the oldest nor the newest one."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    kinds = {params[name] for name in SERVERS & params.keys()}
    return not kinds.isdisjoint(BETWEEN) and not item.nodeid.startswith(ON_ALL_SERVERS)


@pytest.fixture(scope="session", params=[*available()])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


@pytest.fixture(params=[*available()])
def stepped(request: pytest.FixtureRequest) -> Iterator[SteppedServer]:
    """A server whose clock the test may step."""
    binary = available()[request.param]
    if reason := why_not(binary):
        pytest.skip(reason)
    with SteppedServer(binary) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def prefix(server: Server) -> Iterator[str]:
    """What all keys of the test begin with. Afterwards no key may be left that lives forever."""
    yield f"t{next(_numbers)}"
    with server.client() as client:
        forever = client.eval(_FOREVER, 0)
        client.flushall()
    assert not forever, f"keys without a TTL: {forever}"


@pytest.fixture
def engine(server: Server, prefix: str) -> Iterator[Engine]:
    with Engine.from_url(server.url, prefix=prefix) as made:
        yield made


@pytest.fixture(params=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest, server: Server, prefix: str) -> Iterator[Callable[[Any], Any]]:
    """Run an op, several ops or a plan: the same test on both engines."""
    if request.param == "blocking":
        with Engine.from_url(server.url, prefix=prefix) as engine:
            yield lambda step: _method(engine, step)(step)
        return

    async def awaited(step: Any) -> Any:
        return await _method(waiting, step)(step)

    with asyncio.Runner() as runner:
        waiting = AsyncEngine.from_url(server.url, prefix=prefix)
        yield lambda step: runner.run(awaited(step))
        runner.run(waiting.close())


def _method(engine: Any, step: Any) -> Any:
    if isinstance(step, Op):
        return engine.run
    return engine.run_all if isinstance(step, list) else engine.follow


@pytest.fixture
def machine_lag() -> Iterator[MachineLag]:
    """How late the machine is, while the test runs."""
    with MachineLag() as watching:
        yield watching


@pytest.fixture(scope="session")
def process_pool() -> Iterator[ProcessPool]:
    made = ProcessPool()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three processes of the example tus server, and a Redis of their own."""
    from tests.support.tus_fleet import Fleet  # needs more than most tests do

    with Server() as redis, Fleet(redis.url, tmp_path_factory.mktemp("uploads"), words=("--patience", "4")) as made:
        yield made
