"""The same operations, awaited: an asyncio face for everything, a line for each.

Both faces share the operations, the scripts and the engine's conversation; only the waiting differs.
There is no item syntax here, since ``await`` cannot stand in an assignment: ``put``, ``patch`` and
``increment`` say what they do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis_state import state_manager
from redis_state.cache import text, voice_access, word_timing
from redis_state.cache.text import CacheEntry, upkeep
from redis_state.cache.text.loading import loading
from redis_state.cache.text.steps import Texts
from redis_state.cache.upload_stats import NAMESPACE as UPLOAD_STATS
from redis_state.cache.upload_stats import TTL as UPLOAD_STATS_TTL
from redis_state.cache.upload_stats import Stats, WriteStats, stats_of
from redis_state.cache.voice_access import Voices
from redis_state.claim import steps as claim_steps
from redis_state.claim.awaited import Claim, Taking
from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op, Plan
from redis_state.flight import once_awaited
from redis_state.keys import Keys
from redis_state.lock.awaited import Held, Lock, Locks
from redis_state.mapping.entries import Entries
from redis_state.mapping.records import Fence, Records
from redis_state.mapping.stored import Snapshot
from redis_state.mapping.values import Values
from redis_state.state import conversion, progress
from redis_state.state.progress import Progress
from redis_state.transfer import assembly, chunks, downloads, gaps, records, sessions
from redis_state.transfer.chunks import Chunk, ChunkReceipt, Offset
from redis_state.transfer.downloads import Download

__all__ = [
    "AsyncEngine",
    "Claim",
    "ConversionState",
    "DownloadState",
    "Held",
    "Lock",
    "Locks",
    "ProgressState",
    "RecordMapping",
    "StateManager",
    "TextCache",
    "UploadState",
    "UploadStats",
    "ValueMapping",
    "VoiceAccessTracker",
    "WordTimingCache",
]

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", bound="Entries[Any] | Voices")


class _Bound:
    """Something that runs the operations of some entries on an engine."""

    _engine: AsyncEngine
    _entries: Any


def op(build: Callable[Concatenate[E, P], Op[T]]) -> Callable[Concatenate[_Bound, P], Awaitable[T]]:
    """Make a method of an operation: build it for our entries, and run it."""

    @wraps(build)
    async def method(self: _Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.run(build(self._entries, *args, **kwargs))

    return method


def plan(build: Callable[Concatenate[E, P], Plan[T]]) -> Callable[Concatenate[_Bound, P], Awaitable[T]]:
    """Make a method of a plan."""

    @wraps(build)
    async def method(self: _Bound, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._engine.follow(build(self._entries, *args, **kwargs))

    return method


class _Mapping(_Bound):
    """What both kinds of mapping share. See ``redis_state.mapping``."""

    _entries: Entries[Any]

    def __init__(self, engine: AsyncEngine, entries: Entries[Any]) -> None:
        self._engine = engine
        self._entries = entries

    contains = op(Entries.contains)
    ttl = op(Entries.ttl_of)
    count = plan(Entries.count)
    keys = plan(Entries.names)
    clear = plan(Entries.clear)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Read several entries in one round trip; absent ones are left out."""
        found = await self._engine.follow(self._entries.get_many(keys))
        return {key: _plain(value) for key, value in found.items()}

    async def put_many(self, items: Mapping[str, Any], *, ttl: float | None = None) -> None:
        """Write several entries in one round trip (500 at a time), each by itself."""
        await self._engine.run_all([self._entries.put(key, value, ttl=ttl) for key, value in items.items()])

    async def get(self, key: str, default: Any = None) -> Any:
        """Read an entry as plain data; ``default`` when there is none."""
        found = await self._engine.run(self._entries.get(key))
        return default if found is None else _plain(found)

    async def pop(self, key: str, default: Any = None) -> Any:
        """Take an entry out; ``default`` when there is none. Of many callers one gets it."""
        found = await self._engine.run(self._entries.pop(key))
        return default if found is None else _plain(found)

    async def popitem(self) -> tuple[str, Any] | None:
        """Take some entry out; None when there is none."""
        found = await self._engine.follow(self._entries.pop_any())
        return None if found is None else (found[0], _plain(found[1]))

    async def setdefault(self, key: str, default: Any) -> Any:
        """Return the entry; write ``default`` first if there is none. Of many callers one writes."""
        found = await self._engine.follow(self._entries.set_default(key, default))
        return default if found is None else _plain(found)

    async def items(self) -> AsyncIterator[tuple[str, Any]]:
        """Iterate over keys and entries, 500 a round trip."""
        names = await self._engine.follow(self._entries.names())
        for start in range(0, len(names), 500):
            for key, value in (await self.get_many(names[start : start + 500])).items():
                yield key, value

    def __aiter__(self) -> AsyncIterator[str]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[str]:
        for name in await self._engine.follow(self._entries.names()):
            yield name


def _plain(found: Any) -> Any:
    return found.fields if isinstance(found, Snapshot) else found


class ValueMapping(_Mapping):
    """An opaque value for each key, awaited."""

    def __init__(self, engine: AsyncEngine, namespace: str, *, ttl: float) -> None:
        super().__init__(engine, Values(engine.keys(namespace), ttl))

    put = op(Values.put)
    create = op(Values.create)
    delete = op(Values.remove)
    touch = op(Values.touch)


class RecordMapping(_Mapping):
    """A record for each key, awaited."""

    def __init__(
        self,
        engine: AsyncEngine,
        namespace: str,
        *,
        ttl: float,
        container_id: str | None = None,
        companions: Sequence[Callable[[Keys], Callable[[str], str]]] = (),
    ) -> None:
        keys = engine.keys(namespace)
        made = [companion(keys) for companion in companions]
        super().__init__(engine, Records(keys, ttl, lambda: container_id or own_container_id(), made))

    put = op(Records.put)
    put_if_version = op(Records.put_if_version)
    create = op(Records.create)
    patch = op(Records.patch)
    increment = op(Records.increment)
    delete = op(Records.remove)
    touch = op(Records.touch)
    owner = op(Records.owner)
    owned_by = plan(state_manager.owned_by)

    async def mutate(
        self, key: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None], *, fence: Fence = None
    ) -> dict[str, Any]:
        """Change a copy of an entry, and write it back if nobody wrote in between, else again."""
        entries: Any = self._entries
        fields, _ = await self._engine.follow(entries.mutate(key, change, fence=fence))
        return fields  # type: ignore[no-any-return]


class StateManager:
    """Sessions with a time to live and an owner, awaited. See ``RedisStateManager``."""

    def __init__(self, engine: AsyncEngine, namespace: str, container_id: str | None = None) -> None:
        self.sessions = RecordMapping(engine, namespace, ttl=state_manager.SESSION_TTL, container_id=container_id)

    async def create_session(self, key: str, data: Mapping[str, Any], ttl: float = state_manager.SESSION_TTL) -> bool:
        """Create a session. False, nothing changed, when there is one."""
        return await self.sessions.create(key, data, ttl=ttl)

    async def get_session(self, key: str) -> dict[str, Any] | None:
        """Read a session; None when there is none."""
        found: dict[str, Any] | None = await self.sessions.get(key)
        return found

    async def update_session(self, key: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session. False, and nothing created, when there is none."""
        return await self.sessions.patch(key, updates, fence=fence)

    async def delete_session(self, key: str) -> bool:
        """Remove a session; tell whether there was one."""
        return await self.sessions.delete(key)

    async def owner(self, key: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        return await self.sessions.owner(key)

    async def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created."""
        return await self.sessions.owned_by(container_id)


class ProgressState(_Bound):
    """Progress of work that is cut into segments, awaited. See ``RedisProgressState``."""

    def __init__(
        self,
        engine: AsyncEngine,
        container_id: str | None = None,
        *,
        ttl: float | None = None,
        completion_lease: float = progress.COMPLETION_LEASE,
    ) -> None:
        self._lease = completion_lease
        progress._ms(completion_lease)
        self.segment_progress = RecordMapping(
            engine,
            progress.NAMESPACE,
            ttl=progress.TTL if ttl is None else ttl,
            container_id=container_id,
            companions=progress.COMPANIONS,
        )
        self._engine = engine
        self._entries = self.segment_progress._entries

    begin = op(progress.begin)
    fail = op(progress.fail)
    get = op(progress.read)
    confirm_completion = op(progress.confirm_completion)
    pending_completions = plan(progress.pending_completions)

    async def advance(self, key: str, by: int = 1) -> Progress:
        """Count ``by`` more segments, within 0 and the total."""
        return await self._engine.run(progress.advance(self._entries, key, by, lease=self._lease))

    async def mark(self, key: str, segment: int) -> Progress:
        """Count one finished segment, once however often it is said."""
        return await self._engine.run(progress.mark(self._entries, key, segment, lease=self._lease))

    async def claim_completion(self, key: str) -> Progress | None:
        """Take over a completion whose receiver did not confirm it in time; None when there is none."""
        return await self._engine.run(progress.claim_completion(self._entries, key, lease=self._lease))

    async def watch(self, key: str, timeout: float | None = None) -> AsyncIterator[Progress]:
        """Yield the progress at once, and then on each change. See ``RedisProgressState.watch``."""
        watch = progress.Watch(self._entries, key)
        seen = await self._engine.follow(watch.look())
        while True:
            yield seen
            if seen.finished:
                return
            quiet_until = None if timeout is None else monotonic() + timeout
            last = seen
            while seen == last:
                left = progress.NEWS_WAIT if quiet_until is None else quiet_until - monotonic()
                if left <= 0:
                    return
                seen = await self._engine.follow(watch.wait(left))


class ConversionState(_Bound):
    """Conversions that run once, awaited. See ``RedisConversionState``."""

    def __init__(self, engine: AsyncEngine, container_id: str | None = None, *, ttl: float = conversion.TTL) -> None:
        self.active_conversions = RecordMapping(engine, conversion.NAMESPACE, ttl=ttl, container_id=container_id)
        self.locks = Locks(engine, conversion.NAMESPACE, container_id)
        self.lock = self.locks.lock
        self._engine = engine
        self._entries = self.active_conversions._entries

    def claim(
        self,
        conversion_id: str,
        data: Mapping[str, Any] | None = None,
        *,
        max_attempts: int = conversion.MAX_ATTEMPTS,
        backoff: float = conversion.BACKOFF,
        **options: Any,
    ) -> Taking:
        """Take a conversion: ``async with state.claim(...) as claim:``, or ``claim = await state.claim(...)``."""
        terms = conversion.terms(max_attempts, backoff)
        return Taking(self._engine, self._entries, conversion_id, data, terms, **options)

    stalled = plan(claim_steps.stalled)
    owned_by = plan(state_manager.owned_by)
    retry_failed = op(claim_steps.reopen)


class _Transfers(RecordMapping):
    """A mapping of transfers, all in one slot, awaited."""

    patch = op(records.Transfers.patch)
    increment = op(records.Transfers.increment)
    delete = op(records.Transfers.remove)

    def __init__(
        self,
        engine: AsyncEngine,
        namespace: str,
        *,
        ttl: float,
        container_id: str | None = None,
        companions: Sequence[Callable[[Keys], Callable[[str], str]]] = (),
        kept: frozenset[str] = frozenset(),
        remembers: bool = True,
    ) -> None:
        keys = records.one_slot(engine.keys(namespace))
        made = [companion(keys) for companion in companions]
        owner = lambda: container_id or own_container_id()  # noqa: E731
        _Mapping.__init__(self, engine, records.Transfers(keys, ttl, owner, made, kept=kept, remembers=remembers))


class UploadState(_Bound):
    """Uploads that lose no byte, awaited. See ``RedisUploadState``."""

    def __init__(
        self,
        engine: AsyncEngine,
        container_id: str | None = None,
        *,
        ttl: float | None = None,
        max_open_per_owner: int | None = None,
        max_bytes_per_owner: int | None = None,
    ) -> None:
        self._limits = sessions.Limits.of(max_open_per_owner, max_bytes_per_owner)
        self.sessions = _Transfers(
            engine,
            sessions.NAMESPACE,
            ttl=sessions.TTL if ttl is None else ttl,
            container_id=container_id,
            companions=sessions.COMPANIONS,
            kept=sessions.KEPT,
        )
        self._engine = engine
        self._entries = self.sessions._entries
        self.get_session = self.sessions.get
        self.update_session = self.sessions.patch
        self.delete_session = self.sessions.delete

    abort = op(sessions.abort)
    expired = plan(sessions.expired)
    usage = plan(records.usage)
    missing = plan(gaps.missing)
    checksums = plan(gaps.checksums)
    awaiting_assembly = plan(assembly.awaiting)
    retry_assembly = op(claim_steps.reopen)

    async def create_session(self, upload_data: Mapping[str, Any]) -> str:
        """Begin an upload, and return its id."""
        return await self._engine.follow(sessions.create(self._entries, upload_data, self._limits))

    async def accept_chunk(self, upload_id: str, number: int, size: int, checksum: str | None = None) -> ChunkReceipt:
        """Count a chunk, once however often it is said."""
        return (await self.accept_chunks(upload_id, [(number, size, checksum)]))[0]

    async def accept_chunks(self, upload_id: str, arrived: Sequence[Chunk]) -> list[ChunkReceipt]:
        """Count several chunks: 500 at a time, of which all are counted or none."""
        return await self._engine.follow(chunks.accept_all(self._entries, upload_id, arrived, self._limits))

    async def declare_size(self, upload_id: str, total_size: int) -> ChunkReceipt:
        """Say how large an upload is, when that was not known."""
        declare = chunks.declare(self._entries, upload_id, total_size, self._limits)
        return await self._engine.follow(records.with_room(self._entries, declare))

    async def advance(self, upload_id: str, offset: int, length: int) -> Offset:
        """Count a range behind all others; return where the upload goes on."""
        advance = chunks.advance(self._entries, upload_id, offset, length, self._limits)
        return await self._engine.follow(records.with_room(self._entries, advance))

    def claim_assembly(
        self,
        upload_id: str,
        *,
        max_attempts: int = assembly.MAX_ATTEMPTS,
        backoff: float = assembly.BACKOFF,
        **options: Any,
    ) -> Taking:
        """Take the assembly of a complete upload: ``async with state.claim_assembly(...) as claim:``."""
        terms = assembly.Assembly(max_attempts, backoff)
        return Taking(self._engine, self._entries, upload_id, None, terms, **options)


class DownloadState(_Bound):
    """Downloads under way, awaited. See ``RedisDownloadState``."""

    def __init__(
        self,
        engine: AsyncEngine,
        container_id: str | None = None,
        *,
        ttl: float | None = None,
        max_active_per_owner: int | None = None,
    ) -> None:
        self._most = records.limit("max_active_per_owner", max_active_per_owner)
        self.active_downloads = _Transfers(
            engine,
            downloads.NAMESPACE,
            ttl=downloads.TTL if ttl is None else ttl,
            container_id=container_id,
            remembers=False,
        )
        self._engine = engine
        self._entries = self.active_downloads._entries

    advance = op(downloads.advance)
    finish = op(downloads.finish)

    async def begin(self, download_id: str, data: Mapping[str, Any] | None = None) -> Download:
        """Begin a download, or resume the one under way."""
        begin = downloads.begin(self._entries, download_id, data, self._most)
        return await self._engine.follow(records.with_room(self._entries, begin))

    async def active(self, owner: str | None = None) -> int:
        """Count the downloads that an owner has."""
        return (await self._engine.follow(records.usage(self._entries, owner))).transfers


class TextCache(_Bound):
    """Texts within a budget, awaited. See ``RedisTextCache``."""

    _entries: Texts

    def __init__(self, engine: AsyncEngine, *, ttl: float = text.TTL, budget: int | None = None) -> None:
        self._engine = engine
        self._entries = Texts.of(engine, text.NAMESPACE, ttl, budget)

    get = plan(Texts.fetch)
    get_many = plan(Texts.fetch_many)
    put = plan(Texts.write)
    put_many = plan(Texts.write_many)
    drop = op(Texts.remove)
    pop = op(Texts.pop)
    contains = op(Texts.contains)
    ttl = plan(Texts.time_left)
    touch = op(Texts.touch)
    count = plan(Texts.count)
    keys = plan(Texts.names)
    clear = plan(upkeep.clear)
    resize = plan(upkeep.resize)
    stats = plan(upkeep.stats)
    check = plan(upkeep.check)
    repair = plan(upkeep.repair)

    async def put_entry(self, key: str, entry: CacheEntry) -> bool:
        """Write an entry with the times that it names, as ``text_cache.cache[key] = entry`` does."""
        return await self._engine.follow(self._entries.store(self._entries.wanted(key, entry)))

    async def get_or_load(self, key: str, loader: Callable[[], str | Awaitable[str]], **options: Any) -> str:
        """Return the text; load it if it is not there, once for all. See ``RedisTextCache.get_or_load``."""
        return await once_awaited(self._engine, loading(self._entries, key, **options), loader)


class WordTimingCache:
    """Values that are computed once, awaited. See ``RedisWordTimingCache``."""

    def __init__(self, engine: AsyncEngine, *, ttl: float = word_timing.TTL) -> None:
        self.cache = ValueMapping(engine, word_timing.NAMESPACE, ttl=ttl)

    async def get_or_compute(self, key: str, fn: Callable[[], T | Awaitable[T]], **options: Any) -> T:
        """Return the value; compute it if there is none, once for all. See ``RedisWordTimingCache.get_or_compute``."""
        values: Any = self.cache._entries
        return await once_awaited(self.cache._engine, word_timing.computing(values, key, **options), fn)


class VoiceAccessTracker(_Bound):
    """Accesses to voices, awaited. See ``RedisVoiceAccessTracker``."""

    def __init__(self, engine: AsyncEngine, *, ttl: float = voice_access.TTL) -> None:
        self._engine = engine
        self._entries = Voices(engine.keys(voice_access.NAMESPACE), ttl)

    record_segment_access = op(Voices.record)
    get_voice_activity = op(Voices.activity)
    active_voices = plan(Voices.active)
    idle_since = plan(Voices.idle)


class UploadStats:
    """How far the writing of each file is, awaited. See ``RedisUploadStats``."""

    def __init__(self, engine: AsyncEngine, container_id: str | None = None, *, ttl: float = UPLOAD_STATS_TTL) -> None:
        self._engine = engine
        self._stats = Stats(engine.keys(UPLOAD_STATS), ttl, lambda: container_id or own_container_id())

    async def put(self, file_id: str, stats: WriteStats) -> None:
        """Write the statistics of a file."""
        await self._engine.run(self._stats.put(file_id, stats))

    async def get(self, file_id: str) -> WriteStats | None:
        """Read the statistics of a file; None when there are none."""
        found: WriteStats | None = stats_of(file_id, await self._engine.run(self._stats.get(file_id)))
        return found

    async def delete(self, file_id: str) -> bool:
        """Remove the statistics of a file; tell whether there were any."""
        return await self._engine.run(self._stats.remove(file_id))

    async def add_bytes(self, file_id: str, n: int, chunks: int = 1) -> WriteStats:
        """Count bytes and chunks, atomically; return the sums. A missing entry is created."""
        return await self._engine.run(self._stats.add(file_id, n, chunks))
