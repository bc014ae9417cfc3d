"""Uploads and downloads, awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis_state.aio.face import Bound, op, plan
from redis_state.aio.mapping import RecordMapping, Shared
from redis_state.claim import steps as claim_steps
from redis_state.claim.awaited import Taking
from redis_state.config import container_id as own_container_id
from redis_state.engine.arun import AsyncEngine
from redis_state.keys import Keys
from redis_state.transfer import assembly, chunks, downloads, gaps, records, sessions
from redis_state.transfer.chunks import Chunk, ChunkReceipt, Offset
from redis_state.transfer.downloads import Download


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
        Shared.__init__(self, engine, records.Transfers(keys, ttl, owner, made, kept=kept, remembers=remembers))


class UploadState(Bound):
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


class DownloadState(Bound):
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
