"""Each mutant of ``mutants/`` is still a change of one place of the code: none rots unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

import redis_state
from property_tests.mutants import MUTANTS, Mutant, Rotten
from redis_state.engine.registry import lua_directory
from tests.support import ROOT

HERE = {"redis_state": Path(redis_state.__file__).parent, "lua": lua_directory()}


def source(mutant: Mutant) -> str:
    top, _, inside = mutant.file.partition("/")
    return (HERE[top] / inside).read_text(encoding="utf-8")


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    right = source(mutant)
    assert mutant.applied_to(right) != right
    if mutant.file.endswith(".py"):
        compile(mutant.applied_to(right), mutant.file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_its_tests_are_there(mutant: Mutant) -> None:
    assert mutant.caught_by
    for test in mutant.caught_by.split():
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0] or 'test_'}" in text


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("text", ["not there at all", "the"])
def test_a_mutant_that_fits_nowhere_or_twice_is_noticed(text: str) -> None:
    with pytest.raises(Rotten, match="not once"):
        Mutant("a/b", "lua/lock/release.lua", text, "", "", "").applied_to("the lock of the owner")
