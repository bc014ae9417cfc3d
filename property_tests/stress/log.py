"""What processes write down: what they are about to do, and what came of it.

A line at a time, so that nothing is missing when one is killed. What was begun and has no end may have happened.
Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWERED = "answered"
NOT_APPLIED = "not applied"
INTERRUPTED = "interrupted"  # by an exception of the application's own
UNDECIDED = "undecided"  # the outcome is unknown, and will stay so


class Log:
    """The lines of one process."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / f"log {os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._count = 0

    def begin(self, what: str, **facts: Any) -> int:
        """Write that something begins; return its number."""
        self._count += 1
        self._write(number=self._count, what=what, facts=facts, at=time.monotonic())
        return self._count

    def end(self, number: int, end: str = ANSWERED, answer: Any = None, at: float | None = None) -> None:
        """Write what came of it."""
        self._write(number=number, end=end, answer=answer, at=time.monotonic() if at is None else at)

    def _write(self, **line: Any) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


@dataclass(slots=True)
class Operation:
    """Something that a process did, or was doing when it was killed."""

    process: int
    what: str
    began: float
    facts: dict[str, Any] = field(default_factory=dict)
    end: str | None = None
    answer: Any = None
    ended: float = 0.0

    @property
    def key(self) -> str:
        return str(self.facts["key"])

    @property
    def answered(self) -> bool:
        return self.end == ANSWERED

    @property
    def maybe(self) -> bool:
        """Whether nobody can tell from the log if it happened."""
        return self.end in (None, INTERRUPTED, UNDECIDED)

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"[{self.began:.3f} to {self.ended:.3f}, process {self.process}] {self.what}({facts}) -> {self.answer!r}"


def history(folder: Path) -> list[Operation]:
    """Read all logs."""
    return [op for path in sorted(folder.glob("log *")) for op in _operations(path)]


def lines(folder: Path) -> int:
    """Count what is written so far, about."""
    return sum(path.stat().st_size for path in folder.glob("log *")) // 90


def _operations(path: Path) -> Iterator[Operation]:
    process = int(path.name.partition(" ")[2])
    operations: dict[int, Operation] = {}
    for text in path.read_bytes().splitlines():
        line = json.loads(text)
        if "what" in line:
            operations[line["number"]] = Operation(process, line["what"], line["at"], line["facts"], ended=line["at"])
        else:
            op = operations[line["number"]]
            op.end, op.answer, op.ended = line["end"], line["answer"], line["at"]
    yield from operations.values()
