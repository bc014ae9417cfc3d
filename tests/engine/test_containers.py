"""Redis in a container, killed and restarted under the load of several processes: everything counts once.

Run by ``make test-containers``, together with the other tests that need a server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from redis_state import Engine, LockLost, Locks, RecordMapping, StaleToken
from redis_state.state import RedisProgressState
from tests.support import containers
from tests.support.servers import Server
from tests.support.workers import in_processes

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not containers.ASKED, reason="make test-containers runs it"),
]

PROCESSES = 4
TROUBLES = 3
BETWEEN = 100  # calls that are answered between two of them
PATIENCE = 60.0  # seconds
SEGMENTS = 100_000
NAMESPACE = "guarded"


def work(url: str, stop: str, rank: int) -> dict[str, Any]:
    """Count, mark and write behind a lock until there is a file ``stop``; return what was answered."""
    counted: list[int] = []
    written: list[tuple[int, int]] = []
    marked = 0
    with Engine.from_url(url, deadline=60.0) as engine:
        counters, guarded = (
            RecordMapping("counters", ttl=600, engine=engine),
            RecordMapping(NAMESPACE, ttl=600, engine=engine),
        )
        progress, lock = RedisProgressState(engine=engine), Locks(NAMESPACE, engine).lock("a", lease=30.0)
        while not Path(stop).exists():
            counted.append(int(counters.increment("a", "n")))
            for again in range(2):  # a segment counts once
                progress.mark("track", PROCESSES * marked + rank)
                marked += again
            with suppress(StaleToken, LockLost), lock as held:  # a lease that has just begun may end in an outage
                written.append((int(guarded.increment("a", "n", fence=held)), held.fence))
    return {"counted": counted, "written": written, "marked": marked}


def await_calls(engine: Engine, wanted: int) -> None:
    end = time.monotonic() + PATIENCE
    while (RecordMapping("counters", ttl=600, engine=engine).get("a") or {"n": 0})["n"] < wanted:
        assert time.monotonic() < end, "nobody gets ahead"
        time.sleep(0.02)


def killed(server: Server) -> None:
    server.kill()
    server.start()


def restarted(server: Server) -> None:
    server.restart(keep_data=True)


def frozen(server: Server) -> None:
    server.pause()
    time.sleep(1.5)  # longer than a socket's time-out
    server.resume()


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [killed, restarted, frozen])
def test_everything_counts_once(trouble: Callable[[Server], None], tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    with Server(appendonly=True, appendfsync="no") as server, Engine.from_url(server.url) as engine:
        progress = RedisProgressState(engine=engine)
        progress.begin("track", SEGMENTS)

        def make_trouble() -> None:
            try:
                for turn in range(1, TROUBLES + 1):
                    await_calls(engine, turn * BETWEEN)
                    trouble(server)
                await_calls(engine, (TROUBLES + 1) * BETWEEN)
            finally:
                stop.touch()

        troubles = threading.Thread(target=make_trouble)
        troubles.start()
        told = in_processes(work, [(server.url, str(stop), rank) for rank in range(PROCESSES)])
        troubles.join()

        counted = [number for one in told for number in one["counted"]]
        assert sorted(counted) == list(range(1, len(counted) + 1)), "each addition is answered with a number of its own"
        assert RecordMapping("counters", ttl=600, engine=engine)["a"]["n"] == len(counted)
        written = sorted(pair for one in told for pair in one["written"])
        assert [number for number, _ in written] == list(range(1, len(written) + 1))
        fences = [fence for _, fence in written]
        assert fences == sorted(set(fences)), "writes are in the order of their tokens"
        seen = progress.get("track")
        assert seen is not None
        assert seen.processed == sum(one["marked"] for one in told)
