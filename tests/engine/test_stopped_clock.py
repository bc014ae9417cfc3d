"""An application's tests may stop its clock: what we wait for ends all the same."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import redis_state
from redis_state import Engine, Locks, ServerUnavailable, ValueMapping
from tests.support.servers import Server

PACKAGE = Path(redis_state.__file__).parent
APART = {"clock.py", "engine/_supervisor.py"}  # the one that all others use, and a program of its own


def test_all_of_us_go_by_one_clock() -> None:
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        if name not in APART and not name.startswith("demo/"):
            found = re.search(r"from time import .*\bmonotonic\b|\btime\.monotonic\b", file.read_text())
            assert found is None, f"{name} goes by a clock that tests may stop: use redis_state.clock"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop ``time.monotonic`` wherever it is, as freezegun does."""
    real = time.monotonic

    def frozen() -> float:
        return 1_577_836_800.0

    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "redis_state":
            for attribute, value in list(vars(module).items()):
                if value is real:
                    monkeypatch.setattr(module, attribute, frozen)
    monkeypatch.setattr(time, "monotonic", frozen)


def ends(work: Any) -> Any:
    """Return what some work returns; fail when it has not ended after a while."""
    told: list[Any] = []
    working = Thread(target=lambda: told.append(work()), daemon=True)
    working.start()
    working.join(30)
    assert told, "it does not end"
    return told[0]


@pytest.mark.usefixtures("stopped")
def test_a_wait_for_a_lock_ends(server: Server, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix) as engine:
        locks = Locks("stopped", engine=engine)
        taken = locks.lock("a", lease=20).acquire(0)
        assert taken is not None
        assert 10 < taken.remaining() <= 20
        assert ends(lambda: (locks.lock("a", timeout=0.3).acquire(),)) == (None,)
        taken.release()


@pytest.mark.usefixtures("stopped")
def test_a_call_to_no_server_ends(prefix: str) -> None:
    def call() -> bool:
        with Engine.from_url("redis://127.0.0.1:1", prefix=prefix, deadline=0.5) as engine:
            try:
                ValueMapping("v", ttl=60, engine=engine).get("a")
            except ServerUnavailable:
                return True
            return False

    assert ends(call)


def test_a_write_over_a_connection_from_before_arrives(
    server: Server, prefix: str, request: pytest.FixtureRequest
) -> None:
    with Engine.from_url(server.url, prefix=prefix) as engine:
        values = ValueMapping("v", ttl=60, engine=engine)
        values["a"] = 1
        request.getfixturevalue("stopped")
        values["a"] = 2
        assert values["a"] == 2
