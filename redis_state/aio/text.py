"""Texts of all containers in one cache, awaited. See ``redis_state.cache.text``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from redis_state.aio.shared import Shared
from redis_state.cache import text
from redis_state.cache.text import CacheEntry, TextCacheCheck, TextCacheStats, maintenance
from redis_state.cache.text.budget import Budget
from redis_state.cache.text.load import loading
from redis_state.cache.text.writes import TextOperations
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given
from redis_state.keys import Keys
from redis_state.single_flight import LEASE, single_flight_async

T = TypeVar("T")


class TextMapping(Shared[CacheEntry, CacheEntry]):
    """The cache as a mapping: text key -> ``CacheEntry``. Reading an entry counts as use, iterating does not."""

    def __init__(self, engine: AsyncEngine | None, ttl: float | None, budget: int | None) -> None:
        lives = text.TTL if ttl is None else ttl
        keys = Keys(text.NAMESPACE)
        TextOperations(keys, lives, Budget(keys, budget))  # a wrong TTL or budget is refused here
        bound = AsyncBinding(
            engine, lambda engine: TextOperations.of(engine, text.NAMESPACE, lives, budget), caches=True
        )
        super().__init__(bound)
        self._texts: AsyncBinding[TextOperations] = bound

    async def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        found = await self._texts.follow(TextOperations.fetch, key)
        return default if found is None else found

    async def put(self, key: str, entry: CacheEntry) -> bool:
        """Write an entry; its time begins now, unless ``expires_at`` says when it ends (a day from now at most).

        False, and nothing changed, when the entry that is there is of a newer file.
        """
        return await self._texts.follow(TextOperations.put_entry, key, entry)

    async def contains(self, key: str) -> bool:
        """Tell whether there is an entry. It does not count as used."""
        return await self._texts.run(TextOperations.contains, key)

    async def count(self) -> int:
        """Count the entries."""
        return await self._texts.follow(TextOperations.count)

    async def keys(self) -> list[str]:
        """List the names of the entries. O(n), 500 a round trip."""
        return await self._texts.follow(TextOperations.names)

    async def delete(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return await self._texts.run(TextOperations.remove, key)

    async def setdefault(self, key: str, default: Any = None) -> CacheEntry:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes. Two round trips."""
        return await self._texts.follow(TextOperations.set_default, key, default)

    async def put_many(self, items: Mapping[str, CacheEntry], *, ttl: float | None = None) -> None:
        """Write several entries in few round trips, each by itself. All are checked before the first."""
        await self._texts.follow(TextOperations.put_entries, items, ttl=ttl)

    async def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        return await self._texts.follow(TextOperations.time_left, key)

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Renew an entry's time, or give it another; False when there is none."""
        return await self._texts.run(TextOperations.touch, key, ttl)

    async def clear(self) -> None:
        """Remove all entries. One round trip, however many there are."""
        await self._texts.follow(maintenance.clear)

    async def items(self) -> AsyncIterator[tuple[str, CacheEntry]]:
        """Iterate over keys and entries, 500 a round trip."""
        engine, texts = self._texts.here()
        names = await engine.follow(texts.names())
        for start in range(0, len(names), 500):
            for key, entry in (await engine.follow(texts.peek_many(names[start : start + 500]))).items():
                yield key, entry


class TextCache:
    """Texts of all containers, in one least-recently-used order, within one budget of the server's memory, awaited.

    ``budget`` is in bytes, 8 GiB unless said here or by ``REDIS_STATE_TEXT_BUDGET``. It is kept with
    the data: the first container's counts, another value warns, and ``resize`` changes it for all. What
    is accounted is what the server's allocator takes for an entry, so it tracks ``used_memory``.
    Entries live a day at most. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
        budget: int | None = None,
    ) -> None:
        self.container_id, engine = given(self, AsyncEngine, container_id, engine)
        self.cache = TextMapping(engine, ttl, budget)
        self._texts = self.cache._texts

    async def get(self, key: str, *, file_mtime_ns: int | None = None) -> CacheEntry | None:
        """Read an entry; None when there is none.

        With ``file_mtime_ns``, an entry of another state of the file, newer or older, is dropped and not
        returned. A text of more than 4 KB travels beside the script that counts its use.
        """
        return await self._texts.follow(TextOperations.fetch, key, file_mtime_ns=file_mtime_ns)

    async def put(self, key: str, content: str, *, ttl: float | None = None, file_mtime_ns: int | None = None) -> bool:
        """Write an entry that lives ``ttl`` seconds, a day at most. Evicts first what was used least recently.

        False, and nothing changed, when the entry that is there is of a newer file. ``EntryTooLarge``, and
        nothing evicted, when it takes more than the whole budget. ``ServerFull`` when the server is at its
        memory limit and evicting our own oldest did not help. More round trips when thousands must go.
        """
        return await self._texts.follow(TextOperations.put_text, key, content, ttl=ttl, file_mtime_ns=file_mtime_ns)

    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], str | Awaitable[str]],
        *,
        file_mtime_ns: int | None = None,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
        timeout: float | None = None,
    ) -> str:
        """Return the text; load it if it is not there. Of many callers, in all containers, one loads.

        ``loader`` may return an awaitable. The other callers wait and get its text. If its caller dies, another one
        takes over, ``lease`` seconds later at the most. When ``loader`` raises, its caller gets that exception, the
        waiters ``ComputeFailed``; for ``negative_ttl`` seconds later callers, too. With ``stale_for``, a text whose
        ``ttl`` is over is served for so long: one caller loads it anew, the others get the old one at once. A text that
        cannot be kept (``EntryTooLarge``, ``ServerFull``, no server) is returned, and the reason is in the log
        once; a waiter loads for itself then. ``timeout`` is how many seconds a caller waits for another one
        (None: no limit), then ``ComputeTimeout``. ``RuntimeError`` when ``loader`` asks for its own text.
        """
        engine, texts = self._texts.here()
        work = loading(
            texts,
            key,
            file_mtime_ns=file_mtime_ns,
            ttl=ttl,
            stale_for=stale_for,
            negative_ttl=negative_ttl,
            lease=lease,
            timeout=timeout,
        )
        return await single_flight_async(engine, work, loader)

    async def get_many(self, keys: Iterable[str]) -> dict[str, CacheEntry]:
        """Read several entries in one round trip; absent ones are left out."""
        return await self._texts.follow(TextOperations.fetch_many, keys)

    async def put_many(self, texts: Mapping[str, str], *, ttl: float | None = None) -> dict[str, bool]:
        """Write several texts in few round trips, each by itself."""
        return await self._texts.follow(TextOperations.put_texts, texts, ttl=ttl)

    async def drop(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return await self._texts.run(TextOperations.remove, key)

    async def clear(self) -> None:
        """Remove all entries, however many there are."""
        await self._texts.follow(maintenance.clear)

    async def resize(self, budget: int) -> None:
        """Change the budget for all containers. What is beyond it is evicted, in short steps."""
        engine, texts = self._texts.here()
        await engine.follow(texts.budget.resize(budget))

    async def stats(self) -> TextCacheStats:
        """Return what the cache holds, and what was done with it."""
        return await self._texts.follow(maintenance.stats)

    async def check(self) -> TextCacheCheck:
        """Count all entries again, in bounded steps, and compare with the account.

        Exact for a cache that no other caller uses meanwhile, and for one of up to 300 entries.
        """
        return await self._texts.follow(maintenance.check)

    async def repair(self) -> TextCacheCheck:
        """Make the account agree with what is there, and drop entries that are not whole. Return a check after it."""
        return await self._texts.follow(maintenance.repair)

    def __repr__(self) -> str:
        return "<TextCache, awaited>"


text_cache = TextCache()
