"""The end of a run: what a call costs, and the summary, for people or as one line of JSON."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from statistics import median
from typing import IO, TYPE_CHECKING, Any

from redis_state.demo import verify
from redis_state.engine.delivery import Exchange
from redis_state.engine.op import command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis_state.demo.shared import Shared
    from redis_state.demo.verify import Check, Evidence
    from redis_state.engine.connection import Connection

ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians in microseconds."""

    raw_ping: float
    engine_ping: float
    mark: float

    def __str__(self) -> str:
        return (
            f"engine.run {self.engine_ping:.0f} us, {self.engine_ping / self.raw_ping:.2f} times a raw PING"
            f" ({self.raw_ping:.0f} us); a mark, exactly once, {self.mark / self.raw_ping:.2f} times"
        )


def measure(shared: Shared, raw: Connection) -> Overhead:
    """Time a PING on a bare connection, the same through the engine, and a whole ``mark``, in turns."""
    ping = command(None, "PING", read=bool)

    on_the_wire = Exchange(b"PING\r\n", replies=1, blocks=0.0)
    shared.progress.begin("overhead", 2)
    calls: list[Callable[[], Any]] = [
        lambda: raw.exchange(on_the_wire),
        lambda: shared.engine.run(ping),
        lambda: shared.progress.mark("overhead", 0),
    ]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, spent in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            spent.append((time.perf_counter() - started) * 1e6)
    return Overhead(*map(median, times))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the last page of a run says."""

    checks: Sequence[Check]
    evidence: Evidence
    overhead: Overhead
    seconds: float
    kept: str | None  # the folder with the audio, where it was asked for

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def print_text(self, out: IO[str]) -> None:
        width = max(len(check.name) for check in self.checks)
        lines = [
            f"{check.name:<{width}}  {'ok    ' if check.ok else 'FAILED'}  {check.detail}" for check in self.checks
        ]
        lines.append(f"{'call overhead':<{width}}          {self.overhead}")
        failed = [check.name for check in self.checks if not check.ok]
        verdict = f"FAILED: {', '.join(failed)}" if failed else f"All {len(self.checks)} checks hold"
        if self.kept:
            lines.append(f"{'files':<{width}}          {self.kept}")
        print("", *lines, "", f"{verdict}; {self.seconds:.1f} s.", sep="\n", file=out, flush=True)

    def print_json(self, out: IO[str]) -> None:
        evidence, overhead = self.evidence, self.overhead
        victim = evidence.victim
        line = {
            "ok": self.ok,
            "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in self.checks},
            "seconds": round(self.seconds, 2),
            "format": evidence.plan.format,
            "segments": evidence.plan.segments,
            "segments_counted": evidence.counted,
            "duplicates_absorbed": verify.duplicates(evidence),
            "increments": evidence.total("increment"),
            "lost_updates": verify.lost_updates(evidence),
            "takeovers": evidence.total("took over"),
            "adopted": evidence.total("adopted"),
            "scripts_healed": evidence.healed,
            "killed": victim
            and {"container": victim, "pid": evidence.pids[victim], "returncode": evidence.exits[victim]},
            "overhead": {
                "raw_ping_us": round(overhead.raw_ping, 1),
                "engine_ping_us": round(overhead.engine_ping, 1),
                "mark_us": round(overhead.mark, 1),
                "engine_to_raw": round(overhead.engine_ping / overhead.raw_ping, 2),
            },
        }
        print(json.dumps(line), file=out, flush=True)
