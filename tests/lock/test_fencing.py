"""The examples of docs/fencing.md, run as they stand, with holders that come back too late."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_state import Engine, Held, RedisStateManager, StaleToken
from redis_state.state import RedisConversionState
from tests.support import ROOT

PAGE = ROOT / "docs" / "fencing.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of the wheel")


@pytest.fixture
def state(engine: Engine) -> RedisConversionState:
    return RedisConversionState("c1", engine)


@pytest.fixture
def examples(state: RedisConversionState, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Run every example, and give out what they defined."""
    with sqlite3.connect(tmp_path / "database") as database:
        database.execute("CREATE TABLE audio (track TEXT PRIMARY KEY, content, fence INTEGER NOT NULL)")
        names: dict[str, Any] = {
            "conversion_state": state,
            "database": database,
            "audio_file": tmp_path / "audio",
            "StaleToken": StaleToken,
            "fcntl": fcntl,
            "os": os,
        }
        blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert len(blocks) == 3
        for block in blocks:
            exec(block, names)
        yield names
    database.close()


@pytest.fixture
def old_and_new(state: RedisConversionState) -> tuple[Held, Held]:
    """Two holders, of whom the first was away for longer than its lease."""
    old = state.lock("track-7", lease=0.05, auto_renew=False).acquire()
    time.sleep(0.08)
    new = state.lock("track-7").acquire(timeout=0)
    assert old is not None
    assert new is not None
    return old, new


def test_the_record_example(examples: dict[str, Any], old_and_new: tuple[Held, Held]) -> None:
    old, new = old_and_new
    conversions = examples["conversion_state"].active_conversions
    assert conversions["track-7"] == {"status": "converting", "percent": 40}
    for fence in (old, old.fence):
        with pytest.raises(StaleToken):
            conversions.patch("track-7", {"percent": 99}, fence=fence)
    assert conversions.patch("track-7", {"percent": 50}, fence=new)
    assert conversions["track-7"]["percent"] == 50


def test_the_database_example(examples: dict[str, Any], old_and_new: tuple[Held, Held]) -> None:
    database, save = examples["database"], examples["save"]
    old, new = old_and_new
    save(database, "track-7", "by the old holder, in time", old.fence)
    save(database, "track-7", "new", new.fence)
    save(database, "track-7", "newer", new.fence)
    with pytest.raises(StaleToken) as caught:
        save(database, "track-7", "late", old.fence)
    assert (caught.value.token, caught.value.newest) == (old.fence, new.fence)
    assert database.execute("SELECT * FROM audio").fetchall() == [("track-7", "newer", new.fence)]


def test_the_file_example(examples: dict[str, Any], old_and_new: tuple[Held, Held]) -> None:
    path, save_file = examples["audio_file"], examples["save_file"]
    old, new = old_and_new
    assert path.read_bytes() == b"the audio"
    save_file(path, b"new", new.fence)
    with pytest.raises(StaleToken) as caught:
        save_file(path, b"late", old.fence)
    assert (caught.value.token, caught.value.newest) == (old.fence, new.fence)
    assert path.read_bytes() == b"new"
    assert sorted(found.name for found in path.parent.glob("audio*")) == ["audio", "audio.fence"]


def test_a_session_can_be_fenced(engine: Engine, old_and_new: tuple[Held, Held]) -> None:
    old, new = old_and_new
    manager = RedisStateManager("conversion", "c1", engine)
    assert manager.create_session("track-7", {"n": 1})
    with pytest.raises(StaleToken):
        manager.update_session("track-7", {"n": 2}, fence=old)
    assert manager.update_session("track-7", {"n": 3}, fence=new)
    assert manager.get_session("track-7") == {"n": 3}


def test_a_lock_from_elsewhere_is_known_by_its_writes_only(engine: Engine, old_and_new: tuple[Held, Held]) -> None:
    old, new = old_and_new
    manager = RedisStateManager("elsewhere", "c1", engine)
    manager.create_session("a", {"n": 1})
    with pytest.raises(ValueError, match=r"pass the bare token \(fence=held.fence\)"):
        manager.update_session("a", {"n": 2}, fence=old)
    assert manager.update_session("a", {"n": 2}, fence=old.fence)
    assert manager.update_session("a", {"n": 3}, fence=new.fence)
    with pytest.raises(StaleToken):
        manager.update_session("a", {"n": 4}, fence=old.fence)
