"""Proof of strength: wrong variants of the scripts and of the Python around them, which the tests must catch.

::

    mutant     what a mutant is
    entries, calls, locks, claims, progress, single_flight, counts, texts, transfers, places     the mutants, by domain
    run        a copy of the tree, a mutant in it, and the tests that must fail there
    watch      the plugin that tells which test failed, and after how many examples
    table      what is told at the end

``make mutants`` runs them all.
"""

from property_tests.mutants.calls import CALLS
from property_tests.mutants.claims import CLAIM_MUTANTS
from property_tests.mutants.counts import COUNT_MUTANTS
from property_tests.mutants.entries import ENTRIES
from property_tests.mutants.locks import LOCKS
from property_tests.mutants.mutant import Mutant, Rotten
from property_tests.mutants.places import PLACES
from property_tests.mutants.progress import PROGRESS_MUTANTS
from property_tests.mutants.single_flight import SINGLE_FLIGHT_MUTANTS
from property_tests.mutants.texts import TEXTS
from property_tests.mutants.transfers import TRANSFERS

MUTANTS: tuple[Mutant, ...] = (
    *ENTRIES,
    *CALLS,
    *LOCKS,
    *CLAIM_MUTANTS,
    *PROGRESS_MUTANTS,
    *SINGLE_FLIGHT_MUTANTS,
    *COUNT_MUTANTS,
    *TEXTS,
    *TRANSFERS,
    *PLACES,
)

__all__ = ["MUTANTS", "Mutant", "Rotten"]
