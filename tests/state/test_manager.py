"""Sessions with a time to live and an owner."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from redis_state import Engine, RedisStateManager, StaleToken, configure, default_engine
from redis_state.config import container_id
from redis_state.engine import default
from tests.support.servers import Server

FIRST = """
from redis_state.state_manager import RedisStateManager
from redis_state.state import progress_state
from redis_state import redis_client

assert redis_client.ping() is True
manager = RedisStateManager("my_namespace", container_id="container-1")
assert manager.create_session("key", {"user": "ann", "step": 1}, ttl=3600) is True
assert manager.get_session("key") == {"user": "ann", "step": 1}

track_id = "track-1"
progress_state.segment_progress[track_id] = {"total_segments": 100, "processed_segments": 50}
assert progress_state.segment_progress.get("another") is None
"""

SECOND = """
from redis_state.state_manager import RedisStateManager
from redis_state.state.progress import RedisProgressState

manager = RedisStateManager("my_namespace", container_id="container-2")
assert manager.create_session("key", {"user": "bob"}) is False
assert manager.get_session("key") == {"user": "ann", "step": 1}
assert manager.update_session("key", {"step": 2}) is True
assert manager.get_session("key") == {"user": "ann", "step": 2}
assert manager.owner("key") == "container-1"
assert manager.delete_session("key") is True
assert manager.get_session("key") is None

container2 = RedisProgressState(container_id="container-2")
data = container2.segment_progress.get("track-1")
assert data == {"total_segments": 100, "processed_segments": 50}
data["processed_segments"] += 1
container1 = RedisProgressState(container_id="container-1")
assert container1.segment_progress.get("track-1")["processed_segments"] == 51
"""


@pytest.fixture
def manager(engine: Engine) -> RedisStateManager:
    return RedisStateManager("sessions", container_id="c1", engine=engine)


@pytest.fixture
def other(engine: Engine) -> RedisStateManager:
    return RedisStateManager("sessions", container_id="c2", engine=engine)


def run(program: str, **variables: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "CONTAINER_ID"))}
    subprocess.run([sys.executable, "-c", program], env={**kept, **variables}, check=True, timeout=60)


def test_two_processes_share_what_the_environment_names(server: Server, prefix: str) -> None:
    for program in (FIRST, SECOND):
        run(program, REDIS_URL=server.url, REDIS_STATE_PREFIX=prefix)


def test_one_of_two_creates(manager: RedisStateManager, other: RedisStateManager) -> None:
    assert manager.create_session("k", {"n": 1}, ttl=50) is True
    assert other.create_session("k", {"n": 2}, ttl=500) is False
    assert other.get_session("k") == {"n": 1}
    assert manager.sessions.ttl("k") <= 50  # type: ignore[operator]


def test_a_session_lives_an_hour_unless_told_otherwise(manager: RedisStateManager) -> None:
    manager.create_session("k", {})
    assert 3590 < manager.sessions.ttl("k") <= 3600  # type: ignore[operator]


def test_an_update_merges_and_renews(manager: RedisStateManager, other: RedisStateManager) -> None:
    manager.create_session("k", {"a": 1, "b": 1}, ttl=500)
    assert other.update_session("k", {"b": 2, "c": 3}) is True
    assert manager.get_session("k") == {"a": 1, "b": 2, "c": 3}
    assert 490 < manager.sessions.ttl("k") <= 500  # type: ignore[operator]


def test_what_is_absent_is_neither_updated_nor_deleted(manager: RedisStateManager) -> None:
    assert manager.get_session("k") is None
    assert manager.update_session("k", {"n": 1}) is False
    assert manager.delete_session("k") is False
    assert manager.owner("k") is None
    assert len(manager.sessions) == 0


def test_a_deleted_session_can_be_created_anew(manager: RedisStateManager, other: RedisStateManager) -> None:
    manager.create_session("k", {"n": 1})
    assert manager.delete_session("k") is True
    assert other.create_session("k", {"n": 2}) is True
    assert manager.owner("k") == "c2"


def test_the_creator_owns_a_session_whoever_writes_it(manager: RedisStateManager, other: RedisStateManager) -> None:
    manager.create_session("k", {"n": 1})
    other.update_session("k", {"n": 2})
    other.sessions["k"]["n"] += 1
    other.sessions.mutate("k", lambda fields: fields.update(n=5))
    assert manager.owner("k") == "c1"


def test_sessions_are_listed_by_owner(manager: RedisStateManager, other: RedisStateManager) -> None:
    for n in range(600):
        (manager if n % 3 else other).create_session(f"k{n}", {"n": n})
    assert sorted(manager.owned_by("c2")) == sorted(f"k{n}" for n in range(0, 600, 3))
    assert len(other.owned_by("c1")) == 400
    assert manager.owned_by("nobody") == []


def test_an_owner_is_the_container_of_the_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = RedisStateManager("sessions", engine=engine)
    monkeypatch.setenv("CONTAINER_ID", "blue")
    container_id.cache_clear()
    try:
        manager.create_session("k", {})
        assert manager.container_id == manager.owner("k") == "blue"
    finally:
        container_id.cache_clear()


def test_an_update_can_be_fenced(manager: RedisStateManager) -> None:
    manager.create_session("k", {"n": 1})
    assert manager.update_session("k", {"n": 2}, fence=5)
    with pytest.raises(StaleToken):
        manager.update_session("k", {"n": 3}, fence=4)
    assert manager.get_session("k") == {"n": 2}


def test_namespaces_are_apart(engine: Engine, manager: RedisStateManager) -> None:
    manager.create_session("k", {"n": 1})
    assert RedisStateManager("others", engine=engine).get_session("k") is None


def test_ready_made_objects_follow_the_configured_server(
    server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_engine", "_configured"):
        monkeypatch.setattr(default, name, None)
    manager = RedisStateManager("sessions", container_id="c1")
    for name in ("one", "two"):
        configure(server.url, prefix=f"{prefix}{name}")
        assert manager.create_session("k", {"in": name}) is True
    assert manager.get_session("k") == {"in": "two"}
    configure(server.url, prefix=f"{prefix}one")
    assert manager.get_session("k") == {"in": "one"}
    default_engine().close()


def create(engine: Engine, rank: int) -> list[bool]:
    manager = RedisStateManager("race", container_id=f"c{rank}", engine=engine)
    return [manager.create_session(f"k{n}", {"by": rank}) for n in range(40)]


def update(engine: Engine, rank: int) -> list[bool]:
    manager = RedisStateManager("race", container_id=f"c{rank}", engine=engine)
    return [manager.update_session("k0", {f"by{rank}": n}) for n in range(40)]


def test_of_eight_creators_one_succeeds_and_no_update_is_lost(process_pool: Any, engine: Engine) -> None:
    created = process_pool.race(engine, create)
    assert [sum(answers) for answers in zip(*created, strict=True)] == [1] * 40
    manager = RedisStateManager("race", engine=engine)
    assert sum(len(manager.owned_by(f"c{rank}")) for rank in range(process_pool.size)) == 40
    process_pool.race(engine, update)
    assert all(manager.get_session("k0")[f"by{rank}"] == 39 for rank in range(process_pool.size))  # type: ignore[index]
