"""What there is to do, as a value: the run makes it, the workers read it, the verdict is held against it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from redis_state.demo.audio import VOICES, Voice
from redis_state.demo.hls import SEGMENT, Format, segment_name

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Job:
    """One track, read by one voice; ``length`` in samples."""

    track: str
    voice: str
    length: int

    @property
    def key(self) -> str:
        return f"{self.track}:{self.voice}"

    @property
    def segments(self) -> int:
        return -(-self.length // SEGMENT)

    def length_of(self, segment: int) -> int:
        """Return the samples in a segment: all have the same number but the last."""
        return min(SEGMENT, self.length - segment * SEGMENT)

    @property
    def reader(self) -> Voice:
        return next(voice for voice in VOICES if voice.name == self.voice)


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs, where their files go, and how the containers reach each other."""

    url: str = field(repr=False)  # never saved: it may hold a password
    prefix: str  # of every key of this run, so that runs on one server do not meet
    folder: Path
    format: Format
    containers: tuple[str, ...]
    jobs: tuple[Job, ...]
    pace: float = 0.12  # seconds a segment takes at least, so that one can watch
    publishing: float = 0.25  # seconds from a completion to its playlist
    completion_lease: float = 3.0  # seconds after which a completion is offered to another worker

    @property
    def segments(self) -> int:
        return sum(job.segments for job in self.jobs)

    def track(self, job: Job) -> Path:
        return self.folder / "tracks" / f"{job.track}.wav"

    def media(self, job: Job) -> Path:
        return self.folder / "hls" / job.track / job.voice

    def segment(self, job: Job, number: int) -> Path:
        return self.media(job) / segment_name(number, self.format)

    def segments_of(self, job: Job) -> Iterator[Path]:
        return (self.segment(job, number) for number in range(job.segments))

    def playlist(self, job: Job) -> Path:
        return self.media(job) / "playlist.m3u8"

    def diary(self, container: str) -> Path:
        return self.folder / "log" / f"{container}.jsonl"

    def complaints(self, container: str) -> Path:
        return self.folder / "log" / f"{container}.stderr"

    def save(self, path: Path) -> None:
        """Write it down for the workers, without the server's address: they get that by their environment."""
        saved = asdict(self)
        del saved["url"]
        path.write_text(json.dumps(saved, default=str, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, url: str) -> Plan:
        saved = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        saved["folder"] = Path(saved["folder"])
        saved["containers"] = tuple(saved["containers"])
        saved["jobs"] = tuple(Job(**job) for job in saved["jobs"])
        return cls(url=url, **saved)
