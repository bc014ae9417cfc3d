"""Downloads say and count what plain sets of bytes do, and owners are held to their limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import QUANTUM, TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from redis_state import ChunkOutOfRange, QuotaExceeded, UnknownSession
from redis_state.state import RedisDownloadState
from redis_state.transfer.downloads import Download

MOST = 2  # active downloads of an owner
names = st.sampled_from(["a", "b", "c", "{d}"])
owners = st.sampled_from([None, "ann", "bob b"])
offsets = st.sampled_from([0, 5, 10]) | st.integers(0, 41)
totals = st.none() | st.sampled_from([0, 40, 41])


@dataclass
class Model:
    total: int | None
    owner: str | None
    sent: set[int] = field(default_factory=set)
    finished: bool = False
    left: float = TTL
    marks: list[tuple[float, int]] = field(default_factory=list)  # seconds ago, and what was sent by then

    @property
    def offset(self) -> int:
        return next(place for place in range(1000) if place not in self.sent)

    def written(self) -> None:
        self.left = TTL
        now = 0.0, len(self.sent)
        if not self.marks:
            self.marks = [now, now]
        elif self.marks[1][0] >= QUANTUM:
            self.marks = [self.marks[1], now]

    def older(self, seconds: float) -> None:
        self.left -= seconds
        self.marks = [(ago + seconds, sent) for ago, sent in self.marks]

    def told(self, download: Download, timely: bool) -> bool:
        ago, before = self.marks[0]
        rate = (len(self.sent) - before) / ago if ago and timely else download.rate
        state = "finished" if self.finished else "active"
        plain = download.bytes_sent, download.offset, download.total_bytes, download.status
        return plain == (len(self.sent), self.offset, self.total, state) and abs(download.rate - rate) <= rate / 2


class Downloads(Machine):
    """Some downloads of some owners."""

    indexed = "r"

    def start(self) -> None:
        self.real = RedisDownloadState("me", self.engine, TTL, max_active_per_owner=MOST)
        self.other = RedisDownloadState("you", self.observer, TTL)
        self.model: dict[str, Model] = {}

    def stock(self) -> None:
        self.begin_one("a", None, None)
        self.advance("a", 10, 5)

    def older(self, seconds: float) -> None:
        for found in self.model.values():
            found.older(seconds)
        self.model = {name: found for name, found in self.model.items() if found.left > 0}

    def active(self) -> Counter[str]:
        return Counter(found.owner or "" for found in self.model.values() if not found.finished)

    @rule(name=names, total=totals, owner=owners)
    def begin_one(self, name: str, total: int | None, owner: str | None) -> None:
        data = {"total_bytes": total, "owner": owner, "title": "t"}
        found = self.model.get(name)
        resumes = found is not None and not found.finished
        other = found and resumes and None not in (found.total, total) and found.total != total
        if other or (found and resumes and total is not None and total <= max(found.sent, default=-1)):
            with self.refused(ValueError):
                self.real.begin(name, data)
            return
        if not (found and resumes and found.owner == owner) and owner and self.active()[owner] >= MOST:
            with pytest.raises(QuotaExceeded) as caught:
                self.real.begin(name, data)
            assert (caught.value.used, caught.value.limit) == (MOST, MOST)
            return
        if not found or not resumes:
            found = self.model[name] = Model(total, owner)
        found.total = found.total if total is None else total
        found.owner, found.marks = owner, []
        told = self.real.begin(name, data)
        found.written()
        assert found.told(told, self.timely)

    @rule(name=names, offset=offsets, length=st.just(5) | st.integers(0, 12))
    def advance(self, name: str, offset: int, length: int) -> None:
        found = self.model.get(name)
        if found is None:
            with self.refused(UnknownSession):
                self.real.advance(name, offset, length)
        elif found.finished:
            assert found.told(self.real.advance(name, offset, length), self.timely)
            self.refusing = True
        elif found.total is not None and offset + length > found.total:
            with self.refused(ChunkOutOfRange):
                self.real.advance(name, offset, length)
        else:
            told = self.real.advance(name, offset, length)
            found.sent |= set(range(offset, offset + length))
            found.written()
            assert found.told(told, self.timely)

    @rule(name=names)
    def go_on_for_long(self, name: str) -> None:
        """Live longer than the time that it was begun with."""
        for byte in range(3):
            self.advance(name, byte, 1)
            self.time_passes(times=1)
        self.count(None)

    @rule(name=names)
    def finish(self, name: str) -> None:
        found = self.model.get(name)
        if found is None:
            with self.refused(UnknownSession):
                self.real.finish(name)
            return
        self.refusing = found.finished
        told = self.real.finish(name)
        if not found.finished:
            found.finished = True
            found.written()
        assert found.told(told, self.timely)

    @rule(name=names)
    def remove(self, name: str) -> None:
        assert self.real.active_downloads.delete(name) is (self.model.pop(name, None) is not None)

    @rule(name=names)
    def pop(self, name: str) -> None:
        told, found = self.real.active_downloads.pop(name, None), self.model.pop(name, None)
        assert (told and told["bytes_sent"]) == (found and len(found.sent))

    @rule(owner=owners)
    def count(self, owner: str | None) -> None:
        """Count after a sweep, which leaves nothing of the dead."""
        assert self.real.active(owner) == self.active()[owner or ""]
        quota_keys = Snapshot(self.client).of("reserved")
        facts = quota_keys[""].holds if quota_keys else {}
        assert facts.keys() == {name for name, found in self.model.items() if not found.finished}

    def agrees(self, snapshot: Snapshot) -> None:
        records = snapshot.of("r")
        assert records.keys() == self.model.keys()
        for name, found in self.model.items():
            assert near(records[name].left, found.left)
            assert int(records[name].holds["bytes_sent"]) == len(found.sent)
            assert records[name].holds["status"] == ('"finished"' if found.finished else '"active"')
        quota_keys = {
            kind: seen.holds for kind in ("open", "reserved", "accounts") for seen in snapshot.of(kind).values()
        }
        facts = {name: text.partition(" ") for name, text in quota_keys.get("reserved", {}).items()}
        owned = {name: found.owner or "" for name, found in self.model.items() if not found.finished}
        assert {name: facts[name][2] for name in owned} == owned
        counted = Counter(f"n:{owner}" for bytes_, _, owner in facts.values() if bytes_ != "-")
        assert {account: int(text) for account, text in quota_keys.get("accounts", {}).items()} == counted
        assert quota_keys.get("open", {}).keys() == facts.keys()
        assert not facts.keys() & {name for name, found in self.model.items() if found.finished}


@everywhere
def test_downloads_equal_their_model(kind: str) -> None:
    run(Downloads, kind, examples=50)
