"""What an application relies on, state by state and cache by cache, from two containers.

Part of the test suite, and a program of its own: ``python tests/test_redis_migrations.py`` checks the server that
``REDIS_URL`` or ``REDIS_HOST`` names, or else an embedded one. Each container is a process. It ends with
``ALL TESTS PASSED!`` and exit code 0, or names what failed and ends with exit code 1.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run from a checkout, where Python looks into this folder first
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from redis_state import AlreadyClaimed, AlreadyDone, Engine, RedisStateError, redis_client
from redis_state.cache import CacheEntry, WriteStats, text_cache, upload_stats, voice_access_tracker, word_timing_cache
from redis_state.state import RedisProgressState, conversion_state, download_state, progress_state, upload_state
from redis_state.state_manager import RedisStateManager
from tests.support.pair import CHECKS, Check, check, mine, raised, report, two_containers

AT_ONCE = 1.0  # seconds that a server has to answer at all
BANNER = """\
ALL TESTS PASSED!
Redis migrations successful. All state managers working correctly.
Ready for multi-container deployment!"""

HOUR = 3600.0
NOW = 1_700_000_000.0
FAR = 4_000_000_000.0

hands: dict[str, Any] = {}  # what a container keeps between its turns


def manager() -> RedisStateManager:
    return RedisStateManager(mine("migrations"))


# --- in turns: the first container, the second, the first, ... --------------------------------------


@check(turns=2)
def the_server_answers(turn: int) -> None:
    assert redis_client.ping() is True


def dicts(key: str) -> dict[str, tuple[Any, Any, float]]:
    """Each mapping: what is written into it under ``key``, and how many seconds that lives."""
    text = CacheEntry("words", 5, created_at=NOW, last_accessed=NOW, access_count=1, file_mtime_ns=7, expires_at=FAR)
    written = WriteStats(key, status="writing", path="a.wav", queued_at=NOW, bytes_written=1024, chunks_written=1)
    timing = {"timings": [{"word": "hello", "start": 0.0}], "computed_at": NOW}
    conversion = {"track_id": "t", "started_at": NOW, "status": "converting"}
    return {
        "progress": (progress_state.segment_progress, {"total_segments": 100, "processed_segments": 50}, 2 * HOUR),
        "conversion": (conversion_state.active_conversions, conversion, HOUR),
        "download": (download_state.active_downloads, {"path": "a.mp3", "bytes_sent": 0}, HOUR),
        "manager": (RedisStateManager("migrations").sessions, {"user": "ann", "steps": [1, 2]}, HOUR),
        "text cache": (text_cache.cache, text, 24 * HOUR),
        "word timing cache": (word_timing_cache.cache, timing, 24 * HOUR),
        "upload stats": (upload_stats.file_stats, written, 2 * HOUR),
    }


def as_a_dict(name: str, turn: int) -> None:
    key = mine("a file")
    mapping, value, lives = dicts(key)[name]
    if turn == 0:
        mapping[key] = value
    elif turn == 1:
        found = mapping.get(key)
        assert getattr(found, "content", found) == getattr(value, "content", value)
        assert key in mapping
        assert lives - 600 < mapping.ttl(key) <= lives
    elif turn == 2:
        del mapping[key]
    else:
        assert key not in mapping
        assert mapping.get(key) is None


CHECKS += [Check(f"{name} as a dict", partial(as_a_dict, name), 4) for name in dicts("")]


@check(turns=4)
def manager_sessions(turn: int) -> None:
    one = manager()
    assert one.container_id == f"container-{turn % 2 + 1}"
    if turn == 0:
        assert one.create_session("s", {"user": "ann", "step": 1}, ttl=3600) is True
    elif turn == 1:
        assert one.create_session("s", {"user": "bob"}) is False
        assert one.get_session("s") == {"user": "ann", "step": 1}
        assert one.update_session("s", {"step": 2}) is True
        assert one.update_session("none", {"step": 2}) is False
    elif turn == 2:
        assert one.get_session("s") == {"user": "ann", "step": 2}
        assert one.get_session("none") is None
        assert one.delete_session("s") is True
    else:
        assert one.get_session("s") is None
        assert one.delete_session("s") is False


@check(turns=3)
def progress_by_segments(turn: int) -> None:
    state, track = RedisProgressState(container_id=f"container-{turn % 2 + 1}"), mine("marked")
    if turn == 0:
        state.begin(track, 3)
        state.mark(track, 0)
        state.mark(track, 1)
    elif turn == 1:
        assert state.mark(track, 1).processed == 2
        assert state.mark(track, 2).completed_now
        assert state.confirm_completion(track) is True
    else:
        assert not state.mark(track, 2).completed_now


@check(turns=4)
def conversion_claims_and_locks(turn: int) -> None:
    conversion, lock = mine("claimed"), conversion_state.lock(mine("lock"))
    if turn == 0:
        hands["claim"] = conversion_state.claim(conversion, {"track_id": "t"})
        hands["lock"] = lock.acquire()
    elif turn == 1:
        assert raised(AlreadyClaimed, lambda: conversion_state.claim(conversion)).args
        assert lock.acquire(timeout=0) is None
    elif turn == 2:
        hands["claim"].finish("a file")
        hands["lock"].release()
    else:
        assert raised(AlreadyDone, lambda: conversion_state.claim(conversion)).result == "a file"
        with conversion_state.lock(mine("lock"), timeout=0):
            assert conversion_state.active_conversions[conversion]["status"] == "completed"


@check(turns=4)
def upload_by_chunks(turn: int) -> None:
    upload = mine("upload")
    if turn == 0:
        session = {"upload_id": upload, "filename": "a.wav", "total_size": 25, "chunk_size": 10}
        assert upload_state.create_session(session) == upload
        assert upload_state.accept_chunk(upload, 0, 10).outcome == "accepted"
    elif turn == 1:
        session = upload_state.get_session(upload) or {}
        assert (session["filename"], session["bytes_received"]) == ("a.wav", 10)
        assert upload_state.accept_chunk(upload, 0, 10).outcome == "duplicate"
        assert upload_state.accept_chunk(upload, 2, 5).complete is False
        assert upload_state.missing(upload) == [range(1, 2)]
    elif turn == 2:
        assert upload_state.accept_chunk(upload, 1, 10).completed_now
        with upload_state.claim_assembly(upload):
            assert upload_state.update_session(upload, {"filename": "b.wav"}) is True
    else:
        session = upload_state.get_session(upload) or {}
        assert (session["filename"], session["status"]) == ("b.wav", "stored")
        assert upload_state.delete_session(upload) is True
        assert upload_state.get_session(upload) is None


@check(turns=3)
def download_by_ranges(turn: int) -> None:
    download = mine("download")
    if turn == 0:
        assert download_state.begin(download, {"total_bytes": 100, "owner": mine("ann")}).bytes_sent == 0
        assert download_state.advance(download, 0, 60).bytes_sent == 60
    elif turn == 1:
        assert download_state.active(mine("ann")) == 1
        assert download_state.advance(download, 50, 50).bytes_sent == 100
        assert download_state.finish(download).status == "finished"
    else:
        assert download_state.active_downloads[download]["bytes_sent"] == 100
        assert download_state.active(mine("ann")) == 0


@check(turns=3)
def text_cache_loads_once(turn: int) -> None:
    if turn == 0:
        assert text_cache.get_or_load(mine("text"), lambda: "words") == "words"
    elif turn == 1:
        assert text_cache.get_or_load(mine("text"), lambda: "never asked") == "words"
        assert text_cache.drop(mine("text")) is True
    else:
        assert text_cache.get(mine("text")) is None


@check(turns=2)
def word_timing_cache_computes_once(turn: int) -> None:
    name = mine("track:voice")
    assert word_timing_cache.get_or_compute(name, lambda: [turn, [0.0, 0.4]]) == [0, [0.0, 0.4]]


@check(turns=3)
def voice_access_tracker_counts(turn: int) -> None:
    track = mine("track")
    if turn < 2:
        for segment in (1, 2 + turn):
            voice_access_tracker.record_segment_access(track, "anna", segment)
    else:
        activity = voice_access_tracker.get_voice_activity(track, "anna")
        assert activity is not None
        assert (activity.access_count, activity.unique_segments) == (4, 3)
        assert voice_access_tracker.active_voices(track) == ["anna"]
        assert voice_access_tracker.get_voice_activity(track, "bruno") is None


@check(turns=3)
def upload_stats_count(turn: int) -> None:
    assert upload_stats.add_bytes(mine("counted"), 1000).bytes_written == 1000 * (turn + 1)


# --- races ------------------------------------------------------------------------------------------


@check(2, lambda answers: answers == [400, 400])
def no_increment_is_lost(turn: int) -> int:
    records, track, deadline = progress_state.segment_progress, mine("counted"), time.monotonic() + 30
    records.setdefault(track, {"n": 0})
    for _ in range(200):
        records[track]["n"] += 1
    while records[track]["n"] < 400 and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(records[track]["n"])


@check(2, lambda answers: sum(answers) == 100)
def one_of_two_creates(turn: int) -> int:
    return sum(manager().create_session(f"race-{n}", {"by": turn}) for n in range(100))


@check(2, lambda answers: sum(answers) == 1)
def one_of_two_hears_of_the_completion(turn: int) -> int:
    progress_state.begin(mine("race"), 100)
    return sum(progress_state.mark(mine("race"), n).completed_now for n in range(100))


@check(2, lambda answers: sum(answers) == 20)
def one_of_two_loads_a_text(turn: int) -> int:
    loads: list[int] = []
    for n in range(20):
        text_cache.get_or_load(mine(f"race-{n}"), lambda: loads.append(1) or "a text")  # type: ignore[func-returns-value]
    return len(loads)


# --- the program ------------------------------------------------------------------------------------


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        if not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_HOST")):
            os.environ["REDIS_URL"] = f"embedded://{directory}"
        try:
            engine = Engine.from_env(deadline=AT_ONCE)
            RedisStateManager("migrations", engine=engine).get_session("none")
        except RedisStateError as error:
            print(f"FAILED  the server answers: {' '.join(str(error).split())}")
            return 1
        with engine, two_containers() as pair:
            failed = report(pair)
    print(f"{len(failed)} FAILED: {'; '.join(failed)}" if failed else BANNER)
    return 1 if failed else 0


# --- as tests -----------------------------------------------------------------------------------------


def test_two_containers_share_every_state_and_cache(server: Any, prefix: str) -> None:
    with two_containers(REDIS_URL=server.url, REDIS_STATE_PREFIX=prefix) as pair:
        for one in CHECKS:
            one.run(pair)


if __name__ == "__main__":
    sys.exit(main())
