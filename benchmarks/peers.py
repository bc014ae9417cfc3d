"""Dicts over Redis by others, each used the fastest way it offers, each in a database of its own.

redis-dict and redis-py set a time to live for each entry, as we do; pottery and walrus keep one hash without any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pottery
import redis
import walrus
from redis_dict import RedisDict

from benchmarks.bench import Bench

TTL = 7200
Entry = dict[str, Any]


class Peer:
    """What is measured of a dict. ``update`` reads an entry, changes a field and writes it: others have no more."""

    name: str

    def set(self, key: str, entry: Entry) -> object:
        raise NotImplementedError

    def get(self, key: str) -> Entry:
        raise NotImplementedError

    def fill(self, entries: dict[str, Entry]) -> None:
        for key, entry in entries.items():
            self.set(key, entry)

    def update(self, key: str, field: str, change: Callable[[Any], Any]) -> object:
        entry = self.get(key)
        entry[field] = change(entry[field])
        return self.set(key, entry)

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        return [self.get(key) for key in keys]

    def count(self) -> int:
        raise NotImplementedError

    def items(self) -> Iterator[tuple[str, Entry]]:
        raise NotImplementedError


class OfRedisDict(Peer):
    name = "redis-dict"

    def __init__(self, bench: Bench, db: int) -> None:
        self.dict = RedisDict(namespace="bench", expire=TTL, unix_socket_path=bench.socket_path, db=db)
        bench.closing.callback(self.dict.redis.close)
        self.set, self.get = self.dict.__setitem__, self.dict.__getitem__  # type: ignore[method-assign]
        self.count, self.items = self.dict.__len__, self.dict.items  # type: ignore[method-assign]

    def fill(self, entries: dict[str, Entry]) -> None:
        with self.dict.pipeline():
            self.dict.update(entries)


class OfPottery(Peer):
    name = "pottery"

    def __init__(self, bench: Bench, db: int) -> None:
        self.dict: Any = pottery.RedisDict(redis=bench.new_client(db=db), key="bench")  # type: ignore[no-untyped-call]
        self.set, self.get = self.dict.__setitem__, self.dict.__getitem__  # type: ignore[method-assign]
        self.count = self.dict.__len__  # type: ignore[method-assign]

    def items(self) -> Iterator[tuple[str, Entry]]:
        return iter(self.dict.to_dict().items())  # its items() asks for each entry by itself: 15 times as long


class OfWalrus(Peer):
    name = "walrus Hash + json"

    def __init__(self, bench: Bench, db: int) -> None:
        database = walrus.Database(unix_socket_path=bench.socket_path, db=db)
        bench.closing.callback(database.close)
        self.hash = database.Hash("bench")
        self.count = self.hash.__len__  # type: ignore[method-assign]

    def set(self, key: str, entry: Entry) -> object:
        self.hash[key] = json.dumps(entry)
        return None

    def get(self, key: str) -> Entry:
        entry: Entry = json.loads(self.hash[key])
        return entry

    def fill(self, entries: dict[str, Entry]) -> None:
        self.hash.update({key: json.dumps(entry) for key, entry in entries.items()})

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        return [json.loads(text) for text in self.hash[tuple(keys)]]

    def items(self) -> Iterator[tuple[str, Entry]]:
        for key, text in self.hash.items():
            yield key.decode(), json.loads(text)


class OfRedisPy(Peer):
    name = "redis-py + json"

    def __init__(self, bench: Bench, db: int) -> None:
        self.client: redis.Redis = bench.new_client(db=db)

    def set(self, key: str, entry: Entry) -> object:
        return self.client.set(f"bench:{key}", json.dumps(entry), ex=TTL)

    def get(self, key: str) -> Entry:
        text: Any = self.client.get(f"bench:{key}")
        entry: Entry = json.loads(text)
        return entry

    def fill(self, entries: dict[str, Entry]) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            for key, entry in entries.items():
                pipe.set(f"bench:{key}", json.dumps(entry), ex=TTL)
            pipe.execute()

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        texts: Any = self.client.mget([f"bench:{key}" for key in keys])
        return [json.loads(text) for text in texts]

    def count(self) -> int:
        return sum(1 for _ in self.client.scan_iter("bench:*", count=1000))

    def items(self) -> Iterator[tuple[str, Entry]]:
        names = list(self.client.scan_iter("bench:*", count=1000))
        for start in range(0, len(names), 500):
            page = names[start : start + 500]
            texts: Any = self.client.mget(page)
            for name, text in zip(page, texts, strict=True):
                if text is not None:
                    yield name[6:].decode(), json.loads(text)


def all_peers(bench: Bench) -> list[Peer]:
    return [kind(bench, db) for db, kind in enumerate((OfRedisDict, OfPottery, OfWalrus, OfRedisPy), start=2)]
