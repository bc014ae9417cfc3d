"""What was measured, as text."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import Goal, Result

PACKAGES = (
    *("redis-state", "redis", "hiredis", "msgpack", "zstandard"),
    *("redis-dict", "pottery", "python-redis-lock", "walrus"),
)


def table(result: Result) -> Iterator[str]:
    """Show one group in one mode."""
    group = result.group
    base = group.cases[0].name
    yield f"{group.title}, {result.mode}"
    for case in group.cases:
        ratio = result.ratio(case.name, base)
        yield f"  {case.name:36} {_time(result.microseconds(case.name)):>10}   {ratio}"
    for goal in group.goals:
        ratio = result.ratio(goal.case, goal.base)
        yield f"  {verdict(result, goal):6} {goal.case} / {goal.base}: {ratio}, at most {goal.limit:.2f}"


def verdict(result: Result, goal: Goal) -> str:
    return "ok" if result.ratio(goal.case, goal.base).middle <= goal.limit else "MISSED"


def missed(results: Sequence[Result]) -> int:
    return sum(verdict(result, goal) != "ok" for result in results for goal in result.group.goals)


def markdown(results: Sequence[Result], server: str, command: str) -> str:
    """Return the page for RESULTS.md."""
    return "\n".join([*_head(server, command), *_goals(results), *_tables(results), ""])


def _head(server: str, command: str) -> Iterator[str]:
    yield "# What a call costs"
    yield ""
    yield f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}. Lower is better everywhere."
    yield ""
    yield (
        "Every ratio pairs two figures of one round, in which all contenders took turns in bursts of milliseconds; "
        "it is told as median (quartiles). *One core*: client and server share a core, so a call is the work of both "
        "and nothing else. *A core each*: every call also wakes two sleeping cores, which is what a very short network "
        "looks like. Times belong to the machine they were taken on, ratios less so."
    )
    yield ""
    yield f"* Server: {server}, on a unix socket, nothing persisted"
    yield f"* Python {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield f"* {_machine()}"


def _machine() -> str:
    cpu = platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), cpu)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    nice = f"nice {os.nice(0)}, " if os.nice(0) else ""
    return f"{os.cpu_count()} cores ({cpu}), {platform.system()} {platform.release()}; {nice}load at the end: {load}"


def _goals(results: Sequence[Result]) -> Iterator[str]:
    modes = list(dict.fromkeys(result.mode for result in results))
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    yield from ("", "## Goals", "", f"| | at most | {' | '.join(modes)} |", f"|---|---|{'---|' * len(modes)}")
    for name, measured in by_name.items():
        for goal in measured[0].group.goals:
            said = [f"{result.ratio(goal.case, goal.base)} {verdict(result, goal)}" for result in measured]
            yield f"| `{name}`: {goal.case} / {goal.base} | {goal.limit:.2f} | {' | '.join(said)} |"


def _tables(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        group = result.group
        base = group.cases[0].name
        yield from (
            "",
            f"## {group.title}, {result.mode}",
            "",
            f"| `{result.name}` | time | to {base} |",
            "|---|---|---|",
        )
        for case in group.cases:
            time = _time(result.microseconds(case.name))
            yield f"| {case.name} | {time} | {result.ratio(case.name, base)} |"


def _time(microseconds: float) -> str:
    if microseconds >= 10_000:
        return f"{microseconds / 1000:,.1f} ms"
    return f"{microseconds:,.1f} µs"
