"""Downloads under way: what was sent of each, how fast, and how many an owner may have at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from redis_state.engine.engine import Engine
from redis_state.mapping.state import State
from redis_state.transfer import downloads, quota
from redis_state.transfer.downloads import NAMESPACE, TTL, Download
from redis_state.transfer.fields import warn_of_near_misses
from redis_state.transfer.records import TransferOperations

__all__ = ["Download", "DownloadState", "RedisDownloadState", "download_state"]


class DownloadState(State[TransferOperations]):
    """The downloads under way, shared by all containers.

    ``active_downloads`` holds a record for each: the fields it was begun with, ``total_bytes``, ``owner``,
    ``bytes_sent`` and ``status`` ("active" or "finished"). Entries live an hour after each write. Every
    method is one round trip. ``max_active_per_owner`` counts those that were begun and not finished;
    downloads without an owner are not limited.
    """

    def __init__(
        self,
        container_id: str | Engine | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        max_active_per_owner: int | None = None,
    ) -> None:
        kind = partial(TransferOperations, tracks_dead=False)
        super().__init__(kind, NAMESPACE, TTL if ttl is None else ttl, container_id, engine)
        self._most = quota.limit("max_active_per_owner", max_active_per_owner)
        self.active_downloads = self._records

    def begin(self, download_id: str, data: Mapping[str, Any] | None = None) -> Download:
        """Begin a download of ``total_bytes`` (None: not known) for ``owner``, or resume the one under way.

        A finished one begins anew. ``QuotaExceeded`` when the owner has too many, ``ValueError`` when the
        one under way has another size.
        """
        warn_of_near_misses(data, downloads.KNOWN)
        return self._bound.follow(downloads.begin, download_id, data, self._most)

    def advance(self, download_id: str, offset: int, length: int) -> Download:
        """Note that ``length`` bytes from ``offset`` on were sent, in any order; what is sent twice counts once.

        A finished one stays as it is. ``ValueError`` when there would be more than 512 ranges with gaps.
        """
        return self._bound.run(downloads.advance, download_id, offset, length)

    def finish(self, download_id: str) -> Download:
        """Say that a download is over, whole or not: it counts for its owner no more. Again: nothing happens."""
        return self._bound.run(downloads.finish, download_id)

    def active(self, owner: str | None = None) -> int:
        """Count the downloads that an owner has. Two round trips."""
        return self._bound.follow(quota.usage, owner).transfers

    def owner(self, download_id: str) -> str | None:
        """Return the container that began the download; None when there is none."""
        return self._bound.run(TransferOperations.owner, download_id)

    def owned_by(self, container_id: str) -> list[str]:
        """List the downloads that a container began. O(n), 500 a round trip."""
        return self.active_downloads.owned_by(container_id)


RedisDownloadState = DownloadState  # its first name, which stays
download_state = DownloadState()
