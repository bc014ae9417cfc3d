"""Accesses to voices are counted and remembered as a plain Python model does it, which forgets nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from redis_state.cache import RedisVoiceAccessTracker
from redis_state.cache.voice_access import RECENT, _quoted

tracks = st.sampled_from(["a", "b:c", "%"])
voices = st.sampled_from(["v", "w:x", ""])
segments = st.integers(0, 30) | st.sampled_from(["s", "0"])
spans = st.sampled_from([200.0, 600.0])
KEPT = 512  # segments that are known by name


@dataclass
class Voice:
    count: int = 0
    order: list[int | str] = field(default_factory=list)  # segments, the one accessed last at the end
    age: float = 0.0  # seconds since the last access
    first: float = 0.0  # seconds since the first one


class Voices(Machine):
    """Voices by the time of their last access, the one of longest ago first."""

    def start(self) -> None:
        self.real = RedisVoiceAccessTracker(engine=self.engine, ttl=TTL)
        self.other = RedisVoiceAccessTracker(engine=self.observer, ttl=TTL)
        self.model: dict[tuple[str, str], Voice] = {}

    def older(self, seconds: float) -> None:
        for voice in self.model.values():
            voice.age, voice.first = voice.age + seconds, voice.first + seconds
        self.model = {name: voice for name, voice in self.model.items() if voice.age < TTL}

    @rule(track=tracks, voice=voices, segment=segments)
    def access(self, track: str, voice: str, segment: int | str) -> None:
        assert self.real.record_segment_access(track, voice, segment) == self.noted(track, voice, segment)
        lists = Snapshot(self.client)  # this took the forgotten ones out of both lists, 8 at most
        assert len(lists.of("j")[_quoted(track)].holds) == sum(of == track for of, _ in self.model)
        assert len(lists.of("voices")[""].holds) <= len(self.model) + 1

    @rule(track=tracks, voice=voices, more=st.integers(1, 200), chance=st.integers(0, 9))
    def access_many(self, track: str, voice: str, more: int, chance: int) -> None:
        if chance == 9:
            some = range(1000, 1000 + KEPT - 100 + more)
            record = self.real.voices.record
            told = self.engine.run_all([record(track, voice, segment) for segment in some])
            assert told == [self.noted(track, voice, segment) for segment in some]

    def noted(self, track: str, voice: str, segment: int | str) -> int:
        found = self.model.pop((track, voice), None) or Voice()
        found.count, found.age = found.count + 1, 0.0
        if segment in found.order:
            found.order.remove(segment)
        found.order.append(segment)
        self.model[track, voice] = found
        return found.count

    @rule(track=tracks, within=spans)
    def active(self, track: str, within: float) -> None:
        expected = [voice for (of, voice), found in self.model.items() if of == track and found.age < within]
        assert self.real.active_voices(track, within) == expected[::-1]
        self.refusing = True

    @rule(seconds=spans)
    def idle(self, seconds: float) -> None:
        expected = [name for name, found in self.model.items() if found.age > seconds]
        assert self.real.idle_since(seconds) == expected
        self.refusing = True

    def agrees(self, snapshot: Snapshot) -> None:
        assert len(snapshot.of("r")) == len(self.model)
        for (track, name), voice in self.model.items():
            told = self.other.get_voice_activity(track, name)
            assert told is not None
            assert told.access_count == voice.count
            assert told.recent_segments == tuple(voice.order[: -RECENT - 1 : -1])
            assert told.unique_segments == pytest.approx(len(voice.order), abs=0 if len(voice.order) <= KEPT else 40)
            assert near(snapshot.now - told.first_accessed, voice.first)
            assert near(snapshot.now - told.last_accessed, voice.age)
            for kind in "rsg":
                seen = snapshot.of(kind)[f"{_quoted(track)}:{name}"]
                assert near(seen.left, TTL - voice.age)
        assert all(len(seen.holds) <= KEPT for seen in snapshot.of("s").values())
        for seen in (*snapshot.of("j").values(), *snapshot.of("voices").values()):
            ages = [snapshot.now - last / 1e6 for last in seen.holds.values()]
            assert near(seen.left, TTL - min(ages))


@everywhere
def test_voices_equal_their_model(kind: str) -> None:
    run(Voices, kind, examples=20)
