"""Downloads under way: what was sent of each, how fast, and how many an owner may have at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.config import container_id as own_container_id
from redis_state.engine.run import Engine
from redis_state.transfer import downloads, records
from redis_state.transfer.downloads import NAMESPACE, TTL, Download
from redis_state.transfer.records import TransferMapping, limit

__all__ = ["Download", "RedisDownloadState", "download_state"]


class RedisDownloadState:
    """What every container knows about the downloads under way.

    ``active_downloads`` holds a record for each: the fields it was begun with, ``total_bytes``, ``owner``,
    ``bytes_sent`` and ``status`` ("active" or "finished"). Entries live an hour after each write. Every
    method is one round trip. ``max_active_per_owner`` counts those that were begun and not finished;
    downloads without an owner share one account.
    """

    def __init__(
        self,
        container_id: str | None = None,
        engine: Engine | None = None,
        ttl: float | None = None,
        max_active_per_owner: int | None = None,
    ) -> None:
        self._most = limit("max_active_per_owner", max_active_per_owner)
        self.active_downloads = TransferMapping(
            NAMESPACE,
            ttl=TTL if ttl is None else ttl,
            engine=engine,
            container_id=container_id,
            remembers=False,
        )

    @property
    def container_id(self) -> str:
        """Who owns what is begun here."""
        return self.active_downloads.container_id or own_container_id()

    def begin(self, download_id: str, data: Mapping[str, Any] | None = None) -> Download:
        """Begin a download of ``total_bytes`` (None: not known) for ``owner``, or resume the one under way.

        A finished one begins anew. ``QuotaExceeded`` when the owner has too many, ``ValueError`` when the
        one under way has another size.
        """
        entries = self.active_downloads.entries
        begin = downloads.begin(entries, download_id, data, self._most)
        return self.active_downloads.engine.follow(records.with_room(entries, begin))

    def advance(self, download_id: str, offset: int, length: int) -> Download:
        """Note that ``length`` bytes from ``offset`` on were sent, in any order; what is sent twice counts once.

        A finished one stays as it is. ``ValueError`` when there would be more than 512 ranges with gaps.
        """
        return self.active_downloads.engine.run(
            downloads.advance(self.active_downloads.entries, download_id, offset, length)
        )

    def finish(self, download_id: str) -> Download:
        """Say that a download is over, whole or not: it counts for its owner no more. Again: nothing happens."""
        return self.active_downloads.engine.run(downloads.finish(self.active_downloads.entries, download_id))

    def active(self, owner: str | None = None) -> int:
        """Count the downloads that an owner has. Two round trips."""
        return self.active_downloads.engine.follow(records.usage(self.active_downloads.entries, owner)).transfers

    def __repr__(self) -> str:
        return f"<RedisDownloadState, container {self.container_id!r}>"


download_state = RedisDownloadState()
