"""A replica is never used, and one that a server has become loses all connections at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, Op, RecordMapping, ServerRefused, aio
from tests.support.servers import Server, available
from tests.support.waits import eventually

BUSY = 5  # calls at the same time


class Face:
    """Records of one kind of engine; ``together`` runs several calls at once."""

    def __init__(self, engine: Any, records: Any, run: Callable[[Any], Any]) -> None:
        self.engine, self.records, self.run = engine, records, run

    def together(self, op: Callable[[], Op[Any]]) -> None:
        if isinstance(self.engine, Engine):
            barrier = threading.Barrier(BUSY)

            def one() -> None:
                barrier.wait(10)
                self.engine.run(op())

            with ThreadPoolExecutor(BUSY) as pool:
                for turn in [pool.submit(one) for _ in range(BUSY)]:
                    turn.result(20)
            return

        async def all_of_them() -> None:
            await asyncio.gather(*(self.engine.run(op()) for _ in range(BUSY)))

        self.run(all_of_them())


@pytest.fixture(params=[*available()])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    """A primary and its replica."""
    binary = available()[request.param]
    with Server(binary, tcp=True) as primary, Server(binary, tcp=True) as replica:
        yield primary, replica.replica_of(primary)


@pytest.fixture(params=["blocking", "awaited"])
def face(request: pytest.FixtureRequest, pair: tuple[Server, Server]) -> Iterator[Callable[..., Face]]:
    with ExitStack() as stack:

        def of(server: Server, **settings: Any) -> Face:
            if request.param == "blocking":
                engine = stack.enter_context(Engine.from_url(server.url, **settings))
                return Face(engine, RecordMapping("roles", ttl=60, engine=engine), lambda value: value)
            runner = stack.enter_context(asyncio.Runner())
            awaited = AsyncEngine.from_url(server.url, **settings)
            stack.callback(lambda: runner.run(awaited.close()))
            records = aio.RecordMapping("roles", ttl=60, engine=awaited)

            async def resolved(value: Awaitable[Any]) -> Any:
                return await value

            return Face(awaited, records, lambda value: runner.run(resolved(value)))

        yield of


def calls_of(server: Server) -> set[str]:
    """Tell which commands clients, and not a primary, have sent."""
    with server.client() as client:
        stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in stats} & {"evalsha", "hgetall", "eval", "script|load"}


def test_a_replica_is_neither_read_nor_written(pair: tuple[Server, Server], face: Callable[..., Face]) -> None:
    primary, replica = pair
    here, there = face(primary), face(replica)
    here.run(here.records.put("k", {"n": 1}))
    with primary.client() as client:
        assert client.wait(1, 5000) == 1
    before = calls_of(replica)
    seen: list[set[str]] = []
    promoter = threading.Timer(0.4, lambda: (seen.append(calls_of(replica)), replica.promote()))
    promoter.start()
    assert there.run(there.records.increment("k", "n")) == 2
    promoter.join()
    assert seen == [before], "it was sent something while it was a replica"
    assert there.run(there.records.get("k")) == {"n": 2}


def test_a_call_that_finds_a_replica_only_says_whose(pair: tuple[Server, Server], face: Callable[..., Face]) -> None:
    primary, replica = pair
    there = face(replica, deadline=0.3)
    with pytest.raises(ServerRefused, match=rf"a replica of \S+:{primary.port}; connect to the primary, or promote"):
        there.run(there.records.get("k"))


def test_a_server_that_becomes_a_replica_loses_all_connections(
    pair: tuple[Server, Server], face: Callable[..., Face]
) -> None:
    old, new = pair
    here = face(old)
    here.together(lambda: here.records.entries.increment("k", "n"))
    assert here.engine.status().connections > 1
    new.promote()
    old.replica_of(new)
    promoter = threading.Timer(0.5, old.promote)
    promoter.start()
    here.run(here.records.increment("k", "n"))
    promoter.join()
    assert here.engine.status().connections == 1
    with old.client() as client:
        eventually(lambda: len(client.client_list(_type="normal")) == 2, "only the new connection, and this one")
