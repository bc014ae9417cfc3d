"""``python -m property_tests.stress``: rounds of everything at once, until the time is over or something is wrong."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

from property_tests.stress.checker import Round, violations
from property_tests.stress.config import Job
from property_tests.stress.log import history, lines
from property_tests.stress.nemesis import Nemesis, planned
from property_tests.stress.processes import Processes
from redis_state import Engine
from tests.support.clock import SteppedServer, steppable, why_not
from tests.support.proxy import Proxy
from tests.support.servers import Server, available

MOST_TOLD = 10  # violations of a round
KINDS = ("keeps its data", "has a clock that is stepped", "keeps its data", "loses its data")  # of servers, in turn
TOLD_EVERY = 5.0  # seconds


class Stress:
    """What all rounds share, and what came of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.began = time.monotonic()
        self.calls: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.rounds = 0
        self.no_steps = self._why_no_steps()

    def _why_no_steps(self) -> str:
        """Say why the clock of the server cannot be stepped; empty where it can."""
        found = available()
        name = self.options.server or next(iter(steppable() or found))
        return why_not(found[name])

    def play(self, number: int, folder: Path) -> list[str]:
        """Play one round. Return what is wrong after it."""
        options, seed, kind = self.options, f"{self.options.seed}/{number}", self._kind(number)
        exact, steps = kind != "loses its data", "stepped" in kind
        with self._server(exact, steps) as server, Proxy(server.socket_path) as proxy:
            processes = Processes(options.processes, Job(proxy.url, f"stress{number}", str(folder), steps), seed)
            nemesis = Nemesis(server, proxy, processes, loses_data=not exact)
            plan = planned(seed, options.seconds, options.processes, clock_steps=steps)
            try:
                nemesis.follow(plan, self._teller(number, kind, folder))
                nemesis.heal()
                wrong = list(processes.finish())
            finally:
                processes.dismiss()
            operations = history(folder)
            self.rounds += 1
            self.calls.update(op.what for op in operations)
            self.ends.update(op.end or "never told" for op in operations)
            self.faults.update(nemesis.happened)
            with Engine.from_url(server.url, prefix=f"stress{number}") as engine:
                seen = Round(operations, server, engine, folder, exact, nemesis.steps)
                wrong += islice(violations(seen), MOST_TOLD)
        said = f"{len(wrong)} violations" if wrong else "all as promised"
        self._say(f"round {number} ({kind}): {len(operations):,} calls, {nemesis.happened.total()} faults: {said}")
        return wrong

    def _kind(self, number: int) -> str:
        kind = KINDS[number % len(KINDS)]
        return KINDS[0] if "stepped" in kind and self.no_steps else kind

    def _server(self, exact: bool, steps: bool) -> Server:
        settings = {"appendonly": exact, "appendfsync": "no"}
        program = available()[self.options.server] if self.options.server else None
        return SteppedServer(program, **settings) if steps else Server(program, **settings)

    def _teller(self, number: int, kind: str, folder: Path) -> Callable[[float], None]:
        last = 0.0

        def tell(now: float) -> None:
            nonlocal last
            if now - last > TOLD_EVERY:
                last = now
                self._say(f"round {number} ({kind}): {now:.0f} s, some {lines(folder):,} lines")

        return tell

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def summary(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{times:,} {name}" for name, times in counts.most_common())

        return "\n".join(
            [
                f"{self.rounds} rounds in {time.monotonic() - self.began:.0f} s, seed {self.options.seed}",
                f"calls:  {self.calls.total():,}: {listed(self.calls)}",
                f"ends:   {listed(self.ends)}",
                f"faults: {self.faults.total():,}: {listed(self.faults)}",
            ]
        )


def main() -> int:
    options = _parser().parse_args()
    stress = Stress(options)
    print(f"seed {options.seed}, {options.processes} processes, rounds of {options.seconds:g} s", flush=True)
    if stress.no_steps:
        print(f"no round with steps of the server's clock: {stress.no_steps}", flush=True)
    end = time.monotonic() + options.minutes * 60
    for number in count(options.round):
        folder = Path(tempfile.mkdtemp(prefix="rs-stress-"))
        wrong = stress.play(number, folder)
        if wrong:
            print(f"\n{stress.summary()}\n\nVIOLATIONS in round {number}; the logs are in {folder}\n", file=sys.stderr)
            print("\n".join(f"* {one}" for one in wrong), file=sys.stderr)
            again = f"--seed {options.seed} --round {number} --processes {options.processes}"
            print(f"\nThe same faults again: python -m property_tests.stress {again}", file=sys.stderr)
            return 1
        shutil.rmtree(folder)
        if time.monotonic() >= end:
            break
    print(f"\n{stress.summary()}\nno violations")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m property_tests.stress",
        description="Use all domains at once in several processes, while replies are lost, the server crashes and "
        "processes are killed. At the end of each round everything must be exact. Exit code 1 at the first violation.",
        epilog="The seed decides which faults happen when, and what each process tries. How far a process has got by "
        "then is up to the machine, so a violation may take some rounds to show itself again.",
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="begin rounds for so long (default: %(default)g)")
    parser.add_argument("--seed", default=None, help="default: another one each time")
    parser.add_argument("--round", type=int, default=0, help="the first one (default: %(default)d)")
    parser.add_argument("--processes", type=int, default=6, help="default: %(default)d")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a round (default: %(default)g)")
    parser.add_argument("--server", choices=sorted(available()), help="default: the newest")
    parser.set_defaults(seed=str(random.SystemRandom().randrange(10**6)))
    return parser


if __name__ == "__main__":
    sys.exit(main())
