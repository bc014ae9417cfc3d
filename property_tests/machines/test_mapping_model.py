"""Whatever is done to a mapping, it stays equal to the dict to which the same was done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from redis_state import RecordMapping

keys = st.sampled_from(["", "a", "{b}", "c:d", "ḿ\n"])
fields = st.sampled_from(["n", "@n", "", "list", "@version"])
numbers = st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9)
leaves = st.none() | st.booleans() | numbers | st.text(st.characters(codec="utf-8"), max_size=5) | st.binary(max_size=3)
values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text("ab", max_size=2), leaves, max_size=2)
entries = st.dictionaries(fields, values, max_size=4)


def outcome(action: Any) -> tuple[str, Any]:
    """Return what an action returned or raised, so that two can be compared."""
    try:
        return "returned", action()
    except (KeyError, TypeError) as error:
        return "raised", type(error)


class Mapping(Machine):
    indexed = "r"

    def start(self) -> None:
        self.real: Any = RecordMapping("model", ttl=TTL, engine=self.engine, container_id="me")
        self.other: Any = RecordMapping("model", ttl=TTL, engine=self.observer)
        self.model: dict[str, dict[str, Any]] = {}

    def stock(self) -> None:
        self.setdefault("a", {"n": 1, "list": [1]})

    def older(self, seconds: float) -> None:
        for key in self.expired(seconds):
            del self.model[key]

    def same(self, action: Any) -> None:  # type: ignore[override]
        said = outcome(lambda: action(self.real))
        assert said == outcome(lambda: action(self.model))
        self.refusing = said[0] == "raised"

    @rule(key=keys, entry=entries)
    def put(self, key: str, entry: dict[str, Any]) -> None:
        self.real[key] = entry
        self.model[key] = dict(entry)

    @rule(key=keys, entry=entries)
    def setdefault(self, key: str, entry: dict[str, Any]) -> None:
        self.same(lambda m: dict(m.setdefault(key, dict(entry))))

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.same(lambda m: m.__delitem__(key))

    @rule(key=keys)
    def pop(self, key: str) -> None:
        self.same(lambda m: m.pop(key))

    @rule(key=keys)
    def pop_with_default(self, key: str) -> None:
        self.same(lambda m: m.pop(key, None))

    @rule(several=st.dictionaries(keys, entries, max_size=3))
    def update(self, several: dict[str, dict[str, Any]]) -> None:
        self.same(lambda m: m.update({key: dict(entry) for key, entry in several.items()}))

    @rule()
    def popitem(self) -> None:
        if self.model:
            key, entry = self.real.popitem()
            assert self.model.pop(key) == entry
        else:
            self.same(lambda m: m.popitem())

    @rule()
    def clear(self) -> None:
        self.same(lambda m: m.clear())

    @rule(key=keys, field=fields, value=values)
    def set_field(self, key: str, field: str, value: Any) -> None:
        self.same(lambda m: m[key].__setitem__(field, value))

    @rule(key=keys, some=entries)
    def update_fields(self, key: str, some: dict[str, Any]) -> None:
        self.same(lambda m: m[key].update(some))

    @rule(key=keys, field=fields)
    def delete_field(self, key: str, field: str) -> None:
        self.same(lambda m: m[key].__delitem__(field))

    @rule(key=keys, field=fields, value=values)
    def default_field(self, key: str, field: str, value: Any) -> None:
        self.same(lambda m: m[key].setdefault(field, value))

    @rule(key=keys, field=fields, by=numbers)
    def add(self, key: str, field: str, by: float) -> None:
        if not isinstance(self.model.get(key, {}).get(field), list):  # a list refuses += in its own words

            def add(m: Any) -> None:
                m[key][field] += by

            self.same(add)

    @rule(key=keys, field=fields, by=numbers)
    def add_written_out(self, key: str, field: str, by: float) -> None:
        self.same(lambda m: m[key].__setitem__(field, m[key][field] + by))

    @rule(key=keys, field=fields, by=numbers)
    def increment(self, key: str, field: str, by: float) -> None:
        old = self.model.get(key, {}).get(field, 0)
        if type(old) in (int, float):
            assert self.real.increment(key, field, by) == old + by
            self.model.setdefault(key, {})[field] = old + by

    @rule(key=keys, some=entries)
    def patch(self, key: str, some: dict[str, Any]) -> None:
        assert self.real.patch(key, some) is (key in self.model)
        if key in self.model:
            self.model[key].update(some)

    @rule(key=keys, some=entries)
    def mutate(self, key: str, some: dict[str, Any]) -> None:
        if key in self.model:
            self.real.mutate(key, lambda fields: fields.update(some))
            self.model[key].update(some)

    @rule(key=keys, ttl=st.sampled_from([None, 200.0, 2600.0]))
    def touch(self, key: str, ttl: float | None) -> None:
        assert self.real.touch(key, ttl) is (key in self.model)
        self.renewed.add(key)

    @rule(key=keys, entry=entries, ttl=st.sampled_from([200.0, 2600.0]))
    def put_for(self, key: str, entry: dict[str, Any], ttl: float) -> None:
        self.real.put(key, entry, ttl=ttl)
        self.model[key] = dict(entry)

    @rule(key=keys, entry=entries)
    def put_for_a_moment(self, key: str, entry: dict[str, Any]) -> None:
        self.real.put(key, entry, ttl=0.001)
        self.until_it_is_over()
        self.model.pop(key, None)

    @rule(several=st.lists(keys, max_size=4))
    def read(self, several: list[str]) -> None:
        found = self.real.get_many(several)
        assert found == {key: self.model[key] for key in several if key in self.model}
        assert len(self.real) == len(self.model)
        self.refusing = True

    def agrees(self, snapshot: Snapshot) -> None:
        found = self.other.copy()
        assert found == self.model
        assert types(found) == types(self.model)
        assert len(self.other) == len(self.model)
        assert set(self.other) == self.model.keys()
        assert all(seen.holds["@owner"] == "me" for seen in snapshot.of("r").values())


def types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return [types(item) for item in value] if isinstance(value, list) else type(value)


@everywhere
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_mapping_equals_its_model(kind: str, partitions: int) -> None:
    run(Mapping, kind, examples=25, partitions=partitions)
