"""``Claim``, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Self

from redis_state.claim import operations
from redis_state.claim.claim import ClaimBase
from redis_state.claim.operations import HANDED_BACK
from redis_state.claim.policy import DEFAULT, ClaimPolicy
from redis_state.claim.scripts import RECORD_SCRIPTS, ClaimScripts, Taken
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.op import Op
from redis_state.errors import LockLost
from redis_state.lock.lease import noting
from redis_state.lock.lock_async import ABANDON_TIMEOUT_S, shielded
from redis_state.lock.lost import AsyncLost
from redis_state.lock.operations import LEASE, Request, checked_seconds
from redis_state.lock.renewal_async import async_renewer
from redis_state.mapping.record_operations import RecordOperations


class Claim(ClaimBase):
    """Work that was taken. Leaving its ``async with`` block confirms it; leaving it with an exception fails it.

    What is no ``Exception`` interrupts the work (cancellation above all) and hands it back, uncounted.
    """

    lost: AsyncLost
    _engine: AsyncEngine

    def __init__(
        self,
        request: Request,
        records: RecordOperations,
        taken: Taken,
        policy: ClaimPolicy,
        scripts: ClaimScripts,
        engine: AsyncEngine,
        *,
        auto_renew: bool,
    ) -> None:
        super().__init__(request, records, taken, policy, scripts, AsyncLost(), auto_renew=auto_renew)
        self._engine = engine
        async_renewer().keep(self, engine)
        self._tell_taken()

    async def update(self, fields: Mapping[str, Any]) -> bool:
        """Merge fields into the record; False when it was deleted. ``StaleToken`` when another taker took over."""
        if self._forked:
            raise LockLost(self.name, self._why)
        return await self._engine.run(self._records.patch(self.name, fields, fence=self.fence))

    async def renew(self) -> None:
        """Let the lease begin anew, now. ``LockLost`` when it is over."""
        self.check()
        with self._renewing() as renewal:
            renewal.answers = await self._engine.run_all(renewal.ops)

    async def finish(self, result: Any = None) -> None:
        """Say that the work is done, with its result, so that it is not done again while its record lives."""
        confirm = self._scripts.confirm(self._request, self._records, self._policy, self.fence, result)
        await self._settle("it was finished", confirm)

    async def fail(self, error: object) -> None:
        """Say that this attempt failed, and why. It can be taken again after a rest."""
        fail = self._scripts.fail(self._request, self._records, self._policy, self.fence, error, self.attempt)
        await self._settle("it was failed", fail)

    async def release(self, why: object = HANDED_BACK) -> None:
        """Hand the work back before its end: the attempt is not counted, and the next taker may take it at once."""
        await self._settle(HANDED_BACK, self._handing_back(why))

    async def _settle(self, why: str, op: Op[None]) -> None:
        with self._ending() as end:
            end.begin(why)
            await shielded(self._engine.run(op))
        self._tell_end(why)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._why and not self._forked:
            return
        end, otherwise = self._end_of_block(error)
        with noting(error, otherwise):
            await end()


class Taking:
    """A claim to be awaited, or entered: ``claim = await ...`` or ``async with ... as claim:``."""

    def __init__(
        self,
        bound: AsyncBinding[Any],
        name: str,
        data: Mapping[str, Any] | None = None,
        policy: ClaimPolicy = DEFAULT,
        *,
        scripts: ClaimScripts = RECORD_SCRIPTS,
        lease: float = LEASE,
        auto_renew: bool = True,
        max_hold: float | None = None,
        note: str | None = None,
    ) -> None:
        checked_seconds(name, "lease", lease)
        checked_seconds(name, "max_hold", max_hold)
        self._bound = bound
        self._name = name
        self._data = data or {}
        self._policy = policy
        self._scripts = scripts
        self._options = lease, note or "", max_hold
        self._auto_renew = auto_renew
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
        engine, records = self._bound.here()
        lease, note, max_hold = self._options
        request = Request(records.keys, self._name, lease, records._owner(), note, max_hold)
        try:
            taken = await engine.follow(operations.take(request, records, self._data, self._policy, self._scripts))
            return Claim(request, records, taken, self._policy, self._scripts, engine, auto_renew=self._auto_renew)
        except operations.REFUSED:
            raise
        except BaseException as why:
            abandon = operations.abandon(request, records, self._policy, self._scripts, why)
            leaving = async_renewer().spawn(engine.follow(abandon))
            await asyncio.wait({leaving}, timeout=ABANDON_TIMEOUT_S)
            raise
