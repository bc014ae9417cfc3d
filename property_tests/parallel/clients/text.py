"""A text cache."""

from __future__ import annotations

from typing import Any, ClassVar

from property_tests.models import Call, Found, Text
from property_tests.parallel.clients.base import Client
from redis_state.cache import CacheEntry, RedisTextCache


class TextClient(Client):
    """A text cache with room for three texts."""

    model = Text(1500)
    final_reads = (*(Call("peek", (name,)) for name in "abcde"), Call("account"))
    uses: ClassVar = {"get": "peek"}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.cache = RedisTextCache(engine=self.engine, budget=1500)
        self.texts = self.cache.cache.entries
        self.texts.budget.allocator = "libc"  # which rounds nothing, so that a model can count

    def put(self, name: str, content: str, mtime: int | None = None) -> bool:
        return self.cache.put(name, content, file_mtime_ns=mtime)

    def get(self, name: str, mtime: int | None = None) -> Found | None:
        return _found(self.engine.run(self.texts.read(name, mtime)))

    def peek(self, name: str, mtime: int | None = None) -> Found | None:
        return _found(self.engine.run(self.texts.peek(name, mtime)))

    def drop(self, name: str) -> bool:
        return self.cache.drop(name)

    def clear(self) -> None:
        self.cache.clear()

    def stats(self) -> tuple[int, int]:
        said = self.cache.stats()
        return said.entries, said.bytes

    def account(self) -> tuple[int, int, int]:
        said, counted = self.cache.stats(), self.cache.check()
        return said.entries, said.bytes, counted.counted_bytes


def _found(entry: CacheEntry | None) -> Found | None:
    return entry and Found(entry.content, entry.file_mtime_ns, entry.access_count)
