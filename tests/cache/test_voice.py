"""Accesses to voices: counted, listed, forgotten, in bounded memory."""

from __future__ import annotations

import time
from typing import Any

import pytest

from redis_state import Engine
from redis_state.cache import RedisVoiceAccessTracker
from tests.support.servers import Server


@pytest.fixture
def tracker(engine: Engine) -> RedisVoiceAccessTracker:
    return RedisVoiceAccessTracker(engine=engine)


def test_accesses_are_counted(tracker: RedisVoiceAccessTracker) -> None:
    before = time.time()
    for count, segment in enumerate([3, 1, 3, 2, 3], start=1):
        assert tracker.record_segment_access("track", "voice", segment) == count
    activity = tracker.get_voice_activity("track", "voice")
    assert activity is not None
    assert (activity.track_id, activity.voice_id) == ("track", "voice")
    assert (activity.access_count, activity.unique_segments) == (5, 3)
    assert activity.recent_segments == (3, 2, 1)
    assert before - 1 < activity.first_accessed < activity.last_accessed < time.time() + 1


def test_a_voice_nobody_heard_is_none(tracker: RedisVoiceAccessTracker) -> None:
    assert tracker.get_voice_activity("track", "voice") is None
    assert tracker.active_voices("track") == []
    assert tracker.idle_since(0) == []


def test_segments_keep_their_type(tracker: RedisVoiceAccessTracker) -> None:
    for segment in (5, "5", "intro"):
        tracker.record_segment_access("t", "v", segment)
    activity = tracker.get_voice_activity("t", "v")
    assert activity is not None
    assert activity.recent_segments == ("intro", "5", 5)
    assert activity.unique_segments == 3


@pytest.mark.parametrize("bad", [None, 1.5, [], {}])
def test_a_segment_is_a_number_or_a_text(tracker: RedisVoiceAccessTracker, bad: Any) -> None:
    with pytest.raises(TypeError, match="segment_id"):
        tracker.record_segment_access("t", "v", bad)
    with pytest.raises(TypeError, match="a voice.s name is a string"):
        tracker.record_segment_access("t", 5, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("track", ["t", "a:b", "a%3Ab", "%", "ü:☃", "", ":"])
def test_names_may_hold_anything(tracker: RedisVoiceAccessTracker, track: str) -> None:
    for voice in ("v", "v:w", "%3A"):
        tracker.record_segment_access(track, voice, 1)
    assert tracker.active_voices(track) == ["%3A", "v:w", "v"]
    assert tracker.idle_since(0) == [(track, "v"), (track, "v:w"), (track, "%3A")]


def test_tracks_do_not_meet(tracker: RedisVoiceAccessTracker) -> None:
    tracker.record_segment_access("a", "b:c", 1)
    assert tracker.get_voice_activity("a:b", "c") is None
    assert tracker.active_voices("a:b") == []


def test_voices_are_active_or_idle(tracker: RedisVoiceAccessTracker) -> None:
    tracker.record_segment_access("t", "early", 1)
    time.sleep(1.2)
    tracker.record_segment_access("t", "late", 1)
    tracker.record_segment_access("u", "late", 1)
    assert tracker.active_voices("t", within=1.0) == ["late"]
    assert tracker.active_voices("t") == ["late", "early"]
    assert tracker.idle_since(1.1) == [("t", "early")]
    with pytest.raises(ValueError, match="within=0: seconds, above 0"):
        tracker.active_voices("t", within=0)


def test_a_voice_is_forgotten(engine: Engine, server: Server) -> None:
    tracker = RedisVoiceAccessTracker(engine=engine, ttl=2.0)
    tracker.record_segment_access("t", "gone", 1)
    time.sleep(1.2)
    tracker.record_segment_access("u", "between", 1)  # so that what lists the voices is still there
    time.sleep(1.2)
    assert tracker.get_voice_activity("t", "gone") is None
    tracker.record_segment_access("t", "here", 1)
    assert tracker.active_voices("t", within=60) == ["here"]
    assert [voice for _, voice in tracker.idle_since(0)] == ["between", "here"]
    with server.client() as client:
        assert client.zcard(tracker.voices.keys.all("voices")[0]) == 2  # it takes no memory any more


def test_partitions_keep_a_track_together(server: Server, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix, partitions=8) as engine:
        tracker = RedisVoiceAccessTracker(engine=engine)
        for n in range(40):
            tracker.record_segment_access(f"track-{n % 10}", f"voice-{n}", n)
        assert tracker.active_voices("track-3") == ["voice-33", "voice-23", "voice-13", "voice-3"]
        assert len(tracker.idle_since(0)) == 40


def test_a_voice_takes_bounded_memory_and_counts_on(
    engine: Engine, tracker: RedisVoiceAccessTracker, server: Any
) -> None:
    voices = tracker.voices
    engine.run_all([voices.record("t", "v", n) for n in range(512)])
    activity = tracker.get_voice_activity("t", "v")
    assert activity is not None
    assert activity.unique_segments == 512
    engine.run_all([voices.record("t", "v", n) for n in range(512, 5000)])
    activity = tracker.get_voice_activity("t", "v")
    assert activity is not None
    assert activity.access_count == 5000
    assert activity.unique_segments == pytest.approx(5000, rel=0.04)
    assert activity.recent_segments == tuple(range(4999, 4979, -1))
    with server.client() as client:
        taken = sum(client.memory_usage(key) for key in client.keys("*") if ":c:" not in key)
    assert taken < 150_000
    engine.run_all([voices.record("t", "v", n % 100) for n in range(5000, 5500)])
    after = tracker.get_voice_activity("t", "v")
    assert after is not None
    assert after.unique_segments == pytest.approx(5000, rel=0.04)


def _heard(engine: Engine, rank: int) -> None:
    tracker = RedisVoiceAccessTracker(engine=engine)
    for n in range(100):
        tracker.record_segment_access("t", "v", n)


def test_eight_processes_lose_no_access(engine: Engine, tracker: RedisVoiceAccessTracker, process_pool: Any) -> None:
    process_pool.race(engine, _heard)
    activity = tracker.get_voice_activity("t", "v")
    assert activity is not None
    assert (activity.access_count, activity.unique_segments) == (800, 100)
