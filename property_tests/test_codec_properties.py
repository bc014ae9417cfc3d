"""Values of every accepted type, nested at will, come back equal and of equal types."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_state.codec import as_json, decode, encode
from redis_state.errors import CorruptValue

fixed_zones = st.builds(
    timezone,
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
zones = st.none() | st.just(UTC) | fixed_zones | st.timezones()
hashable_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**130), 2**130)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.timedeltas()
    | st.times(timezones=st.none() | fixed_zones)
    | st.datetimes(timezones=zones)
    | fixed_zones
    | st.timezones()
)
hashables = st.recursive(
    hashable_leaves,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    hashables,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=5)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=25,
)


def canon(value: Any) -> Any:
    """Write a value so that equal results mean equal values of equal types; NaN equals NaN, -0.0 is not 0.0."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(canon(key), canon(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return kind, [canon(item) for item in value]
    if isinstance(value, set | frozenset):
        return kind, sorted(repr(canon(item)) for item in value)
    return kind, repr(value), getattr(value, "fold", 0)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_every_accepted_value_comes_back_equal_and_of_equal_type(value):
    assert canon(decode(encode(value))) == canon(value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(values, min_size=1, max_size=4), st.integers(40, 400))
def test_large_values_come_back_too(few, times):
    value = [few[i % len(few)] for i in range(times)]
    assert canon(decode(encode(value))) == canon(value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_every_accepted_value_can_be_shown_as_json(value):
    assert as_json(value)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from([b"", b"\xc1", b"\x28\xb5\x2f\xfd", b"[", b'{"']), st.binary(max_size=200))
def test_any_bytes_give_a_value_or_corrupt_value(lead, rest):
    try:
        decode(lead + rest)
    except CorruptValue:
        pass
