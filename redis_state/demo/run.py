"""The run itself: make tracks, start workers, disturb them half way, wait, and ask for the verdict."""

from __future__ import annotations

import random
import secrets
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from redis_state.demo.audio import RATE, VOICES, synthesise, write_wav
from redis_state.demo.crew import Workers
from redis_state.demo.hls import FRAME, choose_format
from redis_state.demo.plan import Job, Plan
from redis_state.demo.report import Outcome, measure
from redis_state.demo.shared import Shared
from redis_state.demo.stage import Stage, ends_on_sigterm, forget, stage, undisturbed
from redis_state.demo.verify import gather, verify
from redis_state.demo.view import PlainView, Scene, View, choose_view
from redis_state.engine.op import command
from redis_state.engine.registry import all_scripts
from redis_state.errors import RedisStateError

if TYPE_CHECKING:
    from redis_state import Engine
    from redis_state.demo.hls import Format

LOOK_EVERY = 0.1  # seconds
LIMIT = 90.0  # seconds after which a run that hangs is ended, and fails
KILL_BETWEEN = (0.4, 0.55)  # of all segments: as soon as the victim holds a completion, and at the latest
FLUSH_AT = 0.65  # of all segments
TELL = {"adopted": "adopted", "took over": "took over the completion of"}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    url: str = "embedded://"
    workers: int = 3
    tracks: int = 4
    voices: int = 3
    seconds: float = 20.0  # of a track, about
    seed: int = 1
    format: Format | None = None  # None: AAC if ffmpeg is there
    kill: bool = True
    json: bool = False
    keep: Path | None = None


def run(options: Options) -> int:
    """Run the demo; return 0 when every check holds, else 1."""
    view = PlainView(sys.stderr) if options.json else choose_view(sys.stdout)
    with ExitStack() as leaving:
        leaving.enter_context(ends_on_sigterm())
        leaving.callback(view.close)
        here = leaving.enter_context(stage(options.url, options.keep))
        demo = Run(options, here, view)
        leaving.callback(demo.close)
        outcome = demo.play()
        view.close()
        out: IO[str] = sys.stdout
        if options.json:
            outcome.print_json(out)
        else:
            outcome.print_text(out)
    return 0 if outcome.ok else 1


class Run:
    """One run; its state is how far the disturbances have come."""

    def __init__(self, options: Options, here: Stage, view: View) -> None:
        self.here = here
        self.view = view
        self.started = time.monotonic()
        self.options = options
        chosen, self.why = (options.format, "as asked for") if options.format else choose_format()
        self.plan = make_plan(options, here, chosen)
        self.shared = Shared(self.plan, "demo")
        self.workers: Workers | None = None
        self.victim: str | None = None
        self.killed_at = 0.0
        self.healed_before: int | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def event(self, text: str) -> None:
        self.view.event(self.seconds, text)

    def play(self) -> Outcome:
        """Do everything from the tracks to the verdict."""
        plan, options = self.plan, self.options
        self.shared.counters["demo"] = {"frames": 0}
        warm(self.shared.engine)
        make_tracks(plan, options.seed)
        self.event(
            f"{options.tracks} tracks, {options.voices} voices: {plan.segments} {plan.format} segments ({self.why}); "
            f"server: {self.here.server}"
        )
        plan_file = plan.folder / "plan.json"
        plan.save(plan_file)
        self.workers = Workers(plan, plan_file)
        self.watch(self.workers)
        self.workers.stop()
        for _ in self.workers.news():
            pass
        evidence = gather(plan, self.shared, self.workers, self.victim)
        if self.healed_before is not None:
            evidence.healed = self.healed(self.workers) - self.healed_before
        with self.here.raw() as raw:
            overhead = measure(self.shared, raw)
        kept = None if options.keep is None else str(plan.folder / "hls")
        return Outcome(verify(evidence), evidence, overhead, self.seconds, kept)

    def watch(self, workers: Workers) -> None:
        """Show the run and disturb it, until each completion is confirmed."""
        while self.seconds < LIMIT:
            for container, what, about in workers.news():
                if what in TELL:
                    self.event(f"{container} {TELL[what]} {about}")
            scene = self.look(workers)
            self.view.update(scene)
            if self.options.kill and self.victim is None:
                self.maybe_kill(workers, scene)
            if self.healed_before is None and scene.fraction >= FLUSH_AT and (self.victim or not self.options.kill):
                self.healed_before = self.healed(workers)
                self.shared.engine.run(command(None, "SCRIPT", "FLUSH", read=bool))
                self.event("SCRIPT FLUSH: the server has forgotten every script")
            if self.settled(workers):
                return
            if all(code is not None for code in workers.exits.values()):
                self.event("no worker is left")
                return
            time.sleep(LOOK_EVERY)
        self.event(f"not finished after {LIMIT:.0f} s")

    def look(self, workers: Workers) -> Scene:
        known = self.shared.progress.segment_progress.get_many([job.key for job in self.plan.jobs])
        crew = self.shared.workers.get_many(list(self.plan.containers))
        done = tuple((job, known[job.key]["processed_segments"] if job.key in known else 0) for job in self.plan.jobs)
        return Scene(self.seconds, done, workers.look({name: entry["doing"] for name, entry in crew.items()}))

    def maybe_kill(self, workers: Workers, scene: Scene) -> None:
        """Kill the second worker half way: preferably while it holds a completion that it has not confirmed."""
        earliest, latest = KILL_BETWEEN
        victim = self.plan.containers[1]
        diary = workers.diaries[victim]
        publishing = [
            job.key for job in self.plan.jobs if diary.noted["completion", job.key] > diary.asked["confirm", job.key]
        ]
        if scene.fraction >= latest or (scene.fraction >= earliest and publishing):
            pid = workers.kill(victim)
            self.victim, self.killed_at = victim, time.monotonic()
            doing = f" before it could publish {publishing[0]}" if publishing else ""
            self.event(f"{victim} (pid {pid}) killed with SIGKILL{doing}")

    def settled(self, workers: Workers) -> bool:
        """Tell whether each completion was confirmed, as far as can be known."""
        for job in self.plan.jobs:
            if any(diary.noted["confirmed", job.key] for diary in workers.diaries.values()):
                continue
            asked = self.victim and workers.diaries[self.victim].asked["confirm", job.key]
            if not asked or time.monotonic() < self.killed_at + self.plan.completion_lease + 1.0:
                return False  # the victim's last confirmation may have arrived: then no worker is offered it again
        return self.healed_before is not None

    def healed(self, workers: Workers) -> int:
        """Count the calls that found their script gone and were served all the same, by all engines so far."""
        told = (int(diary.last["status"]["healed"]) for diary in workers.diaries.values() if "status" in diary.last)
        return sum(told) + self.shared.engine.status().scripts_healed

    def close(self) -> None:
        """End the workers and forget the run's keys."""
        with undisturbed():
            if self.workers is not None:
                self.workers.stop(patience=0.5)
            with suppress(RedisStateError):  # the server may be gone; then everything is forgotten
                forget(self.shared.engine, self.plan.prefix)
            self.shared.close()


def make_plan(options: Options, here: Stage, format: Format) -> Plan:
    """Decide what there is to do. The same seed gives the same tracks."""
    rng = random.Random(options.seed)
    jobs = []
    for number in range(1, options.tracks + 1):
        length = FRAME * max(1, round(options.seconds * rng.uniform(0.75, 1.25) * RATE / FRAME))
        jobs += [Job(f"track-{number}", voice.name, length) for voice in VOICES[: options.voices]]
    return Plan(
        url=here.url,
        prefix=f"rs:demo-{secrets.token_hex(4)}",
        folder=here.folder,
        format=format,
        containers=tuple(f"container-{number}" for number in range(1, options.workers + 1)),
        jobs=tuple(jobs),
    )


def warm(engine: Engine) -> None:
    """Load every script, so that a worker that misses one later misses it because of the SCRIPT FLUSH."""
    for script in all_scripts():
        engine.run(command(None, "SCRIPT", "LOAD", script.text, read=bool))


def make_tracks(plan: Plan, seed: int) -> None:
    """Write the tracks and make the folders that the workers share."""
    (plan.folder / "tracks").mkdir(exist_ok=True)
    (plan.folder / "log").mkdir(exist_ok=True)
    for job in plan.jobs:
        plan.media(job).mkdir(parents=True, exist_ok=True)
        if not plan.track(job).exists():
            write_wav(plan.track(job), synthesise(f"{seed}:{job.track}", job.length))
