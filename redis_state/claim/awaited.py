"""``Claim``, for asyncio."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Self

from redis_state.claim import steps
from redis_state.claim.held import ClaimBase
from redis_state.claim.steps import DEFAULT, Taken, Terms
from redis_state.engine.arun import AsyncEngine
from redis_state.engine.op import Op
from redis_state.errors import LockLost, RedisStateError, StaleToken
from redis_state.lock.awaited import farewell, renewed_now, to_its_end
from redis_state.lock.keeper import awaited_keeper
from redis_state.lock.steps import LEASE, Request, checked_seconds
from redis_state.lock.term import AwaitedLost
from redis_state.mapping.records import Records


class Claim(ClaimBase):
    """Work that was taken. Leaving its ``async with`` block confirms it; leaving it with an exception fails it."""

    lost: AwaitedLost

    def __init__(
        self, want: Request, records: Records, taken: Taken, terms: Terms, engine: AsyncEngine, *, auto_renew: bool
    ) -> None:
        super().__init__(want, records, taken, terms, AwaitedLost(), auto_renew=auto_renew)
        self._engine = engine
        awaited_keeper().keep(self, engine)

    async def update(self, fields: Mapping[str, Any]) -> bool:
        """Merge fields into the record; False when it was deleted. ``StaleToken`` when somebody else took over."""
        if self._forked:
            raise LockLost(self.name, self._why)
        return await self._engine.run(self._records.patch(self.name, fields, fence=self.fence))

    async def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over."""
        self.check()
        await renewed_now(self, self._engine)

    async def finish(self, result: Any = None) -> None:
        """Say that the work is done, with its result, and let nobody do it again while its record lives."""
        confirm = self._terms.confirm(self._want, self._records, self.fence, result)
        await self._settle("it was finished", confirm)

    async def fail(self, error: object) -> None:
        """Say that this attempt failed, and why. It can be taken again after a rest."""
        fail = self._terms.fail(self._want, self._records, self.fence, error, self.attempt)
        await self._settle("it was failed", fail)

    async def _settle(self, why: str, op: Op[None]) -> None:
        undo = self._end(why)
        awaited_keeper().drop(self)
        try:
            await to_its_end(self._engine.run(op))
        except StaleToken:
            self.lost.set()
            raise
        except Exception:
            undo()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._why and not self._forked:
            return
        if error is None:
            await self.finish()
            return
        try:
            await self.fail(error)
        except RedisStateError as also:
            error.add_note(f"and the claim was not failed: {also}")


class Taking:
    """A claim to be awaited, or entered: ``claim = await ...`` or ``async with ... as claim:``."""

    def __init__(
        self,
        engine: AsyncEngine,
        records: Records,
        name: str,
        data: Mapping[str, Any] | None = None,
        terms: Terms = DEFAULT,
        *,
        lease: float = LEASE,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> None:
        checked_seconds(name, "lease", lease)
        checked_seconds(name, "max_hold", max_hold)
        self._engine = engine
        self._records = records
        self._data = data or {}
        self._terms = terms
        self._auto_renew = auto_renew
        self._want = Request(records.keys, name, lease, records._owner(), note or "", max_hold)
        self._claim: Claim | None = None

    def __await__(self) -> Generator[Any, None, Claim]:
        return self._take().__await__()

    async def __aenter__(self) -> Claim:
        self._claim = await self._take()
        return self._claim

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._claim is not None:
            await self._claim.__aexit__(kind, error, trace)

    async def _take(self) -> Claim:
        want, records, terms = self._want, self._records, self._terms
        try:
            taken = await self._engine.follow(steps.take(want, records, self._data, terms))
            return Claim(want, records, taken, terms, self._engine, auto_renew=self._auto_renew)
        except steps.REFUSED:
            raise
        except BaseException:
            await farewell(self._engine, want)
            raise
