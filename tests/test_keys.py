"""Names of keys: readable, one hash slot for each partition, whatever a name holds."""

from __future__ import annotations

from binascii import crc_hqx
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redis_state import ConfigError
from redis_state.keys import SLOTS, Keys, partition_tags

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
    assert keys.key("entry", "track-7:voice:2") == "rs:{progress}:r:track-7:voice:2"
    assert keys.key("value", "a") == "rs:{progress}:v:a"
    assert keys.key("fence", "a") == "rs:{progress}:f:a"
    assert keys.all("partition") == ["rs:{progress}:index"]
    assert keys.all("values") == ["rs:{progress}:values"]


def test_a_partition_is_part_of_the_tag() -> None:
    keys = Keys("progress", partitions=4)
    number = crc_hqx(b"a", 0) % 4
    assert keys.key("entry", "a") == f"rs:{{{partition_tags('progress', 4)[number]}}}:r:a"
    assert keys.of("a").slot == slot(keys.key("entry", "a"))


@pytest.mark.parametrize("namespace", ["progress", "upload", "text", "a namespace", "\u00e9"])
@pytest.mark.parametrize("partitions", [2, 3, 7, 16, 64, 100, 256])
def test_partitions_lie_evenly_over_the_hash_slots(namespace: str, partitions: int) -> None:
    tags = partition_tags(namespace, partitions)
    slots = [slot(f"{{{tag}}}") for tag in tags]
    assert [at * partitions // 16384 for at in slots] == list(range(partitions))
    for nodes in (2, 3, 6, 10):
        shares = Counter(at * nodes // 16384 for at in slots)
        assert max(shares.values()) <= -(-partitions // nodes) + 1
    for number, tag in enumerate(tags):  # the first number that falls there, so every process says the same
        earlier = [f"{namespace}.{k}" for k in range(int(tag.rpartition(".")[2]))]
        assert number not in {slot(f"{{{each}}}") * partitions // 16384 for each in earlier}


def test_a_namespace_in_one_partition_is_its_own_tag() -> None:
    assert partition_tags("progress", 1) == ("progress",)


@patient
@given(names, st.sampled_from([1, 4, 16]))
def test_all_keys_of_a_name_are_in_one_slot(name: str, partitions: int) -> None:
    keys = Keys("things", partitions=partitions)
    made = [keys.key(each, name) for each in SLOTS]
    made.append(keys.of(name).key("record", "caller"))
    assert len({slot(key) for key in made}) == 1


@patient
@given(names)
def test_a_name_is_in_one_of_the_indexes(name: str) -> None:
    keys = Keys("things", partitions=4)
    assert keys.key("partition", name) in keys.all("partition")
    assert keys.key("values", name) in keys.all("values")


@patient
@given(names, names)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    keys = Keys("things", partitions=4)
    assert (keys.key("entry", one) == keys.key("entry", other)) == (one == other)


def test_the_kinds_of_key_never_meet() -> None:
    keys = Keys("things")
    made = {slot: keys.key(slot, "x") for slot in SLOTS if slot != "voice"}  # a record of its own namespace
    assert len(set(made.values())) == len(made)


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
        Keys("things", partitions=partitions).key("entry", name)  # type: ignore[arg-type]


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_name_that_utf8_cannot_hold_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        Keys("things", partitions=partitions).key("entry", "half a pair: \ud800")
