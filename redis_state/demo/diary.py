"""What a worker was about to do, and what it was answered: one line each, handed to the kernel at once.

A worker that is killed between the two lines leaves exactly one open question, and it is known
which. So a count that was kept by killed processes can still be checked: what was answered is a
lower bound, and the open questions are how far the truth may lie above it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Diary:
    """Appends to a file. What was written is there after a SIGKILL of the writer."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, about: str = "", **more: Any) -> None:
        """Write down something that has happened."""
        self._write({"noted": what, "about": about, **more})

    @contextmanager
    def call(self, what: str, about: str = "") -> Iterator[None]:
        """Write the question before the block and the answer after it; a block that raises leaves it open."""
        self._write({"asked": what, "about": about})
        yield
        self._write({"answered": what, "about": about})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class Entries:
    """A diary that was read: how often each (what, about) was asked, answered and noted."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)  # the latest note of each kind
    _offset: int = 0

    def count(self, what: str) -> int:
        """Return how often it was answered or noted."""
        return sum(n for (kind, _), n in (self.answered + self.noted).items() if kind == what)

    def open(self, what: str) -> int:
        """Return how many questions were never answered."""
        return sum(n for (kind, _), n in (self.asked - self.answered).items() if kind == what)

    def catch_up(self, path: Path) -> list[dict[str, Any]]:
        """Read what was written since the last time and return it.

        A line without its end is still being written, or never will be: it waits.
        """
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        self._offset += len(whole) + 1 if whole else 0
        for line in lines:
            for tense, counter in (("asked", self.asked), ("answered", self.answered), ("noted", self.noted)):
                if tense in line:
                    counter[line[tense], line["about"]] += 1
            if "noted" in line:
                self.last[line["noted"]] = line
        return lines


def read_diary(path: Path) -> Entries:
    """Read a whole diary."""
    entries = Entries()
    entries.catch_up(path)
    return entries
