"""One container: ``REDIS_URL=... python -m redis_state.demo.worker PLAN CONTAINER``.

It takes jobs that no worker has, two at a time, and makes their segments in turn. It adopts the jobs of
workers that fell silent, and with nothing left to take it helps the others from the far end.

Nothing here prevents two workers from making the same segment: they would make the same file, and
saying ``mark`` twice counts once. Each worker marks every segment of a job it answers for, also
those it finds on disk, since the worker that made one may have died before it could say so. A counter that
all workers add to, once for each frame of sound, shows whether any addition is lost.

The worker ends when its standard input does, hence also when its parent is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis_state.demo.diary import Diary
from redis_state.demo.hls import FRAME, make_segment, write_playlist
from redis_state.demo.plan import Job, Plan
from redis_state.demo.shared import HEARTBEAT, Shared
from redis_state.errors import RedisStateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AT_ONCE = 2


@dataclass(slots=True)
class Work:
    """A job in hand; a helper's makes only what is missing, from the end."""

    job: Job
    helping: bool = False
    left: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(self.job.segments)
        self.left = iter(reversed(numbers) if self.helping else numbers)


class Worker:
    """Makes segments until told to stop; each ``turn`` is a bounded piece of work."""

    def __init__(self, plan: Plan, container: str) -> None:
        self.plan = plan
        self.container = container
        self.shared = Shared(plan, container)
        self.diary = Diary(plan.diary(container))
        first = plan.containers.index(container) * len(plan.jobs) // len(plan.containers)
        self.jobs = plan.jobs[first:] + plan.jobs[:first]
        self.untaken = list(self.jobs)
        self.hands: list[Work] = []
        self.last_beat = 0.0

    def turn(self) -> bool:
        """Do one segment of each job in hand, or look for other work; False when there was nothing to do."""
        self.beat()
        while len(self.hands) < AT_ONCE and (job := self.take()):
            self.pick_up(job, "took")
        if not self.hands and not self.help():
            return False
        for work in list(self.hands):
            self.advance(work)
            self.beat()
        return True

    def beat(self) -> None:
        """Say that we live (the entry dies with us), and look after those that do not."""
        if time.monotonic() - self.last_beat > HEARTBEAT / 4:
            self.last_beat = time.monotonic()
            doing = ", ".join(("helping " if work.helping else "") + work.job.key for work in self.hands)
            self.shared.workers.put(self.container, {"doing": doing}, ttl=HEARTBEAT)
            self.diary.note("status", healed=self.shared.engine.status().scripts_healed)
            self.finish_for_others()
            self.adopt()

    def take(self) -> Job | None:
        """Take the next job that no worker has: of all who ask for it at once, one gets it."""
        while self.untaken:
            job = self.untaken.pop(0)
            if self.shared.jobs.setdefault(job.key, {"worker": self.container})["worker"] == self.container:
                return job
        return None

    def pick_up(self, job: Job, how: str) -> None:
        """Start on a job; ``begin`` is said by every worker and counts once."""
        self.shared.progress.begin(job.key, job.segments)
        self.diary.note(how, job.key)
        self.hands.append(Work(job, helping=how == "helped"))

    def advance(self, work: Work) -> None:
        """Make and mark the next segment of the job."""
        number = next(work.left, None)
        if number is None:
            self.hands.remove(work)
            return
        job, path = work.job, self.plan.segment(work.job, number)
        if not path.exists():
            ready = time.monotonic() + self.plan.pace
            make_segment(self.plan.track(job), job.reader, number, job.length, path)
            time.sleep(max(0.0, ready - time.monotonic()))
            self.diary.note("made", job.key)
            for _ in range(job.length_of(number) // FRAME):
                with self.diary.call("increment"):
                    self.shared.counters["demo"]["frames"] += 1
        elif work.helping:
            return
        with self.diary.call("mark", job.key):
            progress = self.shared.progress.mark(job.key, number)
        if progress.completed_now:
            self.finish(job)

    def finish(self, job: Job) -> None:
        """Write the playlist of a job whose completion was delivered to us, then confirm that it was done."""
        self.diary.note("completion", job.key)
        time.sleep(self.plan.publishing)
        write_playlist(self.plan.playlist(job), list(self.plan.segments_of(job)))
        with self.diary.call("confirm", job.key):
            confirmed = self.shared.progress.confirm_completion(job.key)
        self.diary.note("confirmed" if confirmed else "refused", job.key)

    def finish_for_others(self) -> None:
        """Take over a completion whose receiver died before it confirmed."""
        for key in self.shared.progress.pending_completions():
            if self.shared.progress.claim_completion(key):
                self.diary.note("took over", key)
                self.finish(next(job for job in self.plan.jobs if job.key == key))

    def adopt(self) -> None:
        """Take an unfinished job from a worker that fell silent; compare-and-set decides between adopters.

        One at a time, so that the jobs of a dead worker are shared out.
        """
        unfinished = self.unfinished()
        takers = {key: taken["worker"] for key, taken in self.shared.jobs.get_many(unfinished).items()}
        alive = self.shared.workers.get_many(list(self.plan.containers))
        for key, taker in takers.items():
            if taker in alive or taker == self.container:
                continue
            if self.shared.jobs.mutate(key, partial(self.succeed, taker))["worker"] == self.container:
                self.pick_up(unfinished[key], "adopted")
                return

    def succeed(self, taker: str, job: Mapping[str, Any]) -> dict[str, Any]:
        return {"worker": self.container} if job["worker"] == taker else dict(job)

    def help(self) -> bool:
        """Make missing segments of the job that has most of them, from its end."""
        unfinished = self.unfinished()
        missing = {
            key: sum(not path.exists() for path in self.plan.segments_of(job)) for key, job in unfinished.items()
        }
        key = max(missing, key=missing.__getitem__, default="")
        if missing.get(key, 0) < 2:
            return False
        self.pick_up(unfinished[key], "helped")
        return True

    def unfinished(self) -> dict[str, Job]:
        """Return the jobs that are not completed, by key."""
        known = self.shared.progress.segment_progress.get_many([job.key for job in self.jobs])
        done = {key for key, record in known.items() if record["status"] == "completed"}
        return {job.key: job for job in self.jobs if job.key not in done}

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self.turn():
                stop.wait(self.plan.pace)
        self.diary.note("status", healed=self.shared.engine.status().scripts_healed)
        self.diary.note("ended")
        self.diary.close()
        self.shared.close()


def main(plan_file: str, container: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the run decides
    stop = threading.Event()

    def watch_parent() -> None:
        while os.read(0, 1024):
            pass
        stop.set()

    threading.Thread(target=watch_parent, daemon=True).start()
    try:
        Worker(Plan.load(Path(plan_file), os.environ["REDIS_URL"]), container).run(stop)
    except RedisStateError as error:
        print(f"{container}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
