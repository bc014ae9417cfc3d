"""``RedisTextCache``: one cache of texts for all containers, within one budget of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from redis_state.cache.text import upkeep
from redis_state.cache.text.entry import LONGEST_TTL, CacheEntry, TextCacheCheck, TextCacheStats
from redis_state.cache.text.loading import loading
from redis_state.cache.text.reading import OVERTAKEN
from redis_state.cache.text.steps import Texts
from redis_state.engine.default import default_cache_engine
from redis_state.engine.run import Engine
from redis_state.flight import LEASE, once
from redis_state.keys import Keys
from redis_state.mapping import SharedMapping

NAMESPACE = "text"


class TextMapping(SharedMapping[CacheEntry]):
    """The cache as a dict: text key -> ``CacheEntry``. Reading an entry counts as use, iterating does not."""

    _default = staticmethod(default_cache_engine)
    _entries: Texts

    def __init__(self, engine: Engine | None = None, ttl: float | None = None, budget: int | None = None) -> None:
        self._budget = budget
        super().__init__(NAMESPACE, ttl=LONGEST_TTL if ttl is None else ttl, engine=engine)

    def _entries_of(self, keys: Keys) -> Texts:
        return Texts(keys, self.default_ttl, self._budget)

    def _bind(self, engine: Engine) -> None:
        self._entries = Texts.of(engine, NAMESPACE, self.default_ttl, self._budget)

    @property
    def entries(self) -> Texts:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine
        return self._entries

    def _out(self, key: str, found: Any) -> CacheEntry:
        return found  # type: ignore[no-any-return]

    def _created(self, key: str, value: Any) -> CacheEntry:
        found: CacheEntry | None = self._read_back(self._entries.peek(key))
        return value if found is None else found

    def __getitem__(self, key: str) -> CacheEntry:
        found = self.engine.follow(self.entries.fetch(key))
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        found = self.engine.follow(self.entries.fetch(key))
        return default if found is None else found

    def __setitem__(self, key: str, value: CacheEntry) -> None:
        """Write an entry; its time begins now, unless ``expires_at`` says when it ends (a day from now at most)."""
        self.engine.follow(self.entries.store(self.entries.wanted(key, value)))

    def put_many(self, items: Mapping[str, Any], *, ttl: float | None = None) -> None:
        """Write several entries in few round trips, each by itself. All are checked before the first."""
        entries = self.entries
        wants = [entries.wanted(key, value, ttl) for key, value in items.items()]
        self.engine.follow(entries.store_many(wants))

    def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        return self.engine.follow(self.entries.time_left(key))

    def clear(self) -> None:
        """Remove all entries. One round trip, however many there are."""
        self.engine.follow(upkeep.clear(self.entries))

    def _iter_items(self) -> Iterator[tuple[str, CacheEntry]]:
        for page in self._pages():
            yield from self.engine.follow(self.entries.peek_many(page)).items()


class RedisTextCache:
    """Texts of all containers, in one least-recently-used order, within one budget of the server's memory.

    ``budget`` is in bytes, 8 GiB unless said here or by ``REDIS_STATE_TEXT_BUDGET``. It is kept with
    the data: the first container's counts, another value warns, and ``resize`` changes it for all. What
    is accounted is what the server's allocator takes for an entry, so it tracks ``used_memory``.
    Entries live a day at most. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        budget: int | None = None,
    ) -> None:
        self.container_id = container_id
        self.cache = TextMapping(engine, ttl, budget)

    def get(self, key: str, *, file_mtime_ns: int | None = None) -> CacheEntry | None:
        """Read an entry; None when there is none.

        With ``file_mtime_ns``, an entry of another state of the file, newer or older, is dropped and not
        returned. A text of more than 4 KB travels beside the script that counts its use.
        """
        engine, texts = self.cache.engine, self.cache._entries  # as `fetch`, without the steps of a plan
        entry = engine.run(texts.likely(key, file_mtime_ns))
        if entry is OVERTAKEN:
            entry = engine.run(texts.peek(key, file_mtime_ns))
        texts.learn(entry)
        return entry

    def put(self, key: str, content: str, *, ttl: float | None = None, file_mtime_ns: int | None = None) -> bool:
        """Write an entry that lives ``ttl`` seconds, a day at most. Evicts first what was used least recently.

        False, and nothing changed, when the entry that is there is of a newer file. ``EntryTooLarge``, and
        nothing evicted, when it takes more than the whole budget. ``ServerFull`` when the server is at its
        memory limit and evicting our own oldest did not help. More round trips when thousands must go.
        """
        texts = self.cache.entries
        return self.cache.engine.follow(texts.write(key, content, ttl=ttl, file_mtime_ns=file_mtime_ns))

    def get_or_load(
        self,
        key: str,
        loader: Callable[[], str],
        *,
        file_mtime_ns: int | None = None,
        ttl: float | None = None,
        stale_for: float = 0.0,
        negative_ttl: float = 0.0,
        lease: float = LEASE,
    ) -> str:
        """Return the text; load it if it is not there. Of many callers, in all containers, one loads.

        The others wait and get its text. If it dies, another one takes over, ``lease`` seconds later at
        the most. When ``loader`` raises, its caller gets that exception, who waited ``ComputeFailed``; for
        ``negative_ttl`` seconds so does who comes later. With ``stale_for``, a text whose ``ttl`` is over is
        served for so long: one caller loads it anew, the others get the old one at once. A text that
        cannot be kept (``EntryTooLarge``, ``ServerFull``) is returned all the same.
        """
        cache = self.cache
        work = loading(
            cache.entries,
            key,
            file_mtime_ns=file_mtime_ns,
            ttl=ttl,
            stale_for=stale_for,
            negative_ttl=negative_ttl,
            lease=lease,
        )
        return once(cache.engine, work, loader)

    def get_many(self, keys: Iterable[str]) -> dict[str, CacheEntry]:
        """Read several entries in one round trip; absent ones are left out."""
        return self.cache.get_many(keys)

    def put_many(self, texts: Mapping[str, str], *, ttl: float | None = None) -> dict[str, bool]:
        """Write several texts in few round trips, each by itself."""
        return self.cache.engine.follow(self.cache.entries.write_many(texts, ttl=ttl))

    def drop(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return self.cache.engine.run(self.cache.entries.remove(key))

    def clear(self) -> None:
        """Remove all entries, however many there are."""
        self.cache.clear()

    def resize(self, budget: int) -> None:
        """Change the budget for all containers. What is beyond it is evicted, in steps that block nobody for long."""
        self.cache.engine.follow(upkeep.resize(self.cache.entries, budget))

    def stats(self) -> TextCacheStats:
        """Return what the cache holds, and what was done with it."""
        return self.cache.engine.follow(upkeep.stats(self.cache.entries))

    def check(self) -> TextCacheCheck:
        """Count all entries again, in bounded steps, and compare with the account.

        Exact for a cache that nobody uses meanwhile, and for one of up to 300 entries.
        """
        return self.cache.engine.follow(upkeep.check(self.cache.entries))

    def repair(self) -> TextCacheCheck:
        """Make the account agree with what is there, and drop entries that are not whole. Return a check after it."""
        return self.cache.engine.follow(upkeep.repair(self.cache.entries))

    def __repr__(self) -> str:
        return f"<RedisTextCache {self.cache.engine!r}>"


text_cache = RedisTextCache()
