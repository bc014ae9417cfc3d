"""Uploads that arrive in chunks, in any order, at any container, and lose no byte.

What has arrived is a set, so a chunk counts once however often it is delivered; one that contradicts
what was accepted is refused. The call that makes an upload complete is told so, and no other; its
assembly is a claim, so it runs once, and again only if its assembler dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from redis_state import claim
from redis_state.claim import Claim
from redis_state.claim import operations as claim_operations
from redis_state.engine.engine import Engine
from redis_state.lock.operations import LEASE
from redis_state.mapping.record_operations import Fence
from redis_state.mapping.state import State
from redis_state.transfer import assembly, chunks, missing, quota, sessions
from redis_state.transfer.assembly import BACKOFF, MAX_ATTEMPTS
from redis_state.transfer.chunks import Chunk, ChunkReceipt, Offset
from redis_state.transfer.fields import warn_of_near_misses
from redis_state.transfer.quota import Limits, Usage
from redis_state.transfer.records import TransferOperations
from redis_state.transfer.sessions import COMPANIONS, NAMESPACE, PROTECTED, TTL

__all__ = ["Chunk", "ChunkReceipt", "Offset", "RedisUploadState", "UploadState", "Usage", "upload_state"]


class UploadState(State[TransferOperations]):
    """The uploads under way, shared by all containers.

    ``sessions`` holds a record for each: the fields it was created with, ``upload_id``, ``owner``,
    ``total_size``, ``chunk_size``, what has arrived (``bytes_received``, ``chunks_received``, ``total_chunks``)
    and ``status``: "uploading", "complete", "assembling", "stored" or "aborted". A session lives two hours
    after each chunk. Every method is one round trip unless it says otherwise.

    With ``max_open_per_owner`` and ``max_bytes_per_owner`` an owner may have so many uploads, and so many
    bytes in them, that are not complete yet; uploads without an owner share one account. An upload whose
    size is not known reserves what has arrived of it.
    """

    def __init__(
        self,
        container_id: str | Engine | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        max_open_per_owner: int | None = None,
        max_bytes_per_owner: int | None = None,
    ) -> None:
        kind = partial(TransferOperations, companions=COMPANIONS, protected=PROTECTED)
        super().__init__(kind, NAMESPACE, TTL if ttl is None else ttl, container_id, engine)
        self._limits = Limits.of(max_open_per_owner, max_bytes_per_owner)
        self.sessions = self._records

    # --- sessions ---------------------------------------------------------------------------------

    def create_session(self, upload_data: Mapping[str, Any]) -> str:
        """Begin an upload, and return its id: ``upload_id`` if that is given, else a new one.

        ``total_size`` in bytes, or None until ``declare_size``; ``chunk_size``, or None for an upload that
        only ``advance``s; ``owner``, and any fields of your own. ``QuotaExceeded`` when the owner has too
        much open, ``ValueError`` when there is an upload of that id.
        """
        warn_of_near_misses(upload_data, sessions.KNOWN)
        return self._bound.follow(sessions.create, upload_data, self._limits)

    def get_session(self, upload_id: str) -> dict[str, Any] | None:
        """Read a session; None when there is none. Writes to what it returns go through, see ``Record``."""
        found: dict[str, Any] | None = self.sessions.get(upload_id)
        return found

    def update_session(self, upload_id: str, updates: Mapping[str, Any], *, fence: Fence = None) -> bool:
        """Merge fields into a session. False, and nothing created, when there is none.

        ``ValueError`` for those that are counted: sizes, what has arrived, ``owner`` and ``upload_id``.
        """
        return self.sessions.patch(upload_id, updates, fence=fence)

    def delete_session(self, upload_id: str) -> bool:
        """Forget an upload altogether; tell whether there was one. ``expired`` will not list it."""
        return self.sessions.delete(upload_id)

    def owner(self, upload_id: str) -> str | None:
        """Return the container that created the session; None when there is none."""
        return self._bound.run(TransferOperations.owner, upload_id)

    def owned_by(self, container_id: str) -> list[str]:
        """List the sessions that a container created. O(n), 500 a round trip."""
        return self.sessions.owned_by(container_id)

    def abort(self, upload_id: str) -> bool:
        """Give an upload up. It refuses chunks from now on, and its assembler loses its claim.

        False, and nothing changed, when there is none, or it is stored or was aborted before.
        """
        return self._bound.run(sessions.abort, upload_id)

    def expired(self, since: float = 0.0) -> list[dict[str, Any]]:
        """List the uploads that died at that time or later: aborted, or never stored before they expired.

        Times are seconds since 1970 by the server's clock. Each is a dict of what the session was created with and
        ``expired_at``, oldest first; the last one's ``expired_at`` is the next ``since``. They are told for
        two days. Two round trips, and two for each further 500.
        """
        return self._bound.follow(sessions.expired, since)

    def usage(self, owner: str | None = None) -> Usage:
        """Tell how many uploads an owner has open, and how many bytes they reserve. Two round trips."""
        return self._bound.follow(quota.usage, owner)

    # --- what arrives -----------------------------------------------------------------------------

    def accept_chunk(self, upload_id: str, number: int, size: int, checksum: str | None = None) -> ChunkReceipt:
        """Count chunk ``number`` (from 0) of ``size`` bytes, once however often it is said.

        Say it when the bytes are safe where the assembly will look for them. A chunk that was accepted
        with another size or checksum is a ``ChunkConflict``; ``ChunkOutOfRange``, ``ChunkSizeMismatch``,
        ``UploadClosed`` and ``UnknownSession`` change nothing either.
        """
        return self._bound.follow(chunks.accept_one, upload_id, number, size, checksum, self._limits)

    def accept_chunks(self, upload_id: str, arrived: Sequence[Chunk]) -> list[ChunkReceipt]:
        """Count several chunks, ``(number, size)`` or ``(number, size, checksum)``; a receipt for each.

        All or none: a bad one is told as by ``accept_chunk``, and then none is counted. More than 500 are
        counted in steps of 500, each of which is one round trip and counts all or none.
        """
        return self._bound.follow(chunks.accept, upload_id, arrived, self._limits)

    def declare_size(self, upload_id: str, total_size: int) -> ChunkReceipt:
        """Say how large an upload is, when that was not known. It may be complete by that.

        ``ChunkConflict`` when another size was declared, or what has arrived contradicts it.
        """
        return self._bound.follow(chunks.declare, upload_id, total_size, self._limits)

    def advance(self, upload_id: str, offset: int, length: int) -> Offset:
        """Count ``length`` bytes from ``offset`` on, for an upload that comes in order; return where it goes on.

        A range that was counted before is answered with where the upload stands; any other that does not
        begin there is an ``OffsetConflict`` with ``current``. An upload takes either ranges or chunks.
        """
        return self._bound.follow(chunks.advance, upload_id, offset, length, self._limits)

    def missing(self, upload_id: str) -> list[range]:
        """List the chunks that have not arrived, as ranges of numbers. O(chunks).

        While the size is not known: those below the highest that has arrived. Two round trips, and one for
        each further two million chunks.
        """
        return self._bound.follow(missing.missing_chunks, upload_id)

    def checksums(self, upload_id: str) -> dict[int, str]:
        """Read the checksums that chunks were accepted with. O(n), some 500 a round trip."""
        return self._bound.follow(missing.checksums, upload_id)

    # --- assembly ---------------------------------------------------------------------------------

    def claim_assembly(
        self,
        upload_id: str,
        *,
        lease: float = LEASE,
        max_attempts: int = MAX_ATTEMPTS,
        backoff: float = BACKOFF,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> Claim:
        """Take the assembly of a complete upload. For a ``with`` block, or by itself.

        Leaving the block finishes it, and the upload is stored: it refuses all chunks. Leaving it with
        an exception fails it, and it may be taken again ``backoff`` seconds later; one whose taker died,
        when the lease is over. ``UploadIncomplete``, ``AlreadyClaimed``, ``AlreadyDone`` with its result,
        ``AttemptsExhausted``, ``UploadClosed`` when it was aborted.
        """
        return claim.take(
            self.sessions,
            upload_id,
            None,
            assembly.policy(max_attempts, backoff),
            scripts=assembly.ASSEMBLY_SCRIPTS,
            lease=lease,
            auto_renew=auto_renew,
            max_hold=max_hold,
            note=note,
        )

    def awaiting_assembly(self) -> list[str]:
        """List the uploads that are complete, and that no assembler holds. O(open uploads), 500 a round trip."""
        return self._bound.follow(assembly.awaiting)

    def retry_assembly(self, upload_id: str) -> bool:
        """Let an assembly that failed too often be tried again, at once; False when there is nothing to retry."""
        return self._bound.run(claim_operations.reopen, upload_id)


RedisUploadState = UploadState  # its first name, which stays
upload_state = UploadState()
