"""Durations are checked in one place: the text names the value, its unit and its bounds."""

from __future__ import annotations

from typing import Any

import pytest

from redis_state.durations import DAY, HOUR, TEN_YEARS, seconds, to_ms, ttl_ms


@pytest.mark.parametrize("value", ["5", None, True, [1.0]])
def test_a_duration_is_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^lease is a number of seconds, not \w+$"):
        seconds("lease", value)


@pytest.mark.parametrize("value", [0, -1, 86400.1, float("nan"), float("inf"), -float("inf"), 10**400])
def test_a_duration_out_of_range_is_refused_with_both_bounds(value: float) -> None:
    with pytest.raises(ValueError, match=r"^lease=.*: seconds, above 0 and at most a day$"):
        seconds("lease", value, most=DAY)


@pytest.mark.parametrize(
    ("least", "most", "wrong", "bounds"),
    [
        (0.0, HOUR, -0.001, "from 0 to an hour"),
        (0.001, DAY, 0.0009, "from 0.001 to a day"),
        (0.0, TEN_YEARS, 1e12, "from 0 to ten years"),
        (1.0, 90.0, 91, "from 1 to 90"),
    ],
)
def test_a_duration_may_be_at_its_bounds(least: float, most: float, wrong: float, bounds: str) -> None:
    assert (seconds("x", least, least=least, most=most), seconds("x", most, least=least, most=most)) == (least, most)
    with pytest.raises(ValueError, match=rf"^x={wrong!r}: seconds, {bounds}$"):
        seconds("x", wrong, least=least, most=most)


def test_nothing_lives_forever() -> None:
    with pytest.raises(
        ValueError, match=r"^ttl=inf: seconds, above 0 and at most ten years \(nothing lives forever\)$"
    ):
        ttl_ms(float("inf"))
    with pytest.raises(ValueError, match=r"^ttl=86401: seconds, above 0 and at most a day$"):
        ttl_ms(86401, DAY)


def test_what_is_sent_is_never_0() -> None:
    assert [to_ms(value) for value in (1e-9, 0.0019, 1, 2.5)] == [1, 1, 1000, 2500]
    assert ttl_ms(5e-324) == 1
