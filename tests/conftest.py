"""Real servers: one of each kind for each test worker, and a fresh prefix on it for each test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import containers
import pytest
from crew import Crew
from pace import Pace
from servers import Server, available

from redis_state import AsyncEngine, Engine, Op

_numbers = itertools.count(1)

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if containers.ASKED and (why_not := containers.why_not()):
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why_not))


@pytest.fixture(scope="session", params=sorted(available()))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
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
def pace() -> Iterator[Pace]:
    """How late the machine is, while the test runs."""
    with Pace() as watching:
        yield watching


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    made.dismiss()
