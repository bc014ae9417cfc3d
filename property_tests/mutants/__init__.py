"""Proof of strength: wrong variants of the scripts and of the Python around them, which the tests must catch.

::

    mutant     what a mutant is
    entries, calls, locks, work, texts, transfers     the mutants, by domain
    run        a copy of the tree, a mutant in it, and the tests that must fail there
    watch      the plugin that tells which test failed, and after how many examples
    table      what is told at the end

``make mutants`` runs them all.
"""

from .calls import CALLS
from .entries import ENTRIES
from .locks import LOCKS
from .mutant import Mutant, Rotten
from .texts import TEXTS
from .transfers import TRANSFERS
from .work import WORK

MUTANTS: tuple[Mutant, ...] = (*ENTRIES, *CALLS, *LOCKS, *WORK, *TEXTS, *TRANSFERS)

__all__ = ["MUTANTS", "Mutant", "Rotten"]
