"""Invariants of all that a server holds, after each step of any machine."""

from __future__ import annotations

from collections.abc import Collection

from property_tests.machines.server_snapshot import Seen, Snapshot, near

SWEPT = 8  # names of the dead that a new entry takes out of its index


def of_keys(snapshot: Snapshot) -> None:
    """Nothing lives forever; the records of calls live 15 minutes."""
    for key, seen in snapshot.items():
        assert seen.left is not None, f"{key} lives forever"
    assert all(700 < (seen.left or 0) <= 900 for seen in snapshot.of("c").values())


def of_indexes(before: Snapshot, snapshot: Snapshot, kind: str) -> None:
    """An index tells of each entry and until when, and outlives them all; the dead do not pile up in it."""
    entries, listed = snapshot.entries(kind), "values" if kind == "v" else "index"
    assert entries.keys() <= snapshot.entries(listed).keys()
    for head, indexes in snapshot.entries(listed).items():
        (index,) = indexes.values()
        live = {name: ends / 1000 - snapshot.now for name, ends in index.holds.items() if ends / 1000 > snapshot.now}
        found = {name: seen.left or 0.0 for name, seen in entries.get(head, {}).items()}
        assert live.keys() == found.keys(), "the index names others than there are"
        assert all(near(live[name], left) and left <= (index.left or 0) for name, left in found.items())
        old = before.get(f"{head}{listed}", Seen({}, None)).holds
        if index.holds.keys() - old.keys():
            dead = {name for name, ends in old.items() if ends / 1000 < before.now} - live.keys()
            assert len(index.holds.keys() & dead) <= max(0, len(dead) - SWEPT), "the dead pile up in the index"


def of_records(before: Snapshot, snapshot: Snapshot, renewed: Collection[str], companions: str) -> None:
    """A write gives a new version and renews the TTL, also of companions, which never outlive their record.

    ``renewed``: records that were renewed without being written.
    """
    olds, records = before.of("r"), snapshot.of("r")
    for name, record in records.items():
        old = olds.get(name)
        assert record.holds.keys() >= {"@version", "@ttl", "@created", "@updated"}
        if old is None or _written(old) != _written(record):
            assert near(int(record.holds["@updated"]) / 1000, snapshot.now)
            assert old is None or int(record.holds["@version"]) > int(old.holds["@version"])
        elif name not in renewed:
            assert near(record.left, old.left or 0.0), "a read renews nothing"
            continue
        assert near(record.left, int(record.holds["@ttl"]) / 1000), "a write renews the TTL"
    for kind in companions:
        for name, companion in snapshot.of(kind).items():
            assert name in records, f"a companion {kind} outlived its record"
            assert near(companion.left, records[name].left or 0.0), f"a companion {kind} was not renewed"


def _written(record: Seen) -> dict[str, str]:
    holds = record.holds.items()
    return {field: text for field, text in holds if field == "@version" or not field.startswith("@")}
