"""Conversions that run once, across all containers.

``active_conversions`` is the mapping behind it. ``claim`` takes a conversion, so that no other container
runs it; ``lock`` guards whatever else a conversion needs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state import claim
from redis_state.claim import Claim, Terms
from redis_state.claim import steps as claim_steps
from redis_state.config import container_id as own_container_id
from redis_state.engine.run import Engine
from redis_state.lock import Lock, Locks
from redis_state.lock.steps import LEASE
from redis_state.mapping import RecordMapping
from redis_state.mapping.records import Records
from redis_state.state_manager import owned_by

NAMESPACE = "conversion"
TTL = 3600.0  # seconds after each write
MAX_ATTEMPTS = 3
BACKOFF = 1.0  # seconds


def terms(max_attempts: int = MAX_ATTEMPTS, backoff: float = BACKOFF) -> Terms:
    """Return the terms of a conversion's claim: what its ``status`` says, and how often it is tried."""
    return Terms(max_attempts, backoff, taken="converting", done="completed", failed="failed")


class RedisConversionState:
    """What every container knows about the conversions under way.

    ``active_conversions`` holds a record for each: the fields it was claimed with, ``status``
    ("converting", "completed" or "failed"), and then ``result`` or ``error``. Entries live an hour after
    each write. Every method is one round trip unless it says otherwise.
    """

    def __init__(self, container_id: str | None = None, engine: Engine | None = None, ttl: float | None = None) -> None:
        self.active_conversions = RecordMapping(
            NAMESPACE, ttl=TTL if ttl is None else ttl, engine=engine, container_id=container_id
        )
        self.locks = Locks(NAMESPACE, engine=engine, container_id=container_id)

    @property
    def container_id(self) -> str:
        """Who owns what is claimed here."""
        return self.active_conversions.container_id or own_container_id()

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
        all. Attempts of takers that died count, too.

        ``AlreadyClaimed`` while somebody works on it or it rests, ``AlreadyDone`` with its result, and
        ``AttemptsExhausted``.
        """
        return claim.take(
            self.active_conversions,
            conversion_id,
            data,
            terms(max_attempts, backoff),
            lease=lease,
            auto_renew=auto_renew,
            max_hold=max_hold,
            note=note,
        )

    def stalled(self) -> list[str]:
        """List the conversions whose taker died: the lease is over, and the work neither finished nor failed."""
        return self.active_conversions.engine.follow(claim_steps.stalled(self._records))

    def owned_by(self, container_id: str) -> list[str]:
        """List the conversions that a container took last, or created. O(n), 500 a round trip."""
        return self.active_conversions.engine.follow(owned_by(self._records, container_id))

    def retry_failed(self, conversion_id: str) -> bool:
        """Let a conversion that failed, or whose takers died, be tried again, at once and from the first attempt.

        False when there is nothing to retry: it is unknown, done, or somebody works on it.
        """
        return self.active_conversions.engine.run(claim_steps.reopen(self._records, conversion_id))

    @property
    def _records(self) -> Records:
        _ = self.active_conversions.engine  # binds the keys to the engine in use
        return self.active_conversions.entries


conversion_state = RedisConversionState()
