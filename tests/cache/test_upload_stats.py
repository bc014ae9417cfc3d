"""Statistics of files that are being written: a mapping, and bytes that nobody loses."""

from __future__ import annotations

import copy
import pickle
import time
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from redis_state import Engine
from redis_state.cache import CacheEntry, RedisUploadStats, WriteStats
from redis_state.errors import UnsupportedType


@pytest.fixture
def stats(engine: Engine) -> RedisUploadStats:
    return RedisUploadStats(engine=engine)


def test_what_is_put_is_read(stats: RedisUploadStats) -> None:
    now = time.time()
    one = WriteStats(file_id="f", status="writing", path="/x/ü", queued_at=now, bytes_written=1024, chunks_written=1)
    stats.file_stats["f"] = one
    assert stats.file_stats["f"] == one
    assert stats.file_stats.get("none") is None
    assert dict(stats.file_stats) == {"f": one}
    assert stats.file_stats.ttl("f") == pytest.approx(7200, abs=5)


@pytest.mark.parametrize(
    ("read", "instead"),
    [(WriteStats("f"), r"upload_stats.add_bytes\(file_id, n\)"), (CacheEntry("a"), r"text_cache.cache\[name\] = ")],
)
def test_what_was_read_says_what_to_write_in_place_of_an_assignment(read: Any, instead: str) -> None:
    name = fields(read)[-1].name
    with pytest.raises(FrozenInstanceError, match=instead):
        setattr(read, name, getattr(read, name))
    with pytest.raises(FrozenInstanceError, match=instead):
        delattr(read, name)
    assert replace(read) == read == pickle.loads(pickle.dumps(read)) == copy.deepcopy(read)


def test_bytes_are_added(stats: RedisUploadStats) -> None:
    stats.file_stats["f"] = WriteStats("f", path="/x", bytes_written=10, chunks_written=1)
    assert stats.add_bytes("f", 5) == WriteStats("f", path="/x", bytes_written=15, chunks_written=2)
    assert stats.add_bytes("f", 100, chunks=4) == stats.file_stats["f"]
    assert stats.file_stats["f"].chunks_written == 6


def test_a_missing_entry_is_created(stats: RedisUploadStats) -> None:
    assert stats.add_bytes("f", 7) == WriteStats("f", bytes_written=7, chunks_written=1)
    assert list(stats.file_stats) == ["f"]


def test_large_sums_stay_exact(stats: RedisUploadStats) -> None:
    stats.file_stats["f"] = WriteStats("f", bytes_written=2**53)
    assert stats.add_bytes("f", 1).bytes_written == 2**53 + 1


@pytest.mark.parametrize("bad", [1.5, "5", None, True, 2**60])
def test_bytes_are_whole_numbers(stats: RedisUploadStats, bad: Any) -> None:
    with pytest.raises(TypeError, match="whole number"):
        stats.add_bytes("f", bad)
    with pytest.raises(TypeError, match="WriteStats"):
        stats.file_stats["f"] = {"bytes_written": 5}  # type: ignore[assignment]


def test_what_cannot_be_added_to_is_refused(stats: RedisUploadStats) -> None:
    stats.file_stats["f"] = WriteStats("f", bytes_written="many")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedType, match="no whole numbers"):
        stats.add_bytes("f", 5)


def test_the_other_methods_of_a_dict(stats: RedisUploadStats) -> None:
    mapping = stats.file_stats
    mapping.update({"a": WriteStats("a"), "b": WriteStats("b")})
    assert mapping.setdefault("a", WriteStats("a", status="done")).status == "writing"
    assert mapping.setdefault("c", WriteStats("c", status="done")).status == "done"
    assert mapping.pop("c") == WriteStats("c", status="done")
    assert mapping.pop("c", None) is None
    assert mapping.popitem()[1].file_id in {"a", "b"}
    assert len(mapping) == 1
    assert mapping.get_many(["a", "b"]).keys() == set(mapping)


def _written(engine: Engine, rank: int) -> None:
    stats = RedisUploadStats(engine=engine)
    for _ in range(100):
        stats.add_bytes("f", 10)


def test_eight_processes_lose_no_byte(engine: Engine, stats: RedisUploadStats, process_pool: Any) -> None:
    process_pool.race(engine, _written)
    assert stats.file_stats["f"] == WriteStats("f", bytes_written=8000, chunks_written=800)
