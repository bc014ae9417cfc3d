"""``Claim``, blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from redis_state.claim import operations
from redis_state.claim.operations import HANDED_BACK
from redis_state.claim.policy import DEFAULT, ClaimPolicy
from redis_state.claim.scripts import RECORD_SCRIPTS, ClaimScripts, Taken
from redis_state.engine.engine import Engine
from redis_state.engine.op import Op
from redis_state.errors import LockLost, RedisStateError, StaleToken
from redis_state.events import ClaimEnded, ClaimTaken
from redis_state.lock.lease import LeaseHolder, Renewal, noting
from redis_state.lock.lost import Lost
from redis_state.lock.operations import LEASE, Request, checked_seconds
from redis_state.lock.renewal import renewer
from redis_state.mapping import RecordMapping
from redis_state.mapping.record_operations import RecordOperations


class ClaimBase(LeaseHolder):
    """Common base of both faces: the facts of a claim, and the operations that renew and end it."""

    def __init__(
        self,
        request: Request,
        records: RecordOperations,
        taken: Taken,
        policy: ClaimPolicy,
        scripts: ClaimScripts,
        lost: Any,
        *,
        auto_renew: bool,
    ) -> None:
        super().__init__(request, taken.lease, lost, auto_renew=auto_renew)
        self._records = records
        self._policy = policy
        self._scripts = scripts
        self.attempt = taken.attempt
        """Which attempt this is, from 1."""
        self.previous = taken.previous
        """The record's fields as the last taker left them; None when there was no record."""

    def renewal(self) -> Renewal:
        """Renew the lease, and the record's time to live with it."""
        renewal = super().renewal()
        renewal.ops.append(self._records.touch(self.name))
        return renewal

    def abandon(self) -> Callable[[], Op[None]]:
        """Return what hands the work back, uncounted, when this is dropped; it does not refer to this."""
        why = "its claim was dropped"
        return partial(self._scripts.release, self._request, self._records, self._policy, self.fence, why)

    def _tell_taken(self) -> None:
        events = self._engine.events
        if events.hooks:
            events.tell(ClaimTaken(self.namespace, self.name, self.fence, self.attempt))

    def _tell_end(self, why: str) -> None:
        events = self._engine.events
        if events.hooks:
            events.tell(ClaimEnded(self.namespace, self.name, self.fence, why.removeprefix("it was ")))

    def _handing_back(self, why: object) -> Op[None]:
        return self._scripts.release(self._request, self._records, self._policy, self.fence, why)

    def _ending(self) -> Ending:
        """End it in a ``with`` block. ``LockLost`` when it was ended before."""
        if self._why:
            raise LockLost(self.name, self._why)
        return Ending(self)

    def _may_end_again(self, error: BaseException) -> bool:
        """Tell whether the caller may end it once more, after an end that raised this."""
        if isinstance(error, StaleToken):
            self.lost.set()
            return False
        return isinstance(error, Exception)

    def _end_of_block(self, error: BaseException | None) -> tuple[Callable[[], Any], str]:
        """Return what ends a block of work, and what to say when that fails, too."""
        this: Any = self
        if error is None:
            return this.finish, "the claim was not finished"
        if isinstance(error, Exception):
            return partial(this.fail, error), "the claim was not failed"
        return partial(this.release, error), "the claim was not handed back"


class Ending:
    """An end that a caller asked for: the claim is over from the first moment, unless it may be ended again."""

    def __init__(self, claim: ClaimBase) -> None:
        self._claim = claim
        self.was_lost, self._ends = claim.lost.is_set(), claim.lost.ends

    def __enter__(self) -> Self:
        return self

    def begin(self, why: str) -> None:
        """End it, inside the block: an interrupt may come at any place."""
        self._claim._ended(why)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and self._claim._may_end_again(error):
            self._claim._not_ended(self._ends)
        else:
            self._claim._renewer.drop(self._claim)


class Claim(ClaimBase):
    """Work that was taken. Leaving its ``with`` block confirms it; leaving it with an exception fails it.

    What is no ``Exception`` (``SystemExit``, ``KeyboardInterrupt``, ``GeneratorExit``, a cancellation) interrupts the
    work and hands it back: the attempt is not counted, and the next taker may take it at once.
    """

    lost: Lost
    _engine: Engine

    def __init__(
        self,
        request: Request,
        records: RecordOperations,
        taken: Taken,
        policy: ClaimPolicy,
        scripts: ClaimScripts,
        engine: Engine,
        *,
        auto_renew: bool,
    ) -> None:
        super().__init__(request, records, taken, policy, scripts, Lost(), auto_renew=auto_renew)
        self._engine = engine
        self._renewer = renewer(engine)
        self._renewer.keep(self)
        self._tell_taken()

    def update(self, fields: Mapping[str, Any]) -> bool:
        """Merge fields into the record; False when it was deleted. ``StaleToken`` when another taker took over."""
        if self._forked:
            raise LockLost(self.name, self._why)
        return self._engine.run(self._records.patch(self.name, fields, fence=self.fence))

    def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over."""
        self.check()
        with self._renewing() as renewal:
            renewal.answers = self._engine.run_all(renewal.ops)

    def finish(self, result: Any = None) -> None:
        """Say that the work is done, with its result, so that it is not done again while its record lives.

        Also when the lease is over, as long as no other taker has taken it: ``StaleToken`` then.
        """
        confirm = self._scripts.confirm(self._request, self._records, self._policy, self.fence, result)
        self._settle("it was finished", confirm)

    def fail(self, error: object) -> None:
        """Say that this attempt failed, and why (a text or an exception). It can be taken again after a rest.

        ``StaleToken`` when another taker has taken it since; ``AlreadyDone`` when it was finished, though the answer to
        that was lost.
        """
        fail = self._scripts.fail(self._request, self._records, self._policy, self.fence, error, self.attempt)
        self._settle("it was failed", fail)

    def release(self, why: object = HANDED_BACK) -> None:
        """Hand the work back before its end. The attempt is not counted, and the next taker may take it at once.

        The record keeps what was done, its ``status`` says "interrupted" and its ``error`` why (a text or an
        exception). Raises as ``fail`` does. One round trip.
        """
        self._settle(HANDED_BACK, self._handing_back(why))

    def _settle(self, why: str, op: Op[None]) -> None:
        with self._ending() as end:
            end.begin(why)
            try:
                self._engine.run(op)
            except Exception:
                raise
            except BaseException as interruption:  # whether it ran or not: what is still ours is handed back
                with suppress(RedisStateError):
                    self._engine.run(self._handing_back(interruption))
                raise
        self._tell_end(why)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._why and not self._forked:
            return
        end, otherwise = self._end_of_block(error)
        with noting(error, otherwise):
            end()


def take(
    mapping: RecordMapping,
    name: str,
    data: Mapping[str, Any] | None = None,
    policy: ClaimPolicy = DEFAULT,
    *,
    scripts: ClaimScripts = RECORD_SCRIPTS,
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
    request = Request(records.keys, name, lease, records._owner(), note or "", max_hold)
    try:
        taken = engine.follow(operations.take(request, records, data or {}, policy, scripts))
        return Claim(request, records, taken, policy, scripts, engine, auto_renew=auto_renew)
    except operations.REFUSED:
        raise
    except Exception:  # it may be taken, and no caller knows
        renewer(engine).release_later(engine, request)
        raise
    except BaseException as interruption:
        engine.follow(operations.abandon(request, records, policy, scripts, interruption))
        raise
