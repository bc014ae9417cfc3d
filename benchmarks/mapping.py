"""The dicts beside those of others: one entry, ten, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from hiredis import pack_command

from benchmarks.bench import Bench
from benchmarks.harness import Case, Goal, Group
from benchmarks.peers import REDIS_DICT, TTL, Entry, Peer, all_peers
from benchmarks.scripts import ADD
from redis_state import Engine, Op, RecordMapping, ValueMapping
from redis_state.engine.operation import ScriptOp

TEN = 10
RECORDS, VALUES = "RecordMapping", "ValueMapping"


def entry_of(number: int) -> Entry:
    """Return an entry of some 120 bytes, as an application keeps of a track."""
    return {
        "total_segments": 240,
        "processed_segments": number % 240,
        "status": "processing",
        "voice": f"voice-{number % 12}",
        "path": f"/audio/{number:08d}.wav",
    }


class Dicts:
    """All dicts, filled with the same entries."""

    def __init__(self, bench: Bench) -> None:
        entries = {f"track-{number}:voice:{number % 12}": entry_of(number) for number in range(bench.entries)}
        self.keys = cycle(list(entries))
        self.tens = cycle([list(entries)[start : start + TEN] for start in range(0, bench.entries, TEN)])
        self.entry = entry_of(7)
        self.size = len(entries)
        engine = bench.closing.enter_context(Engine.from_url(f"{bench.url}?db=1"))
        self.records = RecordMapping("records", ttl=TTL, engine=engine)
        self.values = ValueMapping("values", ttl=TTL, engine=engine)
        self.records.put_many(entries)
        self.values.put_many(entries)
        self.bare = bench.bare_connection(db=1)
        self.peers = all_peers(bench)
        for peer in self.peers:
            for key, entry in entries.items():
                peer.set(key, entry)

    def cases(
        self, records: Callable[[], object], values: Callable[[], object] | None, peers: Callable[[Peer], object]
    ) -> list[Case]:
        ours = [Case(RECORDS, records)] + ([Case(VALUES, values)] if values else [])
        return ours + [Case(peer.name, partial(peers, peer)) for peer in self.peers]


def write(dicts: Dicts) -> Group:
    keys, entry, records, values = dicts.keys, dicts.entry, dicts.records, dicts.values
    return Group(
        "Write an entry",
        dicts.cases(
            lambda: records.__setitem__(next(keys), entry),
            lambda: values.__setitem__(next(keys), entry),
            lambda peer: peer.set(next(keys), entry),
        ),
    )


def read(dicts: Dicts) -> Group:
    keys, records, values = dicts.keys, dicts.records, dicts.values
    return Group(
        "Read an entry",
        dicts.cases(lambda: records[next(keys)], lambda: values[next(keys)], lambda peer: peer.get(next(keys))),
    )


def update(dicts: Dicts) -> Group:
    keys, records = dicts.keys, dicts.records
    done = {"status": "done"}
    return Group(
        "Change one field of an entry (others: read, then write, and lose what came in between)",
        dicts.cases(
            lambda: records.patch(next(keys), done), None, lambda peer: peer.update(next(keys), "status", _done)
        ),
    )


def increment(dicts: Dicts) -> Group:
    keys, records = dicts.keys, dicts.records
    group = Group(
        "Add to a number in an entry (others: read, then write, and lose what came in between)",
        dicts.cases(
            lambda: records.increment(next(keys), "processed_segments"),
            None,
            lambda peer: peer.update(next(keys), "processed_segments", _one_more),
        ),
        [Goal(RECORDS, REDIS_DICT, 1 / 3)],
    )
    ours = [
        group.cases[0],
        Case(f'{RECORDS}, m[k]["n"] += 1', lambda: _add_one(records, next(keys))),
        Case(
            "its script, bare connection",
            _bare(dicts, lambda: records.entries.increment(next(keys), "processed_segments")),
        ),
        Case("least deduplicated script, bare connection", _bare(dicts, lambda: ADD.op(ADD.deduplicated))),
    ]
    return Group(group.title, [*ours, *group.cases[1:]], group.goals)


def read_ten(dicts: Dicts) -> Group:
    tens, records, values = dicts.tens, dicts.records, dicts.values
    keys = dicts.keys
    cases = dicts.cases(
        lambda: records.get_many(next(tens)),
        lambda: values.get_many(next(tens)),
        lambda peer: peer.get_many(next(tens)),
    )
    entry = records.entries.entry

    def bare(names: Sequence[str]) -> object:
        sent = [("MULTI",), *(("HGETALL", entry(name)) for name in names), ("EXEC",)]
        return dicts.bare.ask(b"".join(map(pack_command, sent)), len(sent))  # type: ignore[arg-type]

    cases += [
        Case("its commands, bare connection", lambda: bare(next(tens))),
        Case("one of them, bare connection", lambda: dicts.bare.ask(pack_command(("HGETALL", entry(next(keys)))))),  # type: ignore[arg-type]
    ]
    one_of = {RECORDS: f"{RECORDS}, one get", VALUES: f"{VALUES}, one get"}
    cases += [Case(one_of[RECORDS], lambda: records[next(keys)]), Case(one_of[VALUES], lambda: values[next(keys)])]
    return Group(f"Read {TEN} entries", cases, [Goal(name, one, 2.0) for name, one in one_of.items()])


def count(dicts: Dicts) -> Group:
    records, values = dicts.records, dicts.values
    title = f"Count the {dicts.size:,} entries"
    return Group(title, dicts.cases(lambda: len(records), lambda: len(values), lambda peer: peer.count()))


def iterate(dicts: Dicts) -> Group:
    def all_of(items: Any) -> None:
        pairs: Sequence[Any] = list(items)
        if len(pairs) != dicts.size:
            raise AssertionError(f"{len(pairs)} entries were found, and {dicts.size} are there")

    return Group(
        f"Read all {dicts.size:,} entries",
        dicts.cases(
            lambda: all_of(dicts.records.items()),
            lambda: all_of(dicts.values.items()),
            lambda peer: all_of(peer.items()),
        ),
    )


def _bare(dicts: Dicts, make: Callable[[], Op[Any]]) -> Callable[[], object]:
    """Send ops made before without the engine: what the server and the socket take."""
    ops = [make() for _ in range(dicts.size)]
    script: Any = ops[0].script
    dicts.bare.ask(pack_command(("SCRIPT", "LOAD", script.text)))  # type: ignore[arg-type]
    turns = cycle(ops)

    def ask() -> object:
        op = next(turns)
        assert isinstance(op, ScriptOp)
        return dicts.bare.ask(dicts.bare.once(script.sha, op.keys, op.args))

    return ask


def _add_one(records: RecordMapping, key: str) -> None:
    records[key]["processed_segments"] += 1


def _done(_: str) -> str:
    return "done"


def _one_more(number: int) -> int:
    return number + 1


GROUPS: dict[str, Callable[[Dicts], Group]] = {
    "set": write,
    "get": read,
    "update": update,
    "increment": increment,
    "get_many": read_ten,
    "len": count,
    "items": iterate,
}
