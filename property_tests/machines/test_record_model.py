"""Records, their versions, fencing tokens and companions equal their model, operation by operation."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.models.base import Call, Refused
from property_tests.models.mapping import Mapping as Model
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations as Operations

KEYS = Keys("records")
WRITERS = {who: Operations(KEYS, TTL, lambda who=who: who, ["bitmap", "news"]) for who in ("me", "you")}
RECORDS = WRITERS["me"]
names = st.sampled_from(["a", "{b}:c"])
who = st.sampled_from(sorted(WRITERS))
fields = st.sampled_from(["n", "@m"])
numbers = st.integers(-5, 5)
entries = st.dictionaries(fields, numbers, max_size=2)
tokens = st.sampled_from([None, None, 5, 6, 7])


class Records(Machine):
    """Some records, written with and without tokens."""

    indexed = "r"
    companions = "bn"

    def start(self) -> None:
        self.model = Model()
        self.seen: dict[str, list[int]] = {}  # versions that were told
        self.beside: set[str] = set()  # records that have companions
        self.owners: dict[str, str] = {}

    def lost(self) -> None:
        self.model = self.model.wipe(None)
        self.beside = set()

    def stock(self) -> None:
        if "a" not in self.model.records:
            self.grow_companions("a")

    def older(self, seconds: float) -> None:
        for name in self.expired(seconds):
            self.model = self.model.remove(True, name)
        self.beside &= self.model.records.keys()

    def said(self, verb: str, name: str, *args: Any, **options: Any) -> Any:
        """Do the same to both; what began a new record, or ended one, ended its companions, too."""
        writer = options.pop("writer", "me")
        op = getattr(WRITERS[writer], verb)(name, *args, **options)
        new = verb in ("put", "create") or name not in self.model.records
        said = self.same(verb, (name, *args, *options.values()), lambda: self.engine.run(op))
        if said not in (False, None) and verb in ("put", "create", "remove", "pop") and not isinstance(said, Refused):
            self.beside.discard(name)
        if new and said is not False and not isinstance(said, Refused):
            self.owners[name] = writer
        return said

    @rule(name=names, entry=entries, token=tokens, writer=who)
    def put(self, name: str, entry: dict[str, int], token: int | None, writer: str) -> None:
        said = self.said("put", name, entry, fence=token, writer=writer)
        if isinstance(said, int):
            self.seen.setdefault(name, []).append(said)

    @rule(name=names, entry=entries, writer=who)
    def create(self, name: str, entry: dict[str, int], writer: str) -> None:
        self.refusing = self.said("create", name, entry, writer=writer) is False

    @rule(name=names, entry=entries, late=st.integers(0, 2), token=tokens, writer=who)
    def put_if_version(self, name: str, entry: dict[str, int], late: int, token: int | None, writer: str) -> None:
        versions = self.seen.get(name, [7])
        version = versions[max(0, len(versions) - 1 - late)]
        said = self.said("put_if_version", name, entry, version, fence=token, writer=writer)
        if isinstance(said, int):
            self.seen[name].append(said)
        self.refusing = not isinstance(said, int)

    @rule(name=names, some=entries, token=tokens)
    def patch(self, name: str, some: dict[str, int], token: int | None) -> None:
        self.said("patch", name, some, fence=token)

    @rule(name=names, field=fields, by=numbers, token=tokens, writer=who)
    def increment(self, name: str, field: str, by: int, token: int | None, writer: str) -> None:
        self.said("increment", name, field, by, fence=token, writer=writer)

    @rule(name=names, field=fields, value=numbers)
    def fill(self, name: str, field: str, value: int) -> None:
        said = self.said("fill", name, field, value)
        self.refusing = said[0] is not True

    @rule(name=names, field=fields)
    def unset(self, name: str, field: str) -> None:
        self.said("unset", name, field)

    @rule(name=names, token=tokens)
    def remove(self, name: str, token: int | None) -> None:
        self.said("remove", name, fence=token)

    @rule(name=names)
    def pop(self, name: str) -> None:
        op = RECORDS.pop(name)

        def fields() -> Any:
            found = self.engine.run(op)
            return found and found.fields

        self.same("pop", (name,), fields)
        self.beside.discard(name)

    @rule(name=names, ttl=st.sampled_from([None, 200.0, 2600.0]))
    def touch(self, name: str, ttl: float | None) -> None:
        assert self.engine.run(RECORDS.touch(name, ttl)) is (name in self.model.records)
        self.renewed.add(name)

    @rule(name=names)
    def companions_grow_old(self, name: str) -> None:
        self.grow_companions(name)
        self.time_passes(times=1)

    @rule(name=names)
    def grow_companions(self, name: str) -> None:
        """Let a domain keep something beside the record; a write gives it the record's time."""
        if name not in self.model.records:
            self.said("create", name, {"n": 1})
        self.client.setbit(KEYS.key("bitmap", name), 3, 1)
        self.client.xadd(KEYS.key("news", name), {"a": "b"})
        self.beside.add(name)
        self.said("patch", name, {}, fence=None)

    @rule(name=names)
    def get(self, name: str) -> None:
        found = self.engine.run(RECORDS.get(name))
        self.same("get", (name,), lambda: found and (found.fields, found.version))
        if found:
            self.seen.setdefault(name, []).append(found.version)
        self.refusing = True

    def agrees(self, snapshot: Snapshot) -> None:
        wanted = ("a", "{b}:c")
        found = self.observer.run(RECORDS.get_some(wanted))
        plain = {name: seen.fields for name, seen in zip(wanted, found, strict=True) if seen}
        assert self.model.step(Call("get_many", (wanted,)), plain)
        assert snapshot.of("r").keys() == self.model.records.keys()
        assert snapshot.of("b").keys() == self.beside == snapshot.of("n").keys()
        for name, record in snapshot.of("r").items():
            assert int(record.holds.get("@fence", 0)) == self.model.records[name].fence
            assert record.holds["@owner"] == self.owners[name]


@everywhere
def test_records_equal_their_model(kind: str) -> None:
    run(Records, kind, examples=70)
