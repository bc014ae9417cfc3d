"""What is told of the mutants: a line for each on the way, a table at the end, and the same in the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from property_tests.mutants.run import Outcome

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"


def line(outcome: Outcome) -> str:
    """Tell of one."""
    by = f"{_short(outcome.test)}, {_examples(outcome)}" if outcome.test else outcome.error
    return f"{outcome.verdict:8} {outcome.seconds:5.1f} s  {outcome.mutant.name:42} {by}"


def verdict(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Tell of all, in a sentence."""
    caught = sum(outcome.verdict == "caught" for outcome in outcomes)
    return f"{caught} of {len(outcomes)} mutants caught, in {seconds:.0f} s."


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table in Markdown."""
    rows = ["| mutant | what is wrong | | by | examples | s |", "| --- | --- | --- | --- | ---: | ---: |"]
    for outcome in outcomes:
        mutant, seconds = outcome.mutant, f"{outcome.seconds:.0f}"
        by = f"`{_short(outcome.test)}`" if outcome.test else ""
        rows.append(
            f"| {mutant.name} | {mutant.why} | {outcome.verdict} | {by} | {outcome.examples or ''} | {seconds} |"
        )
    return "\n".join(rows)


def write(outcomes: Sequence[Outcome], seconds: float) -> None:
    """Put the table into the README, between its marks."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{README} has no marks {BEGIN} and {END}")
    body = f"{verdict(outcomes, seconds)}\n\n{table(outcomes)}"
    README.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def _short(test: str) -> str:
    return test.partition("[")[0].rpartition("/")[2].replace(".py::", ": ")


def _examples(outcome: Outcome) -> str:
    return f"{outcome.examples} example{'s' if outcome.examples > 1 else ''}"
