"""Conversions that run once, across all containers.

``active_conversions`` is the mapping behind it. ``claim`` takes a conversion, so that no other container
runs it; ``lock`` guards whatever else a conversion needs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state import claim
from redis_state.claim import Claim, ClaimPolicy
from redis_state.claim import operations as claim_operations
from redis_state.engine.engine import Engine
from redis_state.lock import Lock, Locks
from redis_state.lock.operations import LEASE
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.state import State

NAMESPACE = "conversion"
TTL = 3600.0  # seconds after each write
MAX_ATTEMPTS = 3
BACKOFF = 1.0  # seconds


def policy(max_attempts: int = MAX_ATTEMPTS, backoff: float = BACKOFF) -> ClaimPolicy:
    """Return the policy of a conversion's claim: what its ``status`` says, and how often it is tried."""
    return ClaimPolicy(max_attempts, backoff, taken="converting", done="completed", failed="failed")


class ConversionState(State[RecordOperations]):
    """What every container knows about the conversions under way.

    ``active_conversions`` holds a record for each: the fields it was claimed with, ``status``
    ("converting", "completed", "failed" or "interrupted"), and then ``result`` or ``error``. Entries live an hour after
    each write. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self, container_id: str | Engine | None = None, engine: Engine | None = None, ttl: float | None = None
    ) -> None:
        super().__init__(RecordOperations, NAMESPACE, TTL if ttl is None else ttl, container_id, engine)
        self.active_conversions = self._records
        self.locks = Locks(NAMESPACE, self._container_id, self._bound._given)

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
        """Return the lock of this name; sends nothing yet. See ``redis_state.lock.Locks.lock``.

        The lock named like a conversion is the one that its claim holds.
        """
        return self.locks.lock(name, lease=lease, timeout=timeout, auto_renew=auto_renew, max_hold=max_hold, note=note)

    def claim(
        self,
        conversion_id: str,
        data: Mapping[str, Any] | None = None,
        *,
        lease: float = LEASE,
        max_attempts: int = MAX_ATTEMPTS,
        backoff: float = BACKOFF,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> Claim:
        """Take a conversion, and write ``data`` into its record. For a ``with`` block, or by itself.

        Leaving the block finishes it; leaving it with an exception fails it, and it may be taken again
        ``backoff`` seconds later (twice as long after each further failure), ``max_attempts`` times in
        all. Attempts of takers that died count, too. A cancellation, ``SystemExit`` and ``KeyboardInterrupt`` are
        no failure of the work: the claim is handed back at once and the attempt is not counted; by hand,
        ``claim.release()``. The ``status`` is "interrupted" until the next taker comes.

        ``AlreadyClaimed`` while another taker works on it or it rests, ``AlreadyDone`` with its result, and
        ``AttemptsExhausted``.
        """
        return claim.take(
            self.active_conversions,
            conversion_id,
            data,
            policy(max_attempts, backoff),
            lease=lease,
            auto_renew=auto_renew,
            max_hold=max_hold,
            note=note,
        )

    def stalled(self) -> list[str]:
        """List the conversions whose taker died: the lease is over, and the work neither finished nor failed."""
        return self._bound.follow(claim_operations.stalled)

    def owner(self, conversion_id: str) -> str | None:
        """Return the container that took the conversion last, or created it; None when there is none."""
        return self._bound.run(RecordOperations.owner, conversion_id)

    def owned_by(self, container_id: str) -> list[str]:
        """List the conversions that a container took last, or created. O(n), 500 a round trip."""
        return self.active_conversions.owned_by(container_id)

    def retry_failed(self, conversion_id: str) -> bool:
        """Let a conversion that failed, or whose takers died, be tried again, at once and from the first attempt.

        False when there is nothing to retry: it is unknown, done, or a taker works on it.
        """
        return self._bound.run(claim_operations.reopen, conversion_id)


RedisConversionState = ConversionState  # its first name, which stays
conversion_state = ConversionState()
