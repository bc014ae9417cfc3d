"""What a mutant is: one place of the code, made wrong."""

from __future__ import annotations

from dataclasses import dataclass


class Rotten(Exception):
    """The text that a mutant replaces is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``text`` of ``file`` becomes ``wrong``, and one of the tests named in ``caught_by`` must fail."""

    name: str  # domain/what
    file: str
    text: str
    wrong: str
    why: str  # what is wrong then, in one line
    caught_by: str  # the arguments of pytest

    def applied_to(self, source: str) -> str:
        """Return the source of the file, made wrong."""
        found = source.count(self.text)
        if found != 1:
            raise Rotten(f"{self.name}: its text is {found} times in {self.file}, not once:\n{self.text}")
        return source.replace(self.text, self.wrong)
