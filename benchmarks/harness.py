"""Timing that a busy machine cannot bend much: short bursts, all contenders in turn, ratios within each round.

A round gives every case several bursts of a few milliseconds and keeps the shortest, so that what another program
took away in between is mostly left out. The first calls of a burst are not counted: they find the caches full of the
case before. Only ratios of the same round are formed; their median and quartiles are told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter

BURST = 0.004  # seconds
WARM = 1 / 6  # of a burst that comes before it and is not counted
BURSTS = 5  # per case and round; the shortest counts
LONG = 0.1  # a call that takes this long is measured once a round
FEWEST_ROUNDS = 7
MOST_ROUNDS = 200

SAME_CORE = "one core"
CORE_EACH = "a core each"
UNPINNED = "unpinned"


@dataclass(frozen=True)
class Case:
    """One way to do it. ``ops``: how many operations one call is."""

    name: str
    call: Callable[[], object]
    ops: int = 1


@dataclass(frozen=True)
class Goal:
    """``case`` takes at most ``limit`` times as long as ``base``, for each operation."""

    case: str
    base: str
    limit: float


@dataclass(frozen=True)
class Group:
    """Cases that are measured against each other. The first one is what the table's ratios refer to."""

    title: str
    cases: Sequence[Case]
    goals: Sequence[Goal] = ()


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Result:
    """What a group took in one mode: seconds per operation, by case, a figure for each round."""

    name: str
    group: Group
    mode: str
    times: dict[str, list[float]] = field(default_factory=dict)

    def microseconds(self, case: str) -> float:
        return median(self.times[case]) * 1e6

    def ratio(self, case: str, base: str) -> Ratio:
        pairs = [one / other for one, other in zip(self.times[case], self.times[base], strict=True)]
        low, middle, high = quantiles(pairs, n=4, method="inclusive") if len(pairs) > 1 else pairs * 3
        return Ratio(middle, low, high)


@dataclass(frozen=True)
class Patience:
    """How long to measure a group: rounds until the time is over, within bounds."""

    seconds: float = 5.0
    fewest: int = FEWEST_ROUNDS


def measure(name: str, group: Group, mode: str, patience: Patience) -> Result:
    """Time all cases of a group in turn."""
    result = Result(name, group, mode, {case.name: [] for case in group.cases})
    expected = {case.name: _expected(case) for case in group.cases}
    calls = {name: max(1, round(BURST / seconds)) for name, seconds in expected.items()}
    end = perf_counter() + patience.seconds
    rounds = 0
    while rounds < patience.fewest or (perf_counter() < end and rounds < MOST_ROUNDS):
        shortest = dict.fromkeys(calls, float("inf"))
        for burst in range(BURSTS):
            for case in group.cases:
                if burst == 0 or expected[case.name] < LONG:
                    shortest[case.name] = min(shortest[case.name], _burst(case.call, calls[case.name]))
        for case in group.cases:
            result.times[case.name].append(shortest[case.name] / calls[case.name] / case.ops)
        rounds += 1
    return result


def _burst(call: Callable[[], object], times: int) -> float:
    for _ in range(round(times * WARM)):
        call()
    turns = range(times)
    began = perf_counter()
    for _ in turns:
        call()
    return perf_counter() - began


def _expected(case: Case) -> float:
    """Return how long a call takes, roughly; the first one warms everything up."""
    _burst(case.call, 1)
    return min(_burst(case.call, 1) for _ in range(3))


# --- which core ---------------------------------------------------------------------------------------


def modes() -> list[str]:
    """Name the ways to place client and server that this machine has."""
    if not hasattr(os, "sched_setaffinity"):
        return [UNPINNED]
    return [SAME_CORE, CORE_EACH] if len(os.sched_getaffinity(0)) > 1 else [SAME_CORE]


@contextmanager
def placed(mode: str, server: int) -> Iterator[None]:
    """Pin this process and the server. Left alone, a kernel moves them, and figures change by half."""
    if mode == UNPINNED:
        yield
        return
    allowed = os.sched_getaffinity(0)
    ours, *others = sorted(allowed)
    theirs = others[0] if mode == CORE_EACH else ours
    _pin(os.getpid(), {ours})
    _pin(server, {theirs})
    try:
        yield
    finally:
        _pin(os.getpid(), allowed)
        _pin(server, allowed)


def _pin(process: int, cores: set[int]) -> None:
    for thread in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(thread), cores)
