"""The verdict: the files on disk, the data in Redis and the workers' diaries must tell one story.

``gather`` collects what Redis and the diaries say; each check is a function of that and of the
files, so every one of them can be tried on a story that was tampered with.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis_state.demo.audio import RATE
from redis_state.demo.diary import Entries, read_diary
from redis_state.demo.hls import BadMedia, read_playlist, samples_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis_state.demo.crew import Workers
    from redis_state.demo.plan import Job, Plan
    from redis_state.demo.shared import Shared


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the run, whether it holds, and what was seen."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Evidence:
    """What Redis, the diaries and the operating system say about a run."""

    plan: Plan
    progress: dict[str, dict[str, Any]]  # by job key, as Redis holds it
    counter: int  # of frames, as Redis holds it
    said_again: int  # marks that were repeated after the end, one for each job
    moved: int  # of those, how many changed a count or completed a job a second time
    pending: list[str]  # completions that no worker confirmed
    diaries: dict[str, Entries]  # by container
    pids: dict[str, int]  # by container
    exits: dict[str, int | None]  # return codes by container
    victim: str | None  # the container that was to be killed
    healed: int | None = None  # calls that found their script gone after the SCRIPT FLUSH; None when there was none

    @property
    def counted(self) -> int:
        return sum(int(record["processed_segments"]) for record in self.progress.values())

    def total(self, what: str) -> int:
        return sum(diary.count(what) for diary in self.diaries.values())


def gather(plan: Plan, shared: Shared, workers: Workers, victim: str | None) -> Evidence:
    """Ask Redis and read the diaries, once the workers have ended. One more mark for each job must change nothing."""
    keys = [job.key for job in plan.jobs]
    progress = {key: dict(record) for key, record in shared.progress.segment_progress.get_many(keys).items()}
    again = [(progress[job.key], shared.progress.mark(job.key, 0)) for job in plan.jobs if job.key in progress]
    return Evidence(
        plan=plan,
        progress=progress,
        counter=int(shared.counters["demo"]["frames"]),
        said_again=len(again),
        moved=sum(then["processed_segments"] != now.processed or now.completed_now for then, now in again),
        pending=shared.progress.pending_completions(),
        diaries={container: read_diary(plan.diary(container)) for container in plan.containers},
        pids={container: process.pid for container, process in workers.processes.items()},
        exits=workers.exits,
        victim=victim,
    )


def verify(evidence: Evidence) -> list[Check]:
    """Return every check that applies to the run, in the order to show them."""
    checks = [segments_made, segments_counted, duplicates_absorbed, no_lost_updates, completions_once, playlists_valid]
    if evidence.healed is not None:
        checks.append(scripts_reloaded)
    return [check(evidence) for check in [*checks, workers_ended]]


def _each_job(evidence: Evidence, complaint: Callable[[Job], str | None]) -> list[str]:
    return [f"{job.key}: {text}" for job in evidence.plan.jobs if (text := complaint(job))]


def _check(name: str, complaints: list[str], fine: str) -> Check:
    more = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
    return Check(name, not complaints, "; ".join(complaints[:3]) + more if complaints else fine)


def segments_made(evidence: Evidence) -> Check:
    """Every segment is a file that plays for as long as it should."""

    def complaint(job: Job) -> str | None:
        for number, path in enumerate(evidence.plan.segments_of(job)):
            if not path.exists():
                return f"{path.name} is missing"
            try:
                held = samples_in(path)
            except BadMedia as error:
                return str(error)
            if held != job.length_of(number):
                return f"{path.name} holds {held} samples, not {job.length_of(number)}"
        return None

    seconds = sum(job.length for job in evidence.plan.jobs) / RATE
    fine = (
        f"{evidence.plan.segments} files, {seconds:.1f} s of {evidence.plan.format.upper()}, each of the right length"
    )
    return _check("segments made", _each_job(evidence, complaint), fine)


def segments_counted(evidence: Evidence) -> Check:
    """Redis counts exactly the segments there are, and every job is completed."""

    def complaint(job: Job) -> str | None:
        record = evidence.progress.get(job.key)
        if record is None:
            return "Redis knows nothing of it"
        said = (record["processed_segments"], record["total_segments"], record["status"])
        if said == (job.segments, job.segments, "completed"):
            return None
        return f"Redis says {said[0]}/{said[1]}, {said[2]}; there are {job.segments} segments"

    fine = f"{evidence.counted} in Redis, all {len(evidence.plan.jobs)} jobs completed"
    return _check("segments counted", _each_job(evidence, complaint), fine)


def duplicates_absorbed(evidence: Evidence) -> Check:
    """No count without a mark, and a mark that is said again changes nothing."""
    marks = evidence.total("mark")
    uncertain = sum(diary.open("mark") for diary in evidence.diaries.values())
    complaints = []
    if marks + uncertain < evidence.counted:
        complaints.append(f"{evidence.counted} counted, but only {marks} said (and {uncertain} unanswered)")
    if evidence.moved:
        complaints.append(f"{evidence.moved} of {evidence.said_again} repeated marks changed a finished job")
    said = f"{marks} said for {evidence.counted} segments, and {evidence.said_again} more by this check"
    fine = f"{duplicates(evidence)} marks counted nothing, as they should ({said})"
    return _check("duplicates absorbed", complaints, fine)


def duplicates(evidence: Evidence) -> int:
    """Count the marks that were answered and changed nothing."""
    return max(0, evidence.total("mark") + evidence.said_again - evidence.counted)


def no_lost_updates(evidence: Evidence) -> Check:
    """The shared counter is the sum of the increments that the workers were answered.

    A killed worker may have had one increment under way, which counts or does not.
    """
    answered = evidence.total("increment")
    uncertain = {name: diary.open("increment") for name, diary in evidence.diaries.items()}
    complaints = [
        f"{name} has {n} increments without an answer" for name, n in uncertain.items() if n > (name == evidence.victim)
    ]
    highest = answered + sum(uncertain.values())
    if not answered <= evidence.counter <= highest:
        complaints.append(f"the counter is {evidence.counter}, the answered increments {answered} to {highest}")
    under_way = f", {highest - answered} under way when the worker was killed" if highest > answered else ""
    fine = f"0 of {answered} increments lost (counter {evidence.counter}{under_way})"
    return _check("lost updates", complaints, fine)


def lost_updates(evidence: Evidence) -> int:
    """Count the answered increments that the shared counter lacks."""
    return max(0, evidence.total("increment") - evidence.counter)


def completions_once(evidence: Evidence) -> Check:
    """Each completion was answered to one mark, and confirmed by one worker, perhaps after a takeover; none is left."""

    def complaint(job: Job) -> str | None:
        diaries = evidence.diaries.values()
        answered = sum(diary.noted["completion", job.key] - diary.noted["took over", job.key] for diary in diaries)
        confirmed = sum(diary.noted["confirmed", job.key] for diary in diaries)
        victim = evidence.diaries.get(evidence.victim or "", Entries())
        unsaid = victim.asked["confirm", job.key] - victim.noted["confirmed", job.key]
        if confirmed == 0 and not unsaid:
            return "no worker confirmed its completion"
        if confirmed > 1:
            return f"its completion was confirmed {confirmed} times"
        if answered > 1:
            return f"{answered} marks were told that they completed it"
        return "its completion is still open" if job.key in evidence.pending else None

    fine = (
        f"{len(evidence.plan.jobs)} delivered and confirmed once each, {evidence.total('took over')} after a takeover"
    )
    return _check("completions", _each_job(evidence, complaint), fine)


def playlists_valid(evidence: Evidence) -> Check:
    """Each job has a playlist of all its segments in order, as long as the track."""

    def complaint(job: Job) -> str | None:
        try:
            entries = read_playlist(evidence.plan.playlist(job))
        except BadMedia as error:
            return str(error)
        if [name for name, _ in entries] != [path.name for path in evidence.plan.segments_of(job)]:
            return f"the playlist lists {len(entries)} segments, not the {job.segments} there are, in order"
        seconds = sum(seconds for _, seconds in entries)
        if abs(seconds - job.length / RATE) > 1e-6 * len(entries):
            return f"the playlist is {seconds:.3f} s long, the track {job.length / RATE:.3f} s"
        return None

    fine = f"{len(evidence.plan.jobs)} playlists list every segment and are as long as their track"
    return _check("playlists valid", _each_job(evidence, complaint), fine)


def scripts_reloaded(evidence: Evidence) -> Check:
    """A worker noticed the SCRIPT FLUSH and healed it, and none saw an error."""
    complaints = [] if evidence.healed else ["after SCRIPT FLUSH no call found its script gone"]
    fine = f"after SCRIPT FLUSH {evidence.healed} calls found their script gone, loaded it and went on; none failed"
    return _check("scripts reloaded", complaints, fine)


def workers_ended(evidence: Evidence) -> Check:
    """The worker that was to be killed was killed, and all others ended well."""
    complaints = []
    for name, code in evidence.exits.items():
        if name == evidence.victim:
            if code != -signal.SIGKILL:
                complaints.append(f"{name} was to be killed, but ended with {code}")
        elif code != 0:
            complaints.append(f"{name} ended with {code}: {_last_words(evidence.plan, name)}")
    fine = f"{len(evidence.exits)} ended well"
    if evidence.victim:
        adopted = evidence.total("adopted")
        fine = f"{evidence.victim} killed by SIGKILL, {adopted} of its jobs adopted; the others ended well"
    return _check("workers", complaints, fine)


def _last_words(plan: Plan, container: str) -> str:
    path = plan.complaints(container)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else "without a word"
