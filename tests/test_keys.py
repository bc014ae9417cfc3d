"""Names of keys: readable, one hash slot for each partition, whatever a name holds."""

from __future__ import annotations

from binascii import crc_hqx

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_state import ConfigError
from redis_state.keys import Keys, call_record

MAKERS = ("record", "value", "index", "fence", "bitmap", "news", "completions")
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
names = st.text(st.characters(codec="utf-8"), max_size=30)


def slot(key: str) -> int:
    """Return the hash slot, as the Cluster specification defines it."""
    start = key.find("{")
    end = key.find("}", start + 1)
    tag = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return crc_hqx(tag.encode(), 0) % 16384


def test_keys_read_as_documented() -> None:
    keys = Keys("progress")
    assert keys.record("track-7:voice:2") == "rs:{progress}:r:track-7:voice:2"
    assert keys.value("a") == "rs:{progress}:v:a"
    assert keys.fence("a") == "rs:{progress}:f:a"
    assert keys.indexes() == ["rs:{progress}:i"]


def test_a_partition_is_part_of_the_tag() -> None:
    keys = Keys("progress", partitions=4)
    number = crc_hqx(b"a", 0) % 4
    assert keys.record("a") == f"rs:{{progress.{number}}}:r:a"


@patient
@given(names, st.sampled_from([1, 4, 16]))
def test_all_keys_of_a_name_are_in_one_slot(name: str, partitions: int) -> None:
    keys = Keys("things", partitions=partitions)
    made = [getattr(keys, maker)(name) for maker in MAKERS]
    made.append(call_record(keys.record(name), "caller"))
    assert len({slot(key) for key in made}) == 1


@patient
@given(names)
def test_a_name_is_in_one_of_the_indexes(name: str) -> None:
    keys = Keys("things", partitions=4)
    assert keys.index(name) in keys.indexes()


@patient
@given(names, names)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    keys = Keys("things", partitions=4)
    assert (keys.record(one) == keys.record(other)) == (one == other)


def test_the_kinds_of_key_never_meet() -> None:
    keys = Keys("things")
    assert len({getattr(keys, maker)("x") for maker in MAKERS}) == len(MAKERS)


@pytest.mark.parametrize("namespace", ["", "a{b", "a}b", "{}"])
def test_a_namespace_that_would_move_the_slot_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigError, match="braces"):
        Keys(namespace)


@pytest.mark.parametrize("namespace", [None, 5, b"x"])
def test_a_namespace_is_a_string(namespace: object) -> None:
    with pytest.raises(TypeError, match="namespace"):
        Keys(namespace)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [None, 5, b"x", ("a",), 1.5])
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_name_is_a_string(name: object, partitions: int) -> None:
    with pytest.raises(TypeError, match="a key is a string"):
        Keys("things", partitions=partitions).record(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_name_that_utf8_cannot_hold_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        Keys("things", partitions=partitions).record("half a pair: \ud800")
