"""A history as a time line: a column for each process, a line for each call and each return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from property_tests.parallel.history import Row
    from property_tests.parallel.linearize import Verdict

WIDEST = 44
LINE = 116


def drawn(rows: Sequence[Row]) -> str:
    """Draw what happened, times in ms from the first call."""
    if not rows:
        return "nothing happened"
    rows = sorted(rows)
    names = sorted({row.who for row in rows}, key=lambda name: (not name[0].isdigit(), name))
    widths = {name: min(WIDEST, max(len(row.text) for row in rows if row.who == name)) + 2 for name in names}
    busy = dict.fromkeys(names, False)
    lines = [
        "      ms  " + "".join(f"{_title(name):{max(width, len(_title(name)) + 2)}}" for name, width in widths.items())
    ]
    for row in rows:
        cells = []
        for name, width in widths.items():
            text = row.text if name == row.who else "│" if busy[name] else ""
            cells.append(f"{_short(text):{max(width, len(_title(name)) + 2)}}")
        if row.text[0] in "┌└":
            busy[row.who] = row.text[0] == "┌"
        lines.append(f"{1000 * (row.at - rows[0].at):8.3f}  {''.join(cells)}".rstrip())
    return "\n".join(lines)


def explained(verdict: Verdict, rows: Sequence[Row]) -> str:
    """Say why there is no order: how far the best one came."""
    order = [f"  {_short(str(event), LINE)}" for event in verdict.order] or ["  (nothing)"]
    return "\n".join(
        [
            "no order of these operations explains what was said:",
            "",
            drawn(rows),
            "",
            "The longest order that the model agrees with:",
            *order,
            _short(f"  and then none of the others fits: {verdict.model}", 3 * LINE),
        ]
    )


def _title(name: str) -> str:
    return f"worker {name}" if name[0].isdigit() else name


def _short(text: str, most: int = WIDEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
