"""Bytes and chunks are counted as a plain dict would count them, however calls are lost and repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from redis_state import UnsupportedType
from redis_state.cache import RedisUploadStats, WriteStats

files = st.sampled_from(["a", "b", "{c}:d"])
counts = st.integers(-9, 10**6) | st.sampled_from([0, 2**53 - 1, 1 - 2**53])


class Stats(Machine):
    """Statistics, and how many seconds each has left."""

    indexed = "r"

    def start(self) -> None:
        self.real = RedisUploadStats("me", self.engine, TTL)
        self.other = RedisUploadStats("you", self.observer, TTL)
        self.model: dict[str, WriteStats] = {}
        self.ttls: dict[str, float] = {}
        self.left: dict[str, float] = {}
        self.spoiled: set[str] = set()

    def older(self, seconds: float) -> None:
        self.left = {file: left - seconds for file, left in self.left.items()}
        for file in [file for file, left in self.left.items() if left < 0]:
            self.forget(file)

    @rule(file=files, by=counts, chunks=counts)
    def add(self, file: str, by: int, chunks: int) -> None:
        if file in self.spoiled:
            with self.refused(UnsupportedType):
                self.real.add_bytes(file, by, chunks)
            return
        old = self.model.get(file, WriteStats(file))
        new = replace(old, bytes_written=old.bytes_written + by, chunks_written=old.chunks_written + chunks)
        assert self.real.add_bytes(file, by, chunks) == new
        self.model[file] = new
        self.left[file] = self.ttls.setdefault(file, TTL)

    @rule(file=files, count=counts, status=st.sampled_from(["queued", "done"]), ttl=st.sampled_from([TTL, 2600.0]))
    def put(self, file: str, count: int, status: str, ttl: float) -> None:
        self.model[file] = WriteStats(file, status, "/path", 1.5, count, 7)
        self.real.file_stats.engine.run(self.real.file_stats.entries.put(file, self.model[file], ttl=ttl))
        self.left[file] = self.ttls[file] = ttl
        self.spoiled.discard(file)

    @rule(file=files, field=st.sampled_from(["bytes_written", "chunks_written"]), what=st.sampled_from(["x", 1.5, []]))
    def spoil(self, file: str, field: str, what: Any) -> None:
        """Let somebody write what is no whole number."""
        assert self.engine.run(self.real.file_stats.entries.patch(file, {field: what})) is (file in self.model)
        if file in self.model:
            self.spoiled.add(file)
            self.left[file] = self.ttls[file]

    @rule(file=files)
    def pop(self, file: str) -> None:
        found = self.real.file_stats.pop(file, None)
        if file not in self.spoiled:
            assert found == self.model.get(file)
        self.forget(file)

    def forget(self, file: str) -> None:
        self.model.pop(file, None)
        self.left.pop(file, None)
        self.ttls.pop(file, None)
        self.spoiled.discard(file)

    def agrees(self, snapshot: Snapshot) -> None:
        found = dict(self.other.file_stats.items())
        assert found.keys() == self.model.keys()
        assert all(found[name] == stats for name, stats in self.model.items() if name not in self.spoiled)
        assert all(near(seen.left, self.left[name]) for name, seen in snapshot.of("r").items())
        assert all(seen.holds["@owner"] == "me" for seen in snapshot.of("r").values())


@everywhere
def test_statistics_equal_their_model(kind: str) -> None:
    run(Stats, kind, examples=20)
