"""What becomes of an upload. No word of HTTP here."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from examples.tus_server.body import TooLarge, blocks
from examples.tus_server.files import Files
from redis_state import (
    AlreadyClaimed,
    AlreadyDone,
    ChunkConflict,
    LockLost,
    OffsetConflict,
    RedisStateError,
    StaleToken,
    UnknownSession,
    UploadClosed,
)
from redis_state.aio import AsyncEngine, Held, Locks, UploadState

log = logging.getLogger("tus_server")

LARGEST = 2**40  # bytes
LEASE = 3.0  # seconds for which a process that was killed keeps others from its upload
PATIENCE = 1.0  # seconds to wait for another request that writes to the same upload
SWEEP = 2.0  # seconds between two looks for what killed processes left behind
SWEEP_FILES = 60.0  # seconds between two looks at all files
STRAY = 300.0  # seconds for which nothing was written to a file whose upload is gone
UNCOUNTED = 2**28  # bytes of a part with a checksum while the length is not declared: they count when all are there


class ChecksumMismatch(Exception):
    """The bytes are not those that the client meant."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may use."""

    size: int = LARGEST  # bytes of an upload
    open_uploads: int | None = 1000  # of a client that are not complete
    open_bytes: int | None = None  # of a client in all of these
    patience: float = 10.0  # seconds within which a client must send something


@dataclass(frozen=True, slots=True)
class Part:
    """What a request brings: bytes that belong at ``offset``."""

    offset: int
    pieces: AsyncIterator[bytes]
    size: int | None = None  # bytes, where that is known before they are there
    checksum: tuple[str, bytes] | None = None
    length: int | None = None  # of the whole upload, where the request says it


class Uploads:
    """All uploads, as each of the processes sees them."""

    def __init__(self, engine: AsyncEngine, files: Files, limits: Limits) -> None:
        quotas = {"max_open_per_owner": limits.open_uploads, "max_bytes_per_owner": limits.open_bytes}
        self.state = UploadState(engine, **quotas)
        self.files = files
        self.limits = limits
        self._writers = Locks(engine, "tus-writers")
        self._since = 0.0

    async def create(self, data: dict[str, Any]) -> str:
        uid = await self.state.create_session(data)
        if data["total_size"] == 0:
            await self.store(uid)
        return uid

    async def find(self, uid: str) -> Mapping[str, Any]:
        """Return what is known of an upload. ``UnknownSession``; ``UploadClosed`` when it was deleted.

        Redis forgets a stored upload after a while; its file tells of it from then on.
        """
        session: Mapping[str, Any] | None = await self.state.get_session(uid)
        if session is None:
            size = await asyncio.to_thread(self.files.size, uid)
            if size is None:
                raise UnknownSession(uid)
            return {"status": "stored", "total_size": size, "bytes_received": size, "metadata": ""}
        if session["status"] == "aborted":
            raise UploadClosed(uid, "aborted")
        return session

    async def receive(self, uid: str, part: Part) -> int:
        """Take a part; return where the upload goes on. A part that is refused has changed nothing.

        One writer at a time: ``LockTimeout`` when another request is at it. With a checksum, all of the part counts or
        nothing; without, each block counts when it is on the disk, so that a cut connection loses little.
        """
        async with self._writers.lock(uid, lease=LEASE, timeout=PATIENCE) as held:
            upload = await self.find(uid)
            room = self._room(uid, upload, part)
            arriving = blocks(part.pieces, room, self.limits.patience)
            try:
                async with aclosing(arriving):
                    take = self._take_whole if part.checksum else self._take_blocks
                    offset = await take(uid, part, arriving, held)
            except (UnknownSession, UploadClosed):  # deleted meanwhile; what was written since then goes, too
                await asyncio.to_thread(self.files.discard, uid)
                raise
        if offset == (upload["total_size"] if part.length is None else part.length) and upload["status"] != "stored":
            await self.store(uid)
        return offset

    def _room(self, uid: str, upload: Mapping[str, Any], part: Part) -> int:
        """Return how many bytes may come. Raise what speaks against the part."""
        offset, total = upload["bytes_received"], upload["total_size"]
        if part.offset != offset:
            raise OffsetConflict(uid, part.offset, offset)
        if part.length is not None:
            if total not in (None, part.length):
                raise ChunkConflict(uid, None, f"it has {total} bytes, not {part.length}")
            total = part.length
        room: int = (self.limits.size if total is None else total) - offset
        if total is None and part.checksum:
            room = min(room, UNCOUNTED)
        if part.size is not None and part.size > room:
            raise TooLarge
        return room

    async def _take_blocks(self, uid: str, part: Part, arriving: AsyncIterator[bytes], held: Held) -> int:
        await self._declare(uid, part)
        at = part.offset
        async for block in arriving:
            await self._write(uid, at, block, held)
            at = await self.state.advance(uid, at, len(block))
        return at

    async def _take_whole(self, uid: str, part: Part, arriving: AsyncIterator[bytes], held: Held) -> int:
        assert part.checksum is not None
        algorithm, wanted = part.checksum
        digest, at = hashlib.new(algorithm), part.offset
        try:
            async for block in arriving:
                await self.find(uid)  # it may be deleted by now
                digest.update(block)
                await self._write(uid, at, block, held)
                at += len(block)
            if digest.digest() != wanted:
                raise ChecksumMismatch
        except BaseException:
            if not held.lost.is_set():
                self.files.cut(uid, part.offset)
            raise
        await self._declare(uid, part)
        return await self.state.advance(uid, part.offset, at - part.offset) if at > part.offset else at

    async def _declare(self, uid: str, part: Part) -> None:
        if part.length is not None and (await self.find(uid))["total_size"] is None:
            await self.state.declare_size(uid, part.length)

    async def _write(self, uid: str, at: int, data: bytes, held: Held) -> None:
        held.check()  # a process that slept through its lease writes nothing
        try:
            await asyncio.to_thread(self.files.write, uid, at, data)
        except FileNotFoundError:
            await self.find(uid)  # says so, when the upload was deleted
            raise

    async def store(self, uid: str) -> None:
        """Move a complete upload to its place, once; nothing when another process does."""
        try:
            with suppress(AlreadyClaimed, AlreadyDone, LockLost, StaleToken, UnknownSession):
                async with self.state.claim_assembly(uid, lease=LEASE) as claim:
                    session = claim.previous or {}
                    await asyncio.to_thread(self.files.store, uid, session["total_size"])
        except UploadClosed:  # deleted meanwhile
            await asyncio.to_thread(self.files.discard, uid, stored=True)

    async def delete(self, uid: str) -> None:
        """Give an upload up, or remove a stored one. ``UnknownSession``; ``UploadClosed`` the second time."""
        if not await self.state.abort(uid):
            await self.find(uid)
            await self.state.delete_session(uid)
        await asyncio.to_thread(self.files.discard, uid, stored=True)

    # --- what killed processes left behind ------------------------------------------------------------

    async def sweep(self) -> None:
        """Do again and again what is left undone, and remove the files of dead uploads."""
        files_swept = monotonic()
        while True:
            await asyncio.sleep(SWEEP)
            try:
                for uid in await self.state.awaiting_assembly():
                    await self._swept(self.store(uid))
                for dead in await self.state.expired(self._since):
                    self._since = max(self._since, dead["expired_at"])
                    await self._swept(self.clear([dead["upload_id"]]))
                if monotonic() - files_swept > SWEEP_FILES:
                    files_swept = monotonic()
                    await self.clear(await asyncio.to_thread(lambda: list(self.files.idle(STRAY))))
            except (RedisStateError, OSError) as error:
                log.warning("not swept: %s", error)

    async def clear(self, uids: list[str]) -> None:
        """Remove the files of those uploads that need them no more."""
        sessions = await self.state.sessions.get_many(uids)
        for uid in uids:
            status = sessions[uid]["status"] if uid in sessions else "gone"
            if status in ("gone", "stored", "aborted"):
                await asyncio.to_thread(self.files.discard, uid, stored=status == "aborted")

    async def _swept(self, step: Awaitable[None]) -> None:
        """One that fails does not keep the others."""
        try:
            await step
        except (RedisStateError, OSError, ValueError) as error:
            log.warning("not swept: %s", error)
