"""``python -m property_tests.mutants``: see each wrong variant of the code fail its tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from time import monotonic

from property_tests.mutants import MUTANTS, table
from property_tests.mutants.run import Bench, Outcome

ABOUT = """Make the code wrong in one place at a time, in a copy, and run the tests that must notice.
Ends with 1 when a mutant survives, with 2 when nothing can be proven."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m property_tests.mutants", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-k", default="", metavar="WORDS", help="only mutants with one of these in their name: lock,quota"
    )
    parser.add_argument("--list", action="store_true", help="tell what there is, and run nothing")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="mutants tested at a time (2)")
    parser.add_argument("--limit", type=float, default=120.0, metavar="S", help="seconds for one mutant (120)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the examples that Hypothesis draws (1)")
    parser.add_argument("--unproven", action="store_true", help="do not run the tests on the code as it is first")
    parser.add_argument("--write", action="store_true", help="put the table into property_tests/README.md")
    asked = parser.parse_args(words)
    if asked.write and asked.k:
        parser.error("the table is of all mutants: --write goes without -k")
    return asked


def main() -> int:
    asked = arguments()
    words = asked.k.split(",")
    mutants = [mutant for mutant in MUTANTS if any(word in mutant.name for word in words)]
    if asked.list:
        for mutant in mutants:
            print(f"{mutant.name:42} {mutant.file}: {mutant.why}")
        return 0
    began = monotonic()
    with Bench(asked.jobs, asked.limit, asked.seed) as bench:
        if not asked.unproven:
            print(f"{len(mutants)} mutants; first their tests, on the code as it is", flush=True)
            for failed in (fails := bench.unchanged(mutants)):
                print(f"fails without any mutant: {failed}", flush=True)
            if fails:
                return 2
            print(f"all pass, {monotonic() - began:.0f} s", flush=True)
        known: dict[str, Outcome] = {}
        for outcome in bench.outcomes(mutants):
            known[outcome.mutant.name] = outcome
            print(f"{len(known):3}/{len(mutants)} {table.line(outcome)}", flush=True)
    outcomes = [known[mutant.name] for mutant in mutants]
    seconds = monotonic() - began
    print(f"\n{table.table(outcomes)}\n\n{table.verdict(outcomes, seconds)}")
    if asked.write:
        table.write(outcomes, seconds)
    verdicts = {outcome.verdict for outcome in outcomes}
    return 1 if "survived" in verdicts else 2 if "broken" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
