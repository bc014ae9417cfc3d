"""``TextCache``: one cache of texts for all containers, within one budget of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from redis_state.cache.text import maintenance
from redis_state.cache.text.budget import Budget
from redis_state.cache.text.entry import LONGEST_TTL, CacheEntry, TextCacheCheck, TextCacheStats
from redis_state.cache.text.load import loading
from redis_state.cache.text.reads import STALE_READ
from redis_state.cache.text.writes import TextOperations
from redis_state.engine.binding import Binding
from redis_state.engine.default import default_cache_engine, of_caches
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.keys import Keys
from redis_state.mapping import SharedMapping
from redis_state.single_flight import LEASE, single_flight

NAMESPACE = "text"


class TextMapping(SharedMapping[CacheEntry, CacheEntry]):
    """The cache as a dict: text key -> ``CacheEntry``. Reading an entry counts as use, iterating does not."""

    _bound: Binding[TextOperations]

    def __init__(self, engine: Engine | None = None, ttl: float | None = None, budget: int | None = None) -> None:
        ttl = LONGEST_TTL if ttl is None else ttl
        keys = Keys(NAMESPACE)
        TextOperations(keys, ttl, Budget(keys, budget))  # a wrong TTL or budget is refused here
        made = partial(TextOperations.of, namespace=NAMESPACE, ttl=ttl, budget=budget)
        super().__init__(Binding(of_caches(engine), made, default_cache_engine), NAMESPACE, ttl)

    @property
    def entries(self) -> TextOperations:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]

    def _out(self, key: str, found: Any) -> CacheEntry:
        return found  # type: ignore[no-any-return]

    def setdefault(self, key: str, default: Any = None) -> CacheEntry:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes. Two round trips."""
        return self._bound.follow(TextOperations.set_default, key, default)

    def __getitem__(self, key: str) -> CacheEntry:
        found = self._bound.follow(TextOperations.fetch, key)
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """Read an entry; ``default`` when there is none."""
        found = self._bound.follow(TextOperations.fetch, key)
        return default if found is None else found

    def __setitem__(self, key: str, value: CacheEntry) -> None:
        """Write an entry; its time begins now, unless ``expires_at`` says when it ends (a day from now at most)."""
        self._bound.follow(TextOperations.put_entry, key, value)

    def put_many(self, items: Mapping[str, CacheEntry], *, ttl: float | None = None) -> None:
        """Write several entries in few round trips, each by itself. All are checked before the first."""
        self._bound.follow(TextOperations.put_entries, items, ttl=ttl)

    def ttl(self, key: str) -> float | None:
        """Return how many seconds the entry has left; None when there is none."""
        return self._bound.follow(TextOperations.time_left, key)

    def clear(self) -> None:
        """Remove all entries. One round trip, however many there are."""
        self._bound.follow(maintenance.clear)

    def _iter_items(self) -> Iterator[tuple[str, CacheEntry]]:
        for page in self._pages():
            yield from self._bound.follow(TextOperations.peek_many, page).items()


class TextCache:
    """Texts of all containers, in one least-recently-used order, within one budget of the server's memory.

    ``budget`` is in bytes, 8 GiB unless said here or by ``REDIS_STATE_TEXT_BUDGET``. It is kept with
    the data: the first container's counts, another value warns, and ``resize`` changes it for all. What
    is accounted is what the server's allocator takes for an entry, so it tracks ``used_memory``.
    Entries live a day at most. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | Engine | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        budget: int | None = None,
    ) -> None:
        self.container_id, engine = given(self, Engine, container_id, engine)
        self.cache = TextMapping(engine, ttl, budget)

    def get(self, key: str, *, file_mtime_ns: int | None = None) -> CacheEntry | None:
        """Read an entry; None when there is none.

        With ``file_mtime_ns``, an entry of another state of the file, newer or older, is dropped and not
        returned. A text of more than 4 KB travels beside the script that counts its use.
        """
        engine, texts = self.cache._bound.here()  # as `fetch`, without what following a plan costs
        entry = engine.run(texts.read_adaptive(key, file_mtime_ns))
        if entry is STALE_READ:
            entry = engine.run(texts.peek(key, file_mtime_ns))
        texts.mode.note_size(entry)
        return entry

    def put(self, key: str, content: str, *, ttl: float | None = None, file_mtime_ns: int | None = None) -> bool:
        """Write an entry that lives ``ttl`` seconds, a day at most. Evicts first what was used least recently.

        False, and nothing changed, when the entry that is there is of a newer file. ``EntryTooLarge``, and
        nothing evicted, when it takes more than the whole budget. ``ServerFull`` when the server is at its
        memory limit and evicting our own oldest did not help. More round trips when thousands must go.
        """
        return self.cache._bound.follow(TextOperations.put_text, key, content, ttl=ttl, file_mtime_ns=file_mtime_ns)

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
        timeout: float | None = None,
    ) -> str:
        """Return the text; load it if it is not there. Of many callers, in all containers, one loads.

        The other callers wait and get its text. If its caller dies, another one takes over, ``lease`` seconds later at
        the most. When ``loader`` raises, its caller gets that exception, the waiters ``ComputeFailed``; for
        ``negative_ttl`` seconds later callers, too. With ``stale_for``, a text whose ``ttl`` is over is served for so
        long: one caller loads it anew, the others get the old one at once. A text that cannot be kept
        (``EntryTooLarge``, ``ServerFull``, no server) is returned, and the reason is in the log once; a waiter loads
        for itself then. ``timeout`` is how many seconds a caller waits for another one (None: no limit), then
        ``ComputeTimeout``. ``RuntimeError`` when ``loader`` asks for its own text.
        """
        engine, texts = self.cache._bound.here()
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
        return single_flight(engine, work, loader)

    def get_many(self, keys: Iterable[str]) -> dict[str, CacheEntry]:
        """Read several entries in one round trip; absent ones are left out."""
        return self.cache.get_many(keys)

    def put_many(self, texts: Mapping[str, str], *, ttl: float | None = None) -> dict[str, bool]:
        """Write several texts in few round trips, each by itself."""
        return self.cache._bound.follow(TextOperations.put_texts, texts, ttl=ttl)

    def drop(self, key: str) -> bool:
        """Remove an entry; tell whether there was one."""
        return self.cache._bound.run(TextOperations.remove, key)

    def clear(self) -> None:
        """Remove all entries, however many there are."""
        self.cache.clear()

    def resize(self, budget: int) -> None:
        """Change the budget for all containers. What is beyond it is evicted, in short steps."""
        engine, texts = self.cache._bound.here()
        engine.follow(texts.budget.resize(budget))

    def stats(self) -> TextCacheStats:
        """Return what the cache holds, and what was done with it."""
        return self.cache._bound.follow(maintenance.stats)

    def check(self) -> TextCacheCheck:
        """Count all entries again, in bounded steps, and compare with the account.

        Exact for a cache without readers and writers meanwhile, and for one of up to 300 entries.
        """
        return self.cache._bound.follow(maintenance.check)

    def repair(self) -> TextCacheCheck:
        """Make the account agree with what is there, and drop entries that are not whole. Return a check after it."""
        return self.cache._bound.follow(maintenance.repair)

    def __repr__(self) -> str:
        return f"<TextCache {self.cache.engine!r}>"


RedisTextCache = TextCache  # its first name, which stays
text_cache = TextCache()
