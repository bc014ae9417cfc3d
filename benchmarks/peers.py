"""Dicts over Redis by others, each used the fastest way it offers, each in a database of its own.

redis-dict and redis-py set a time to live for each entry, as we do; pottery and walrus keep one hash without any.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pottery
import walrus
from pottery import InefficientAccessWarning
from redis_dict import RedisDict

from benchmarks.bench import Bench

TTL = 7200
REDIS_DICT = "redis-dict"
Entry = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """What is measured of a dict."""

    name: str
    set: Callable[[str, Entry], object]
    get: Callable[[str], Entry]
    count: Callable[[], int]
    items: Callable[[], Iterable[tuple[str, Entry]]]
    many: Callable[[Sequence[str]], list[Entry]] | None = None

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        return self.many(keys) if self.many else [self.get(key) for key in keys]

    def update(self, key: str, field: str, change: Callable[[Any], Any]) -> None:
        """Read an entry, change a field and write it: none of them has more."""
        entry = self.get(key)
        entry[field] = change(entry[field])
        self.set(key, entry)


def redis_dict(bench: Bench, db: int) -> Peer:
    shared: Any = RedisDict(namespace="bench", expire=TTL, unix_socket_path=bench.socket_path, db=db)
    bench.closing.callback(shared.redis.close)
    return Peer(REDIS_DICT, shared.__setitem__, shared.__getitem__, shared.__len__, shared.items)


def pottery_dict(bench: Bench, db: int) -> Peer:
    warnings.simplefilter("ignore", InefficientAccessWarning)
    shared: Any = pottery.RedisDict(redis=bench.new_client(db=db), key="bench")

    def items() -> Iterable[tuple[str, Entry]]:
        whole: dict[str, Entry] = shared.to_dict()  # its items() asks for each entry by itself: 15 times as long
        return whole.items()

    return Peer("pottery", shared.__setitem__, shared.__getitem__, shared.__len__, items)


def walrus_hash(bench: Bench, db: int) -> Peer:
    database: Any = walrus.Database(unix_socket_path=bench.socket_path, db=db)
    bench.closing.callback(database.close)
    shared = database.Hash("bench")
    return Peer(
        "walrus Hash + json",
        lambda key, entry: shared.__setitem__(key, json.dumps(entry)),
        lambda key: json.loads(shared[key]),
        shared.__len__,
        lambda: ((key.decode(), json.loads(text)) for key, text in shared.items()),
        lambda keys: [json.loads(text) for text in shared[tuple(keys)]],
    )


def redis_py(bench: Bench, db: int) -> Peer:
    client: Any = bench.new_client(db=db)

    def names() -> Iterator[bytes]:
        yield from client.scan_iter("bench:*", count=1000)

    def items() -> Iterator[tuple[str, Entry]]:
        found = list(names())
        for start in range(0, len(found), 500):
            page = found[start : start + 500]
            for name, text in zip(page, client.mget(page), strict=True):
                if text is not None:
                    yield name[6:].decode(), json.loads(text)

    return Peer(
        "redis-py + json",
        lambda key, entry: client.set(f"bench:{key}", json.dumps(entry), ex=TTL),
        lambda key: json.loads(client.get(f"bench:{key}")),
        lambda: sum(1 for _ in names()),
        items,
        lambda keys: [json.loads(text) for text in client.mget([f"bench:{key}" for key in keys])],
    )


def all_peers(bench: Bench) -> list[Peer]:
    return [make(bench, db) for db, make in enumerate((redis_dict, pottery_dict, walrus_hash, redis_py), start=2)]
