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

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from proxy import Proxy  # noqa: E402
from servers import Server, available  # noqa: E402

from property_tests.stress.check import Round, violations  # noqa: E402
from property_tests.stress.crew import Crew  # noqa: E402
from property_tests.stress.diary import lines, story  # noqa: E402
from property_tests.stress.faults import Storm, planned  # noqa: E402
from property_tests.stress.world import Job  # noqa: E402
from redis_state import Engine  # noqa: E402

MOST_TOLD = 10  # violations of a round
FORGETFUL = 4  # each so many rounds the server loses its data
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

    def play(self, number: int, folder: Path) -> list[str]:
        """Play one round. Return what is wrong after it."""
        options, exact = self.options, (number + 1) % FORGETFUL != 0
        seed = f"{options.seed}/{number}"
        kind = "keeps its data" if exact else "loses its data"
        binary = available()[options.server] if options.server else None
        with Server(binary, appendonly=exact, appendfsync="no") as server, Proxy(server.socket_path) as proxy:
            crew = Crew(options.processes, Job(proxy.url, f"stress{number}", str(folder)), seed)
            storm = Storm(server, proxy, crew, loses_data=not exact)
            try:
                storm.rage(planned(seed, options.seconds, options.processes), self._teller(number, kind, folder))
                storm.calm()
                wrong = list(crew.finish())
            finally:
                crew.dismiss()
            acts = story(folder)
            self.rounds += 1
            self.calls.update(act.what for act in acts)
            self.ends.update(act.end or "never told" for act in acts)
            self.faults.update(storm.happened)
            with Engine.from_url(server.url, prefix=f"stress{number}") as engine:
                seen = Round(acts, server, engine, folder, exact)
                wrong += islice(violations(seen), MOST_TOLD)
        said = f"{len(wrong)} violations" if wrong else "all as promised"
        self._say(f"round {number} ({kind}): {len(acts):,} calls, {storm.happened.total()} faults: {said}")
        return wrong

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
    end = time.monotonic() + options.minutes * 60
    for number in count(options.round):
        folder = Path(tempfile.mkdtemp(prefix="rs-stress-"))
        wrong = stress.play(number, folder)
        if wrong:
            print(
                f"\n{stress.summary()}\n\nVIOLATIONS in round {number}; the diaries are in {folder}\n", file=sys.stderr
            )
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
