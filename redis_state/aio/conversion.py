"""Conversions that run once, across all containers, awaited. See ``redis_state.state.conversion``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.aio.state import State
from redis_state.claim import operations as claim_operations
from redis_state.claim.claim_async import Taking
from redis_state.engine.engine_async import AsyncEngine
from redis_state.lock.lock_async import Lock, Locks
from redis_state.lock.operations import LEASE
from redis_state.mapping.record_operations import RecordOperations
from redis_state.state import conversion


class ConversionState(State[RecordOperations]):
    """What every container knows about the conversions under way, awaited.

    ``active_conversions`` holds a record for each: the fields it was claimed with, ``status``
    ("converting", "completed", "failed" or "interrupted"), and then ``result`` or ``error``. Entries live an hour after
    each write. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
    ) -> None:
        lives = conversion.TTL if ttl is None else ttl
        super().__init__(RecordOperations, conversion.NAMESPACE, lives, container_id, engine)
        self.active_conversions = self._records
        self.locks = Locks(conversion.NAMESPACE, self._container_id, self._bound._given)

    def lock(
        self,
        name: str,
        *,
        lease: float = LEASE,
        timeout: float | None = None,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> Lock:
        """Return the lock of this name; sends nothing yet. See ``redis_state.aio.Locks.lock``.

        The lock named like a conversion is the one that its claim holds.
        """
        return self.locks.lock(name, lease=lease, timeout=timeout, auto_renew=auto_renew, max_hold=max_hold, note=note)

    def claim(
        self,
        conversion_id: str,
        data: Mapping[str, Any] | None = None,
        *,
        lease: float = LEASE,
        max_attempts: int = conversion.MAX_ATTEMPTS,
        backoff: float = conversion.BACKOFF,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> Taking:
        """Take a conversion, and write ``data`` into its record. For an ``async with`` block, or to be awaited.

        Leaving the block finishes it; leaving it with an exception fails it, and it may be taken again
        ``backoff`` seconds later (twice as long after each further failure), ``max_attempts`` times in
        all. Attempts of takers that died count, too. A cancellation, ``SystemExit`` and ``KeyboardInterrupt`` are
        no failure of the work: the claim is handed back at once and the attempt is not counted; by hand,
        ``await claim.release()``. The ``status`` is "interrupted" until the next taker comes.

        ``AlreadyClaimed`` while another taker works on it or it rests, ``AlreadyDone`` with its result, and
        ``AttemptsExhausted``.
        """
        policy = conversion.policy(max_attempts, backoff)
        return Taking(
            self._bound, conversion_id, data, policy, lease=lease, auto_renew=auto_renew, max_hold=max_hold, note=note
        )

    async def stalled(self) -> list[str]:
        """List the conversions whose taker died: the lease is over, and the work neither finished nor failed."""
        return await self._bound.follow(claim_operations.stalled)

    async def owner(self, conversion_id: str) -> str | None:
        """Return the container that took the conversion last, or created it; None when there is none."""
        return await self.active_conversions.owner(conversion_id)

    async def owned_by(self, container_id: str) -> list[str]:
        """List the conversions that a container took last, or created. O(n), 500 a round trip."""
        return await self.active_conversions.owned_by(container_id)

    async def retry_failed(self, conversion_id: str) -> bool:
        """Let a conversion that failed, or whose takers died, be tried again, at once and from the first attempt.

        False when there is nothing to retry: it is unknown, done, or a taker works on it.
        """
        return await self._bound.run(claim_operations.reopen, conversion_id)


conversion_state = ConversionState()
