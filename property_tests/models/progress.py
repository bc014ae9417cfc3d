"""Progress of runs: a set of segments, a count, and a completion that is given to one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from property_tests.models.base import EMPTY, NOTHING, Model, Refused, Table


class Told(NamedTuple):
    """How far a run is, as it is told."""

    processed: int
    total: int
    status: str = "processing"
    completed_now: bool = False

    def __repr__(self) -> str:
        return f"{self.processed}/{self.total} {self.status}{', now' if self.completed_now else ''}"


@dataclass(frozen=True)
class Run:
    total: int
    count: int = 0
    seen: frozenset[int] = frozenset()
    status: str = "processing"

    def told(self, *, now: bool = False) -> Told:
        return Told(self.count, self.total, self.status, now)


UNKNOWN_SESSION = Refused("UnknownSession")


@dataclass(frozen=True)
class Progress(Model):
    """Runs by key. ``leases``: completions that nobody confirmed; True once the lease of its receiver is over."""

    runs: Table = EMPTY
    leases: Table = EMPTY

    def begin(self, said: Any, key: str, total: int, restart: bool = False) -> Progress | bool:
        run = self.runs.get(key)
        if run and not restart:
            return said == (run.told() if run.total == total else Refused("ValueError")) and self
        new = Run(total)
        return said == new.told() and Progress(self.runs.having(key, new), self.leases.without(key))

    def mark(self, said: Any, key: str, segment: int) -> Progress | bool:
        run = self.runs.get(key)
        if run is None:
            return said == UNKNOWN_SESSION and self
        if not 0 <= segment < run.total:
            return said == Refused("SegmentOutOfRange") and self
        if segment in run.seen:
            return said == run.told() and self
        return self._counted(said, key, replace(run, seen=run.seen | {segment}), run.count + 1)

    def advance(self, said: Any, key: str, by: int) -> Progress | bool:
        run = self.runs.get(key)
        if run is None:
            return said == UNKNOWN_SESSION and self
        if run.status == "completed":
            return said == run.told() and self
        return self._counted(said, key, run, run.count + by)

    def fail(self, said: Any, key: str) -> Progress | bool:
        run = self.runs.get(key)
        if run is None:
            return said == UNKNOWN_SESSION and self
        failed = replace(run, status="failed")
        return said == failed.told() and Progress(self.runs.having(key, failed), self.leases.without(key))

    def confirm(self, said: Any, key: str) -> Progress | bool:
        return said == (key in self.leases) and replace(self, leases=self.leases.without(key))

    def claim(self, said: Any, key: str) -> Progress | bool:
        """Take over a completion whose receiver did not confirm it in time."""
        if not self.leases.get(key):
            return said == NOTHING and self
        run = self.runs.get(key)
        if run is None or run.status != "completed":
            return said == NOTHING and replace(self, leases=self.leases.without(key))
        return said == run.told(now=True) and replace(self, leases=self.leases.having(key, False))

    def expire(self, said: Any, key: str) -> Progress | bool:
        """The lease of a completion ends."""
        over = self.leases.having(key, True) if key in self.leases else self.leases
        return said == NOTHING and replace(self, leases=over)

    def remove(self, said: Any, key: str) -> Progress | bool:
        return said == (key in self.runs) and replace(self, runs=self.runs.without(key))

    def get(self, said: Any, key: str) -> Progress | bool:
        return said == (self.runs[key].told() if key in self.runs else None) and self

    def wipe(self, said: Any) -> Progress | bool:
        return said == NOTHING and Progress()

    def _counted(self, said: Any, key: str, run: Run, count: int) -> Progress | bool:
        run = replace(run, count=max(0, min(run.total, count)))
        completes = run.count == run.total and run.status == "processing"
        if completes:
            run = replace(run, status="completed")
        leases = self.leases.having(key, False) if completes else self.leases
        return said == run.told(now=completes) and Progress(self.runs.having(key, run), leases)
