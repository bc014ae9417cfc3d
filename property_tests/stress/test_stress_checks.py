"""What ``make stress`` lets pass, and what not: checks of stories made up for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from property_tests.stress.alarm import PERIOD, Alarm, Interrupted
from property_tests.stress.checker import Round, exclusion, outcomes
from property_tests.stress.config import LEASE, REMEMBERED
from property_tests.stress.log import ANSWERED, INTERRUPTED, NOT_APPLIED, UNDECIDED, Operation
from property_tests.stress.nemesis import CLOCK, Step, planned

NOTHING = cast("Any", None)


def history(*operations: Operation, steps: Sequence[Step] = ()) -> Round:
    return Round(list(operations), NOTHING, NOTHING, Path(), exact=True, steps=steps)


def held(fence: int, since: float, until: float) -> list[Operation]:
    facts = {"key": "x", "fence": fence, "since": since}
    return [
        Operation(1, "acquire", since - 0.1, {"key": "x"}, ANSWERED, fence, since),
        Operation(1, "believe acquire", since, facts, ANSWERED, None, until),
    ]


def step(at: float, by: float) -> Step:
    return Step(at, at, by)


ALONE = [*held(1, 10.0, 10.2), *held(2, 10.3, 10.4)]
TOGETHER = [*held(1, 10.0, 10.4), *held(2, 10.3, 10.5)]
BEHIND_ANOTHER = [*held(1, 10.0, 11.0), *held(2, 10.1, 10.2), *held(3, 10.5, 10.6)]


@pytest.mark.parametrize(
    ("operations", "steps", "wrong"),
    [
        (ALONE, [], 0),
        (TOGETHER, [], 1),
        (BEHIND_ANOTHER, [], 2),
        (TOGETHER, [step(10.2, 5.0)], 0),
        (TOGETHER, [step(9.8, 5.0)], 1),  # before the first one asked
        (TOGETHER, [step(10.31, 5.0)], 1),  # after the second one held it
        (TOGETHER, [step(10.2, -5.0)], 1),
        ([*held(1, 10.0, 10.2 + LEASE), *held(2, 10.3, 10.5)], [step(10.2, 5.0)], 0),
        ([*held(1, 10.0, 10.3 + LEASE), *held(2, 10.3, 10.5)], [step(10.2, 5.0)], 1),
    ],
)
def test_two_hold_it_only_for_a_lease_behind_a_step_forward(
    operations: list[Operation], steps: list[Step], wrong: int
) -> None:
    assert len(list(exclusion(history(*operations, steps=steps)))) == wrong


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ([], 1),
        ([step(1.5, REMEMBERED + 1)], 0),
        ([step(1.2, REMEMBERED), step(1.5, 1.0)], 0),
        ([step(1.5, REMEMBERED - 1)], 1),
        ([step(1.5, -REMEMBERED - 1)], 1),
        ([step(0.5, REMEMBERED + 1)], 1),
    ],
)
def test_an_outcome_is_unknown_for_good_only_behind_a_large_step(steps: list[Step], wrong: int) -> None:
    op = Operation(1, "increment", 1.0, {"key": "a"}, UNDECIDED, None, 2.0)
    assert len(list(outcomes(history(op, steps=steps)))) == wrong


def test_what_was_interrupted_may_have_happened() -> None:
    assert [Operation(1, "mark", 0.0, {}, end).maybe for end in (None, INTERRUPTED, UNDECIDED)] == [True] * 3
    assert not any(Operation(1, "mark", 0.0, {}, end).maybe for end in (ANSWERED, NOT_APPLIED, "StaleToken"))


def test_the_clock_is_stepped_where_that_is_asked_for() -> None:
    assert not any(fault.kind in CLOCK for fault in planned("1", 30.0, 3))
    steps = [fault for fault in planned("1", 30.0, 3, clock_steps=True) if fault.kind in CLOCK and not fault.over]
    assert {fault.by > 0 for fault in steps} == {True, False}
    assert all((fault.by > 0) == (fault.kind != "clock put back") for fault in steps)


def sleep_for_ever() -> None:
    while True:
        time.sleep(PERIOD)


def swallow() -> None:
    with suppress(Interrupted):
        sleep_for_ever()


def test_an_interrupt_comes_out_of_the_call_or_is_missed() -> None:
    with Alarm("1") as alarm:
        with pytest.raises(Interrupted):
            alarm.during(sleep_for_ever)
        with pytest.raises(AssertionError, match="came to nothing"):
            alarm.during(swallow)
        assert alarm.during(lambda: 1) == 1
