"""``Claim``, blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from redis_state.claim import steps
from redis_state.claim.steps import DEFAULT, Taken, Terms
from redis_state.engine.op import Op
from redis_state.engine.run import Engine
from redis_state.errors import LockLost, RedisStateError, StaleToken
from redis_state.lock.held import renewed_now
from redis_state.lock.keeper import keeper
from redis_state.lock.steps import LEASE, Request, checked_seconds
from redis_state.lock.steps import leave as leave_lock
from redis_state.lock.term import Hold, Lost, Renewal
from redis_state.mapping import RecordMapping
from redis_state.mapping.records import Records


class ClaimBase(Hold):
    """What both faces share: facts, and what renewing takes."""

    def __init__(
        self, want: Request, records: Records, taken: Taken, terms: Terms, lost: Any, *, auto_renew: bool
    ) -> None:
        super().__init__(want, taken.lease, lost, auto_renew=auto_renew)
        self._records = records
        self._terms = terms
        self.attempt = taken.attempt
        """Which attempt this is, from 1."""
        self.previous = taken.previous
        """The record's fields as the last taker left them; None when there was no record."""

    def renewal(self) -> Renewal:
        """Renew the lease, and the record's time to live with it."""
        renewal = super().renewal()
        renewal.ops.append(self._records.touch(self.name))
        return renewal

    def _end(self, why: str) -> Callable[[], None]:
        """Note that it is over, so that it is not said twice. Returns how to take that back."""
        if self._why:
            raise LockLost(self.name, self._why)
        ends = self.lost.ends
        self._ended(why)

        def undo() -> None:
            self._why, self.lost.ends = "", ends

        return undo


class Claim(ClaimBase):
    """Work that was taken. Leaving its ``with`` block confirms it; leaving it with an exception fails it."""

    lost: Lost

    def __init__(
        self, want: Request, records: Records, taken: Taken, terms: Terms, engine: Engine, *, auto_renew: bool
    ) -> None:
        super().__init__(want, records, taken, terms, Lost(), auto_renew=auto_renew)
        self._engine = engine
        self._keeper = keeper(engine)
        self._keeper.keep(self)

    def update(self, fields: Mapping[str, Any]) -> bool:
        """Merge fields into the record; False when it was deleted. ``StaleToken`` when somebody else took over."""
        if self._forked:
            raise LockLost(self.name, self._why)
        return self._engine.run(self._records.patch(self.name, fields, fence=self.fence))

    def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over."""
        self.check()
        renewed_now(self, self._engine)

    def finish(self, result: Any = None) -> None:
        """Say that the work is done, with its result, and let nobody do it again while its record lives.

        Also when the lease is over, as long as nobody else has taken it: ``StaleToken`` then.
        """
        confirm = self._terms.confirm(self._want, self._records, self.fence, result)
        self._settle("it was finished", confirm)

    def fail(self, error: object) -> None:
        """Say that this attempt failed, and why (a text or an exception). It can be taken again after a rest.

        ``StaleToken`` when somebody else has taken it since; ``AlreadyDone`` when it was finished, though the answer to
        that was lost.
        """
        fail = self._terms.fail(self._want, self._records, self.fence, error, self.attempt)
        self._settle("it was failed", fail)

    def _settle(self, why: str, op: Op[None]) -> None:
        undo = self._end(why)
        self._keeper.drop(self)
        try:
            self._engine.run(op)
        except StaleToken:
            self.lost.set()
            raise
        except BaseException:
            undo()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._why and not self._forked:
            return
        if error is None:
            self.finish()
            return
        try:
            self.fail(error)
        except RedisStateError as also:
            error.add_note(f"and the claim was not failed: {also}")


def take(
    mapping: RecordMapping,
    name: str,
    data: Mapping[str, Any] | None = None,
    terms: Terms = DEFAULT,
    *,
    lease: float = LEASE,
    auto_renew: bool = True,
    max_hold: float | None = None,
    note: str | None = None,
) -> Claim:
    """Take work that must run once; its record is ``mapping[name]``. One round trip.

    ``AlreadyClaimed``, ``AlreadyDone`` or ``AttemptsExhausted`` when that cannot be.
    """
    checked_seconds(name, "lease", lease)
    checked_seconds(name, "max_hold", max_hold)
    engine = mapping.engine
    records = mapping.entries
    want = Request(records.keys, name, lease, records._owner(), note or "", max_hold)
    try:
        taken = engine.follow(steps.take(want, records, data or {}, terms))
        return Claim(want, records, taken, terms, engine, auto_renew=auto_renew)
    except steps.REFUSED:
        raise
    except Exception:  # it may be taken, by nobody
        keeper(engine).give_back(engine, want)
        raise
    except BaseException:  # interrupted
        with suppress(RedisStateError):
            engine.run(leave_lock(want))
        raise
