"""The demo: what it makes is real, what it verifies can fail, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from redis_state.demo import hls, run, verify, view
from redis_state.demo.audio import HISTORY, RATE, VOICES, Voice, read_wav, speak, synthesise, write_wav
from redis_state.demo.diary import Diary, read_diary
from redis_state.demo.hls import (
    FRAME,
    SEGMENT,
    BadMedia,
    Format,
    make_segment,
    read_playlist,
    samples_in,
    write_playlist,
)
from redis_state.demo.plan import Job, Plan
from redis_state.demo.run import Options
from redis_state.demo.shared import Shared
from redis_state.demo.verify import Evidence
from redis_state.demo.worker import Worker
from redis_state.engine import embedded
from redis_state.engine.op import command

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on PATH")
SMALL = ["--seconds", "5", "--tracks", "2", "--voices", "2", "--format", "wav"]
CLEAN = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
LENGTH = 2 * SEGMENT + 5 * FRAME  # two whole segments and a short one


def make_plan(folder: Path, *, url: str = "embedded://", format: Format = "wav", containers: int = 2) -> Plan:
    """Plan one track for two voices, and make its track and folders."""
    plan = Plan(
        url=url,
        prefix="rs:test",
        folder=folder,
        format=format,
        containers=tuple(f"container-{n}" for n in range(1, containers + 1)),
        jobs=(Job("track-1", "anna", LENGTH), Job("track-1", "bruno", LENGTH)),
        pace=0.0,
        publishing=0.0,
        completion_lease=0.2,
    )
    run.make_tracks(plan, seed=7)
    return plan


def make_all(plan: Plan, job: Job) -> list[Path]:
    paths = list(plan.segments_of(job))
    for number, path in enumerate(paths):
        make_segment(plan.track(job), job.reader, number, job.length, path)
    return paths


def whole(plan: Plan, job: Job) -> array[int]:
    """The track as the voice says it, in one piece."""
    return speak(job.reader, read_wav(plan.track(job), -HISTORY, job.length), 0)


# --- sound ------------------------------------------------------------------------------------------


def test_a_seed_makes_one_track_and_another_seed_another() -> None:
    one = synthesise("1:track-1", 3 * RATE)
    assert one == synthesise("1:track-1", 3 * RATE)
    assert one != synthesise("2:track-1", 3 * RATE)
    assert len(one) == 3 * RATE
    assert max(one) > 15_000
    assert min(one) < -15_000


def test_samples_before_and_after_a_track_are_silence(tmp_path: Path) -> None:
    write_wav(tmp_path / "t.wav", array("h", range(1, 101)))
    assert list(read_wav(tmp_path / "t.wav", -2, 3)) == [0, 0, 1, 2, 3]
    assert list(read_wav(tmp_path / "t.wav", 98, 103)) == [99, 100, 0, 0, 0]
    assert list(read_wav(tmp_path / "t.wav", 200, 202)) == [0, 0]


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_a_voice_changes_pitch_and_loudness_but_not_length(voice: Voice) -> None:
    tone = array("h", [round(20_000 * math.sin(math.tau * 400 * n / RATE)) for n in range(-HISTORY, 4 * RATE)])
    spoken = speak(voice, tone, 0)
    assert len(spoken) == 4 * RATE
    # What is left of the energy at the shifted pitch, and at the original one where that is another.
    shifted, original = (strength(spoken, 400 * (1 + shift)) for shift in (voice.shift, 0.0))
    assert shifted > 3_000
    if voice.shift:
        assert shifted > 3 * original
    else:
        assert max(spoken) == pytest.approx(voice.gain * 20_000, rel=0.01)


def strength(samples: array[int], hertz: float) -> float:
    """The strongest component within 15 Hz, from a quarter of a second each (the taps jump, so phase does too)."""
    piece = samples[RATE : RATE + RATE // 4]
    return max(
        2 * abs(sum(x * complex(math.cos(w * n), math.sin(w * n)) for n, x in enumerate(piece))) / len(piece)
        for w in (math.tau * (hertz + off) / RATE for off in range(-15, 16, 3))
    )


def test_voices_differ(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    assert whole(plan, plan.jobs[0]) != whole(plan, plan.jobs[1])


# --- segments and playlists -------------------------------------------------------------------------


@pytest.mark.parametrize("voice", ["anna", "bruno", "clara"])
def test_segments_in_a_row_are_the_track_as_the_voice_says_it(tmp_path: Path, voice: str) -> None:
    job = Job("track-1", voice, LENGTH)
    plan = replace(make_plan(tmp_path), jobs=(job,))
    run.make_tracks(plan, seed=7)
    joined = array("h")
    for path in make_all(plan, job):
        joined.extend(read_wav(path, 0, samples_in(path)))
    assert joined == whole(plan, job)


def test_a_segment_made_again_is_the_same_file(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    path = make_all(plan, plan.jobs[1])[1]
    before = path.read_bytes()
    path.unlink()
    make_all(plan, plan.jobs[1])
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [f"segment_00{n}.wav" for n in range(3)]


def test_a_playlist_lists_every_segment_with_its_true_length(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    job = plan.jobs[0]
    write_playlist(plan.playlist(job), make_all(plan, job))
    entries = read_playlist(plan.playlist(job))
    assert [name for name, _ in entries] == ["segment_000.wav", "segment_001.wav", "segment_002.wav"]
    assert [seconds for _, seconds in entries] == pytest.approx([2.048, 2.048, 0.32])
    assert sum(seconds for _, seconds in entries) == pytest.approx(job.length / RATE)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("#EXTM3U", "#EXTM4U"),
        ("#EXT-X-ENDLIST\n", ""),
        ("#EXT-X-TARGETDURATION:3", "#EXT-X-TARGETDURATION:1"),
        ("#EXT-X-TARGETDURATION:3", "#EXT-X-TARGETDURATION:many"),
        ("#EXTINF:2.048000,\nsegment_001", "segment_001"),
        ("#EXTINF:0.320000", "#EXTINF:short"),
    ],
)
def test_a_damaged_playlist_is_refused(tmp_path: Path, line: str, instead: str) -> None:
    plan = make_plan(tmp_path)
    path = plan.playlist(plan.jobs[0])
    write_playlist(path, make_all(plan, plan.jobs[0]))
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, instead))
    with pytest.raises(BadMedia, match=r"playlist\.m3u8"):
        read_playlist(path)


@pytest.mark.parametrize("kept", [0, 20, 44, 5000])
def test_a_truncated_wav_segment_is_refused(tmp_path: Path, kept: int) -> None:
    plan = make_plan(tmp_path)
    path = make_all(plan, plan.jobs[0])[0]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadMedia, match="segment_000"):
        samples_in(path)


def test_what_is_no_aac_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "segment_000.aac"
    for data in (b"", b"ID3\4\0\0\0\0\0\0", b"ID3\4\0\0\0\0\0\2xyabcdefghij", b"RIFF" * 40):
        path.write_bytes(data)
        with pytest.raises(BadMedia, match="segment_000"):
            samples_in(path)


@needs_ffmpeg
def test_an_aac_segment_holds_exactly_its_frames(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, format="aac")
    paths = make_all(plan, plan.jobs[1])
    assert [samples_in(path) for path in paths] == [SEGMENT, SEGMENT, 5 * FRAME]
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    with pytest.raises(BadMedia, match="cut short"):
        samples_in(paths[0])


@needs_ffmpeg
def test_a_player_hears_aac_segments_as_one_gapless_track(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, format="aac")
    job = plan.jobs[0]
    chord = [round(sum(5_000 * math.sin(math.tau * f * n / RATE) for f in (220, 330, 550))) for n in range(LENGTH)]
    write_wav(plan.track(job), array("h", chord))
    write_playlist(plan.playlist(job), make_all(plan, job))
    play = ["ffmpeg", "-loglevel", "error", "-allowed_extensions", "ALL", "-i", str(plan.playlist(job))]
    done = subprocess.run([*play, "-f", "s16le", "pipe:1"], capture_output=True, check=True)
    heard, meant = array("h", done.stdout), whole(plan, job)
    assert done.stderr == b""
    assert len(heard) == len(meant)
    inner = range(2 * FRAME, len(meant) - 2 * FRAME, FRAME)  # without the ends, but with both cuts
    assert max(noise(heard[at : at + FRAME], meant[at : at + FRAME]) for at in inner) < 0.02


def noise(heard: array[int], meant: array[int]) -> float:
    return sum((x - y) ** 2 for x, y in zip(heard, meant, strict=True)) / sum(y * y for y in meant)


def test_without_ffmpeg_segments_are_wav(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hls.choose_format() == ("wav", "no ffmpeg on PATH")


@pytest.mark.parametrize(("script", "why"), [("exit 3", "does not work"), ("sleep 0.4", "to start")])
def test_an_ffmpeg_that_fails_or_is_slow_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, why: str
) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    chosen, reason = hls.choose_format()
    assert chosen == "wav"
    assert why in reason


# --- diaries ----------------------------------------------------------------------------------------


def test_a_diary_of_a_killed_writer_knows_what_was_under_way(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from redis_state.demo.diary import Diary
diary = Diary(Path({str(tmp_path / "d")!r}))
for _ in range(3):
    with diary.call("increment"):
        pass
with diary.call("increment"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    entries = read_diary(tmp_path / "d")
    assert (entries.count("increment"), entries.open("increment")) == (3, 1)


def test_an_unfinished_line_of_a_diary_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "d"
    diary = Diary(path)
    diary.note("made", "track-1:anna")
    text = path.read_bytes()
    path.write_bytes(text + text[:20])
    entries = read_diary(path)
    assert entries.count("made") == 1
    path.write_bytes(text + text)
    assert len(entries.catch_up(path)) == 1
    assert entries.catch_up(path) == []
    assert entries.count("made") == 2
    diary.close()


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, url="redis://:hunter2@localhost")
    plan.save(tmp_path / "plan.json")
    assert "hunter2" not in (tmp_path / "plan.json").read_text()
    assert Plan.load(tmp_path / "plan.json", plan.url) == plan
    assert "hunter2" not in repr(plan)


# --- the verdict: each check fails when its story is tampered with ----------------------------------


@pytest.fixture
def story(tmp_path: Path) -> Evidence:
    """A run that went well: container-2 was killed before it could confirm, and container-1 took over."""
    plan = make_plan(tmp_path)
    first, second = Diary(plan.diary("container-1")), Diary(plan.diary("container-2"))
    for job in plan.jobs:
        write_playlist(plan.playlist(job), make_all(plan, job))
        for number in range(job.segments):
            diary = second if number == 0 else first
            with diary.call("increment"):
                pass
            with diary.call("mark", job.key):
                pass
    second.note("completion", plan.jobs[1].key)
    first.note("took over", plan.jobs[1].key)
    for job in plan.jobs:
        first.note("completion", job.key)
        with first.call("confirm", job.key):
            pass
        first.note("confirmed", job.key)
    for diary in (first, second):
        diary.close()
    record = {"processed_segments": 3, "total_segments": 3, "status": "completed"}
    return Evidence(
        plan=plan,
        progress={job.key: dict(record) for job in plan.jobs},
        counter=6,
        said_again=2,
        moved=0,
        pending=[],
        diaries={container: read_diary(plan.diary(container)) for container in plan.containers},
        pids={"container-1": 1, "container-2": 2},
        exits={"container-1": 0, "container-2": -9},
        victim="container-2",
        healed=4,
    )


def failed(evidence: Evidence) -> list[str]:
    return [check.name for check in verify.verify(evidence) if not check.ok]


def test_a_run_that_went_well_passes_every_check(story: Evidence) -> None:
    assert failed(story) == []
    assert len(verify.verify(story)) == 8
    assert verify.duplicates(story) == 2
    assert verify.lost_updates(story) == 0


def segment(story: Evidence) -> Path:
    return story.plan.segment(story.plan.jobs[1], 1)


def playlist(story: Evidence) -> Path:
    return story.plan.playlist(story.plan.jobs[1])


def shorter_segment(story: Evidence) -> None:
    write_wav(segment(story), read_wav(segment(story), 0, SEGMENT - 1))


def unlisted_segment(story: Evidence) -> None:
    playlist(story).write_text(playlist(story).read_text().replace("#EXTINF:2.048000,\nsegment_001.wav\n", ""))


def wrong_duration(story: Evidence) -> None:
    playlist(story).write_text(playlist(story).read_text().replace("0.320000", "0.330000"))


def swapped_segments(story: Evidence) -> None:
    text = playlist(story).read_text()
    playlist(story).write_text(text.replace("_000", "_x").replace("_001", "_000").replace("_x", "_001"))


def change(story: Evidence, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(story, name, value)


def record(story: Evidence, **fields: Any) -> None:
    story.progress["track-1:bruno"].update(fields)


def note(story: Evidence, container: str, what: str, by: int = 1, key: str = "track-1:anna") -> None:
    story.diaries[container].noted[what, key] += by


def under_way(story: Evidence, container: str, by: int = 1) -> None:
    story.diaries[container].asked["increment", ""] += by


def forgotten_marks(story: Evidence) -> None:
    for diary in story.diaries.values():
        for counter in (diary.asked, diary.answered):
            del counter["mark", "track-1:anna"]


TAMPERED: list[tuple[str, str, Callable[[Evidence], object]]] = [
    ("a missing segment", "segments made", lambda s: segment(s).unlink()),
    ("an empty segment", "segments made", lambda s: segment(s).write_bytes(b"")),
    ("a shorter segment", "segments made", shorter_segment),
    ("a total that was counted past", "segments counted", lambda s: record(s, total_segments=2)),
    ("a segment that is not counted", "segments counted", lambda s: record(s, processed_segments=2)),
    ("another total", "segments counted", lambda s: record(s, total_segments=4)),
    ("a job that is not completed", "segments counted", lambda s: record(s, status="processing")),
    ("a count without a mark", "duplicates absorbed", forgotten_marks),
    ("a repeated mark that counts", "duplicates absorbed", lambda s: change(s, moved=1)),
    ("a lost increment", "lost updates", lambda s: change(s, counter=5)),
    ("an increment too many", "lost updates", lambda s: change(s, counter=7)),
    ("two increments under way", "lost updates", lambda s: under_way(s, "container-2", 2)),
    ("a living worker's increment under way", "lost updates", lambda s: under_way(s, "container-1")),
    ("a completion confirmed twice", "completions", lambda s: note(s, "container-1", "confirmed")),
    ("a completion no worker confirmed", "completions", lambda s: note(s, "container-1", "confirmed", -1)),
    ("a completion delivered twice", "completions", lambda s: note(s, "container-1", "completion")),
    ("a completion that is open", "completions", lambda s: change(s, pending=["track-1:anna"])),
    ("no playlist", "playlists valid", lambda s: playlist(s).unlink()),
    ("an unlisted segment", "playlists valid", unlisted_segment),
    ("segments out of order", "playlists valid", swapped_segments),
    ("a wrong duration", "playlists valid", wrong_duration),
    ("no script that was reloaded", "scripts reloaded", lambda s: change(s, healed=0)),
    ("a victim that lived", "workers", lambda s: change(s, exits={"container-1": 0, "container-2": 0})),
    ("another worker that failed", "workers", lambda s: change(s, exits={"container-1": 2, "container-2": -9})),
    ("a worker that never ended", "workers", lambda s: change(s, exits={"container-1": None, "container-2": -9})),
]


@pytest.mark.parametrize(("check", "tamper"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED])
def test_tampering_is_noticed_by_the_check_that_is_there_for_it(
    story: Evidence, check: str, tamper: Callable[[Evidence], object]
) -> None:
    tamper(story)
    assert failed(story) == [check]
    detail = next(found.detail for found in verify.verify(story) if found.name == check)
    assert re.search(r"track-1:(anna|bruno)|counter|container-|marks|said|SCRIPT FLUSH", detail)


def test_a_job_that_redis_forgot_is_noticed(story: Evidence) -> None:
    del story.progress["track-1:anna"]
    assert failed(story) == ["segments counted"]


@pytest.mark.parametrize("counter", [6, 7])
def test_one_increment_of_a_killed_worker_may_count_or_not(story: Evidence, counter: int) -> None:
    under_way(story, "container-2")
    story.counter = counter
    assert failed(story) == []


def test_a_killed_worker_may_have_confirmed_without_noting_it(story: Evidence) -> None:
    note(story, "container-1", "confirmed", -1)
    note(story, "container-1", "completion", -1)
    story.diaries["container-2"].asked["confirm", "track-1:anna"] += 1
    assert failed(story) == []


def test_without_a_flush_nothing_is_said_about_scripts(story: Evidence) -> None:
    story.healed = None
    assert "scripts reloaded" not in [check.name for check in verify.verify(story)]


# --- workers, one turn at a time --------------------------------------------------------------------


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded.start() as server:
        yield f"embedded://{server.directory}"


@pytest.fixture
def plan(url: str, tmp_path: Path) -> Plan:
    plan = replace(make_plan(tmp_path, url=url), prefix=f"rs:{tmp_path.name}")
    shared = Shared(plan, "test")
    shared.counters["demo"] = {"frames": 0}
    shared.close()
    return plan


@pytest.fixture
def worker(plan: Plan) -> Iterator[Callable[[str], Worker]]:
    made: list[Worker] = []

    def make(container: str) -> Worker:
        made.append(Worker(plan, container))
        return made[-1]

    yield make
    for one in made:
        one.diary.close()
        one.shared.close()


def test_two_workers_do_everything_and_each_playlist_is_published_once(
    plan: Plan, worker: Callable[[str], Worker]
) -> None:
    crew = [worker("container-1"), worker("container-2")]
    for _ in range(3 * LENGTH // SEGMENT):
        for one in crew:
            one.turn()
    progress = crew[0].shared.progress
    assert [progress.get(job.key).processed for job in plan.jobs] == [3, 3]  # type: ignore[union-attr]
    assert crew[0].shared.counters["demo"]["frames"] == 2 * LENGTH // FRAME
    entries = [read_diary(plan.diary(container)) for container in plan.containers]
    assert [sum(e.noted["confirmed", job.key] for e in entries) for job in plan.jobs] == [1, 1]
    assert all(len(read_playlist(plan.playlist(job))) == 3 for job in plan.jobs)


def test_a_job_goes_to_one_worker(plan: Plan, worker: Callable[[str], Worker]) -> None:
    one, other = worker("container-1"), worker("container-2")
    taken = [one.take(), other.take(), one.take(), other.take()]
    assert sorted(job.key for job in taken if job) == ["track-1:anna", "track-1:bruno"]


def test_a_completion_that_died_with_its_worker_is_published_by_one_other(
    plan: Plan, worker: Callable[[str], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, living, late = worker("container-1"), worker("container-2"), worker("container-2")
    job = plan.jobs[0]
    make_all(plan, job)
    dead.shared.progress.begin(job.key, job.segments)
    marked = [dead.shared.progress.mark(job.key, number) for number in range(job.segments)]
    assert marked[-1].completed_now
    living.finish_for_others()
    assert not plan.playlist(job).exists()  # its lease is not over yet
    time.sleep(plan.completion_lease + 0.05)
    finish = living.finish

    def while_another_looks_too(job: Job) -> None:
        late.finish_for_others()
        finish(job)

    monkeypatch.setattr(living, "finish", while_another_looks_too)
    living.finish_for_others()
    late.finish_for_others()
    assert len(read_playlist(plan.playlist(job))) == 3
    entries = read_diary(plan.diary("container-2"))
    assert (entries.noted["took over", job.key], entries.noted["confirmed", job.key]) == (1, 1)


def test_jobs_of_a_silent_worker_are_adopted_and_those_of_a_living_one_are_not(
    plan: Plan, worker: Callable[[str], Worker]
) -> None:
    silent, living = worker("container-1"), worker("container-2")
    first, second = silent.take(), silent.take()
    assert first
    assert second
    silent.beat()
    living.adopt()
    assert living.hands == []
    silent.shared.workers.delete("container-1")
    living.adopt()
    living.adopt()
    living.adopt()
    assert sorted(work.job.key for work in living.hands) == sorted([first.key, second.key])


def test_a_segment_on_disk_that_was_never_counted_is_counted_by_the_adopter(
    plan: Plan, worker: Callable[[str], Worker]
) -> None:
    adopter = worker("container-1")
    job = plan.jobs[0]
    make_all(plan, job)  # by a worker that died before the first mark
    adopter.pick_up(job, "adopted")
    for _ in range(job.segments):
        adopter.advance(adopter.hands[0])
    assert adopter.shared.progress.get(job.key).status == "completed"  # type: ignore[union-attr]
    assert adopter.shared.counters["demo"]["frames"] == 0  # it made none itself


def test_a_helper_makes_what_is_missing_from_the_end(plan: Plan, worker: Callable[[str], Worker]) -> None:
    owner, helper = worker("container-1"), worker("container-2")
    owner.turn()
    helper.untaken = []
    assert helper.help()
    helper.advance(helper.hands[0])
    job = helper.hands[0].job
    assert [path.exists() for path in plan.segments_of(job)] == [True, False, True]


# --- views ------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def scene(done: int = 1, state: str = "running") -> view.Scene:
    job = Job("track-1", "anna", LENGTH)
    return view.Scene(1.0, ((job, done),), (view.Crew("container-1", 77, state, done, "track-1:anna"),))


def test_plain_lines_come_once_a_second_and_events_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    plain = view.choose_view(out)
    clock = iter([10.0, 10.0, 10.5, 11.1, 11.1])
    monkeypatch.setattr(view.time, "monotonic", lambda: next(clock))  # type: ignore[attr-defined]
    for done in (1, 2, 3):
        plain.update(scene(done))
    plain.event(1.0, "container-1 killed")
    lines = out.getvalue().splitlines()
    assert [("1/3" in line, "3/3" in line) for line in lines] == [(True, False), (False, True), (False, False)]
    assert "container-1 killed" in lines[-1]


def test_without_rich_a_terminal_gets_plain_lines_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    out = Terminal()
    assert isinstance(view.choose_view(out), view.PlainView)
    assert "pip install" in out.getvalue()


def test_a_terminal_gets_a_live_view_of_workers_tracks_and_events() -> None:
    pytest.importorskip("rich")
    out = Terminal()
    live = view.choose_view(out)
    assert isinstance(live, view.LiveView)
    live.event(2.0, "SCRIPT FLUSH")
    live.update(scene(state="killed"))
    live.close()
    shown = out.getvalue()
    for text in ("container-1", "killed", "track-1", "anna", "1/3", "SCRIPT FLUSH"):
        assert text in shown


# --- the whole run ----------------------------------------------------------------------------------


def demo(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo with a temporary directory of its own, which must be empty afterwards."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "redis_state", "demo", *words],
        capture_output=True,
        text=True,
        env={**CLEAN, "TMPDIR": str(folder)},
        timeout=110,
        check=False,
    )
    assert list(folder.iterdir()) == []
    return done


def test_one_worker_is_killed_and_the_run_holds_what_it_promises(tmp_path: Path) -> None:
    done = demo(*SMALL, "--json", folder=tmp_path / "t")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert all(check["ok"] for check in told["checks"].values())
    assert told["killed"]["returncode"] == -signal.SIGKILL
    assert not psutil.pid_exists(told["killed"]["pid"])
    assert told["segments"] == told["segments_counted"] > 0
    assert told["lost_updates"] == 0
    assert told["scripts_healed"] > 0
    assert told["duplicates_absorbed"] >= 4
    assert "killed with SIGKILL" in done.stderr
    assert "SCRIPT FLUSH" in done.stderr


def test_on_a_server_of_ones_own_it_leaves_no_key_and_takes_none(tmp_path: Path) -> None:
    with embedded.start() as server:
        shared = Shared(replace(make_plan(tmp_path), url=f"unix://{server.socket_path}", prefix="mine"), "me")
        shared.progress.begin("a track of mine", 3)
        before = shared.engine.run(command(None, "DBSIZE", read=int))
        words = ["--no-kill", "--workers", "2", "--url", f"unix://{server.socket_path}"]
        done = demo(*SMALL, *words, folder=tmp_path / "t")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All 8 checks hold" in done.stdout
        assert "killed" not in done.stdout
        assert shared.engine.run(command(None, "DBSIZE", read=int)) == before
        shared.close()


@pytest.mark.parametrize("said", ["in the environment", "as an argument"])
def test_the_password_of_the_server_is_in_no_file_and_no_list_of_processes(tmp_path: Path, said: str) -> None:
    secret = "hunter2"
    with embedded.start() as server, redis.Redis(unix_socket_path=server.socket_path) as client:
        client.config_set("requirepass", secret)
        url = f"unix://:{secret}@{server.socket_path}"
        words, environ = (["--url", url], {}) if said == "as an argument" else ([], {"REDIS_URL": url})
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "redis_state",
                "demo",
                *SMALL,
                "--no-kill",
                "--keep",
                str(tmp_path / "kept"),
                *words,
            ],
            env={**CLEAN, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seen: set[str] = set()
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                seen |= {" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(True)}
            time.sleep(0.02)
        output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "All 8 checks hold" in output
    assert secret not in output
    workers = {words for words in seen if "redis_state.demo.worker" in words}
    assert len(workers) == 3
    assert [words for words in workers if secret in words] == []
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {"plan.json", "container-1.jsonl", "playlist.m3u8"} <= {path.name for path in files}
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def sabotaged(monkeypatch: pytest.MonkeyPatch, sabotage: Callable[[Plan, Shared], object]) -> None:
    """Let something go wrong between the end of the work and the verdict."""
    gather = run.gather  # type: ignore[attr-defined]

    def spoil_and_gather(plan: Plan, shared: Shared, *more: Any) -> Evidence:
        sabotage(plan, shared)
        return gather(plan, shared, *more)

    monkeypatch.setattr(run, "gather", spoil_and_gather)


def counter_lost(plan: Plan, shared: Shared) -> None:
    shared.counters["demo"]["frames"] -= 1


def segment_lost(plan: Plan, shared: Shared) -> None:
    plan.segment(plan.jobs[0], 0).unlink()


@pytest.mark.parametrize(("sabotage", "check"), [(counter_lost, "lost updates"), (segment_lost, "segments made")])
def test_a_run_that_went_wrong_says_so_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sabotage: Callable[[Plan, Shared], object],
    check: str,
) -> None:
    sabotaged(monkeypatch, sabotage)
    options = Options(workers=2, tracks=1, voices=2, seconds=3, format="wav", kill=False)
    assert run.run(options) == 1
    assert f"FAILED: {check};" in capsys.readouterr().out


def test_the_audio_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = demo(
        "--seconds", "3", "--tracks", "1", "--voices", "1", "--no-kill", "--keep", str(kept), folder=tmp_path / "t"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_playlist(kept / "hls" / "track-1" / "anna" / "playlist.m3u8")
    assert str(kept / "hls") in done.stdout


def survivors(workers: list[psutil.Process]) -> list[psutil.Process]:
    """The workers that have not ended after ten seconds. They are ended then, so that a failed test leaves none."""
    _, alive = psutil.wait_procs(workers, timeout=10)
    for process in alive:
        process.kill()
    return alive


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_its_workers_and_tidies_up(tmp_path: Path, sign: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "redis_state", "demo", "--format", "wav", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**CLEAN, "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's job may ignore it
    )
    assert process.stderr
    for line in process.stderr:
        if re.search(rb"[1-9]\d*/\d+ segments", line):  # the workers are at work
            break
    workers = psutil.Process(process.pid).children()
    assert len(workers) >= 3
    process.send_signal(sign)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert out == b""
    assert survivors(workers) == []
    assert list(tmp_path.iterdir()) == []


def test_workers_do_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "redis_state", "demo", "--format", "wav"],
        stdout=subprocess.PIPE,
        env={**CLEAN, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout
    for line in process.stdout:
        if re.search(rb"[1-9]\d*/\d+ segments", line):
            break
    workers = psutil.Process(process.pid).children()
    assert len(workers) >= 3
    process.kill()
    process.communicate()
    assert survivors(workers) == []
