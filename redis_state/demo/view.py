"""What the terminal shows while the workers work: a live table, or plain lines where none can be watched.

Both are told the same two things: an event when it happens, and a ``Scene`` several times a second.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from redis_state.demo.plan import Job

PLAIN_EVERY = 1.0  # seconds between two plain lines
COLOURS = {"running": "green", "killed": "bold red", "failed": "bold red"}
RICH_MISSING = 'for a live view: pip install "redis-state[cli]"'


@dataclass(frozen=True, slots=True)
class Crew:
    """A worker as the run sees it."""

    container: str
    pid: int
    state: str  # "running" | "killed" | "ended" | "failed"
    made: int
    doing: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of the run."""

    seconds: float
    jobs: tuple[tuple[Job, int], ...]  # with the segments that Redis counts
    crew: tuple[Crew, ...]

    @property
    def done(self) -> int:
        return sum(processed for _, processed in self.jobs)

    @property
    def total(self) -> int:
        return sum(job.segments for job, _ in self.jobs)

    @property
    def fraction(self) -> float:
        return self.done / max(1, self.total)


class View(Protocol):
    """What shows the run."""

    def event(self, seconds: float, text: str) -> None: ...
    def update(self, scene: Scene) -> None: ...
    def close(self) -> None: ...


def choose_view(out: IO[str]) -> View:
    """A live view on a terminal, if rich is there; else plain lines."""
    if not out.isatty():
        return PlainView(out)
    try:
        return LiveView(out)
    except ImportError:
        print(RICH_MISSING, file=out)
        return PlainView(out)


class PlainView:
    """Lines: events at once, progress once a second."""

    def __init__(self, out: IO[str] = sys.stdout) -> None:
        self._out = out
        self._last = float("-inf")

    def event(self, seconds: float, text: str) -> None:
        print(f"{seconds:5.1f} s  {text}", file=self._out, flush=True)

    def update(self, scene: Scene) -> None:
        if time.monotonic() - self._last < PLAIN_EVERY:
            return
        self._last = time.monotonic()
        crew = "   ".join(f"{worker.container} {_made(worker)}" for worker in scene.crew)
        self.event(scene.seconds, f"{scene.fraction:4.0%}  {scene.done:>4}/{scene.total} segments   {crew}")

    def close(self) -> None:
        self._last = float("-inf")


def _made(worker: Crew) -> str:
    return str(worker.made) if worker.state == "running" else f"{worker.made} ({worker.state})"


class LiveView:
    """A table of workers, a bar for each track and voice, and the last events."""

    def __init__(self, out: IO[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._events: deque[str] = deque(maxlen=6)
        self._live = Live(console=Console(file=out), refresh_per_second=12, transient=False)
        self._live.start()

    def event(self, seconds: float, text: str) -> None:
        self._events.append(f"{seconds:5.1f} s  {text}")

    def update(self, scene: Scene) -> None:
        self._live.update(self._draw(scene))

    def close(self) -> None:
        self._live.stop()

    def _draw(self, scene: Scene) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        crew = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading, side in (("container", "left"), ("pid", "right"), ("state", "left"), ("made", "right")):
            crew.add_column(heading, justify="right" if side == "right" else "left")
        crew.add_column("doing", no_wrap=True, overflow="ellipsis")
        for worker in scene.crew:
            state = Text(worker.state, style=COLOURS.get(worker.state, "dim"))
            doing = worker.doing if worker.state == "running" else ""
            crew.add_row(worker.container, str(worker.pid), state, str(worker.made), doing)

        tracks = list(dict.fromkeys(job.track for job, _ in scene.jobs))
        voices = list(dict.fromkeys(job.voice for job, _ in scene.jobs))
        width = max(4, min(30, (self._live.console.width - 12) // len(voices) - 9))
        bars = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("track", *voices):
            bars.add_column(heading)
        done = {(job.track, job.voice): (processed, job.segments) for job, processed in scene.jobs}
        for track in tracks:
            bars.add_row(track, *(self._bar(*done[track, voice], width) for voice in voices))
        head = Text(f"{scene.seconds:5.1f} s  {scene.done}/{scene.total} segments  {scene.fraction:.0%}", style="bold")
        return Group(crew, "", bars, "", head, Text("\n".join(self._events), style="yellow"))

    @staticmethod
    def _bar(processed: int, segments: int, width: int) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        colour = "green" if processed == segments else "cyan"
        bar = Table.grid(padding=(0, 1, 0, 0))
        bar.add_row(
            ProgressBar(total=segments, completed=processed, width=width, complete_style=colour),
            f"{processed:>2}/{segments}",
        )
        return bar
