"""``conversion_state``: the ready-made object, as an application uses it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import redis_state
from redis_state import AlreadyClaimed, AlreadyDone, Engine
from redis_state.state import RedisConversionState, conversion_state
from tests.support.servers import Server
from tests.support.workers import in_processes


@pytest.fixture
def _default(server: Server, prefix: str) -> Iterator[None]:
    redis_state.configure(url=server.url, prefix=prefix)
    yield
    redis_state.default_engine().close()
    redis_state.configure()


@pytest.mark.usefixtures("_default")
def test_it_reads_like_a_dict() -> None:
    conversion_state.active_conversions["c1"] = {
        "track_id": "track-7",
        "started_at": time.time(),
        "status": "converting",
    }
    assert conversion_state.active_conversions["c1"]["status"] == "converting"
    assert "c1" in conversion_state.active_conversions
    assert 3590 < (conversion_state.active_conversions.ttl("c1") or 0) <= 3600
    del conversion_state.active_conversions["c1"]
    assert conversion_state.active_conversions.get("c1") is None


@pytest.mark.usefixtures("_default")
def test_the_default_object_locks_and_claims() -> None:
    with conversion_state.lock("c1", timeout=1.0, note="by hand") as held:
        assert [info.note for info in conversion_state.locks.list()] == ["by hand"]
        conversion_state.active_conversions.put("c1", {"n": 1}, fence=held)
    with conversion_state.claim("c1", {"track_id": "track-7"}) as claim:
        assert claim.container == conversion_state.container_id
        assert conversion_state.owned_by(claim.container) == ["c1"]
    with pytest.raises(AlreadyDone):
        conversion_state.claim("c1")
    assert conversion_state.stalled() == []
    assert conversion_state.retry_failed("c1") is False


def test_of_many_threads_one_converts(engine: Engine) -> None:
    def convert(place: int) -> str:
        state = RedisConversionState(f"container-{place}", engine)
        try:
            with state.claim("c1") as claim:
                time.sleep(0.05)
                claim.finish(place)
            return "converted"
        except (AlreadyClaimed, AlreadyDone) as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(convert, range(8))).count("converted") == 1


def run_once(url: str, prefix: str, place: int, log: str) -> str:
    """What a container does: convert, unless somebody does or has; then use the result."""
    with Engine.from_url(url, prefix=prefix) as engine:
        state = RedisConversionState(f"container-{place}", engine)
        while True:
            try:
                with state.claim("c1", {"by": place}) as claim:
                    with Path(log).open("a") as file:
                        file.write(f"{place}\n")
                    claim.finish(f"result of {place}")
            except AlreadyClaimed as error:
                time.sleep(min(0.01, error.remaining))
            except AlreadyDone as error:
                return str(error.result)


def test_all_containers_get_the_result_of_the_one_that_converted(server: Server, prefix: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = in_processes(run_once, [(server.url, prefix, place, str(log)) for place in range(4)])
    (winner,) = log.read_text().split()
    assert results == [f"result of {winner}"] * 4
