"""What becomes of an upload. No word of HTTP here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from examples.tus_server.files import Files
from redis_state import AlreadyClaimed, AlreadyDone, OffsetConflict, RedisStateError, UnknownSession, UploadClosed
from redis_state.aio import AsyncEngine, Held, Locks, UploadState

log = logging.getLogger("tus_server")

BLOCK = 256 * 1024  # bytes that are written, and then counted, at a time
LEASE = 3.0  # seconds for which a process that was killed keeps others from its upload
PATIENCE = 1.0  # seconds to wait for another request that writes to the same upload
SWEEP = 2.0  # seconds between two looks for what killed processes left behind


class ChecksumMismatch(Exception):
    """The bytes are not those that the client meant."""


class Uploads:
    """All uploads, as each of the processes sees them."""

    def __init__(self, engine: AsyncEngine, files: Files) -> None:
        self.state = UploadState(engine)
        self.files = files
        self._writers = Locks(engine, "tus-writers")

    async def create(self, data: dict[str, Any]) -> str:
        uid = await self.state.create_session(data)
        if data["total_size"] == 0:
            await self.store(uid)
        return uid

    async def receive(
        self, uid: str, offset: int, body: AsyncIterator[bytes], checksum: tuple[str, bytes] | None = None
    ) -> int:
        """Take what arrives at ``offset``; return where the upload goes on.

        One writer at a time: ``LockTimeout`` when another request is at it. With a checksum, all of the body counts or
        nothing; without, each block counts when it is on the disk, so that a cut connection loses little.
        """
        async with self._writers.lock(uid, lease=LEASE, timeout=PATIENCE) as held:
            session = await self.state.get_session(uid)
            if session is None:
                raise UnknownSession(uid)
            if session["status"] in ("stored", "aborted"):
                raise UploadClosed(uid, session["status"])
            if session["bytes_received"] != offset:
                raise OffsetConflict(uid, offset, session["bytes_received"])
            if checksum is not None:
                return await self._receive_checked(uid, offset, body, checksum, held)
            async for block in blocks(body):
                offset = await self._count(uid, offset, offset, block, held)
            return offset

    async def _receive_checked(
        self, uid: str, offset: int, body: AsyncIterator[bytes], checksum: tuple[str, bytes], held: Held
    ) -> int:
        algorithm, wanted = checksum
        digest = hashlib.new(algorithm)
        at, last = offset, b""
        async for block in blocks(body):
            digest.update(block)
            if last:
                await self._write(uid, at, last, held)
                at += len(last)
            last = block
        if digest.digest() != wanted:
            raise ChecksumMismatch(f"{algorithm} {base64.b64encode(digest.digest()).decode()}")
        return await self._count(uid, offset, at, last, held)

    async def _write(self, uid: str, at: int, data: bytes, held: Held) -> None:
        held.check()  # a process that slept through its lease writes nothing
        await asyncio.to_thread(self.files.write, uid, at, data)

    async def _count(self, uid: str, offset: int, at: int, data: bytes, held: Held) -> int:
        """Write the last bytes of a range that begins at ``offset``, and count the range."""
        await self._write(uid, at, data, held)
        now = await self.state.advance(uid, offset, at + len(data) - offset)
        if now.completed_now:
            await self.store(uid)
        return now

    async def store(self, uid: str) -> None:
        """Move a complete upload to its place, once; nothing when somebody else does."""
        with suppress(AlreadyClaimed, AlreadyDone, UnknownSession, UploadClosed):
            async with self.state.claim_assembly(uid, lease=LEASE) as claim:
                session = claim.previous or {}
                await asyncio.to_thread(self.files.store, uid, session["total_size"])

    async def abort(self, uid: str) -> bool:
        aborted: bool = await self.state.abort(uid)
        if aborted:
            await asyncio.to_thread(self.files.discard, uid)
        return aborted

    async def sweep(self) -> None:
        """Do again and again what killed processes left undone, and remove the files of dead uploads."""
        since = 0.0
        while True:
            try:
                for uid in await self.state.awaiting_assembly():
                    await self.store(uid)
                for dead in await self.state.expired(since):
                    since = max(since, dead["expired_at"])
                    await asyncio.to_thread(self.files.discard, dead["upload_id"])
            except RedisStateError as error:
                log.warning("not swept: %s", error)
            await asyncio.sleep(SWEEP)


async def blocks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a body into blocks. What came before a connection was cut is a block, too."""
    gathered = bytearray()
    try:
        async for piece in body:
            gathered += piece
            while len(gathered) >= BLOCK:
                yield bytes(gathered[:BLOCK])
                del gathered[:BLOCK]
    except ConnectionError:
        log.info("a client went away")
    if gathered:
        yield bytes(gathered)
