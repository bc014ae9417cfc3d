"""A mapping of opaque values equals the dict to which the same was done, however its calls are lost and repeated."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near
from redis_state import ValueMapping
from redis_state.codec import encode

names = st.sampled_from(["", "a", "b", "{c}", "d:e", "ḿ\n"])
values = st.integers() | st.text("xyü", max_size=5) | st.binary(max_size=3) | st.lists(st.booleans(), max_size=3)
ttls = st.sampled_from([None, None, 200.0, 2600.0])


class Values(Machine):
    """A value, and how many seconds it has left."""

    indexed = "v"

    def start(self) -> None:
        self.real = ValueMapping("values", ttl=TTL, engine=self.engine)
        self.other = ValueMapping("values", ttl=TTL, engine=self.observer)
        self.model: dict[str, tuple[Any, float]] = {}

    def stock(self) -> None:
        self.setdefault("a", 1)

    def older(self, seconds: float) -> None:
        self.model = {name: (value, left - seconds) for name, (value, left) in self.model.items() if left > seconds}

    def plain(self) -> dict[str, Any]:
        return {name: value for name, (value, _) in self.model.items()}

    @rule(name=names, value=values, ttl=ttls)
    def put(self, name: str, value: Any, ttl: float | None) -> None:
        self.real.put(name, value, ttl=ttl)
        self.model[name] = value, ttl or TTL

    @rule(name=names, value=values)
    def put_for_a_moment(self, name: str, value: Any) -> None:
        self.real.put(name, value, ttl=0.001)
        self.until_it_is_over()
        self.model.pop(name, None)

    @rule(several=st.dictionaries(names, values, max_size=4), ttl=ttls)
    def put_many(self, several: dict[str, Any], ttl: float | None) -> None:
        self.real.put_many(several, ttl=ttl)
        self.model.update({name: (value, ttl or TTL) for name, value in several.items()})

    @rule(name=names, value=values)
    def setdefault(self, name: str, value: Any) -> None:
        assert self.real.setdefault(name, value) == self.model.setdefault(name, (value, TTL))[0]

    @rule(name=names)
    def delete(self, name: str) -> None:
        assert self.real.delete(name) is (self.model.pop(name, None) is not None)

    @rule(name=names)
    def pop(self, name: str) -> None:
        assert self.real.pop(name, None) == self.model.pop(name, (None, 0))[0]

    @rule()
    def popitem(self) -> None:
        if self.model:
            name, value = self.real.popitem()
            assert self.model.pop(name)[0] == value
        else:
            with self.refused(KeyError):
                self.real.popitem()

    @rule(name=names, ttl=ttls)
    def touch(self, name: str, ttl: float | None) -> None:
        assert self.real.touch(name, ttl) is (name in self.model)
        if name in self.model:
            self.model[name] = self.model[name][0], ttl or TTL

    @rule()
    def clear(self) -> None:
        self.real.clear()
        self.model.clear()

    @rule(several=st.lists(names, max_size=4))
    def read(self, several: list[str]) -> None:
        assert self.real.get_many(several) == {name: self.plain()[name] for name in several if name in self.model}
        assert len(self.real) == len(self.model)
        self.refusing = True

    def agrees(self, snapshot: Snapshot) -> None:
        stored = {name: encode(value).decode("utf-8", "surrogateescape") for name, value in self.plain().items()}
        assert {name: seen.holds for name, seen in snapshot.of("v").items()} == stored
        assert all(near(seen.left, self.model[name][1]) for name, seen in snapshot.of("v").items())
        assert self.other.copy() == self.plain()
        assert len(self.other) == len(self.model)
        assert set(self.other) == self.model.keys()


@everywhere
def test_a_mapping_of_values_equals_its_model(kind: str) -> None:
    run(Values, kind, examples=30)
