"""``single_flight``, for asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from redis_state.engine.engine_async import AsyncEngine
from redis_state.errors import CallError
from redis_state.lock.lease import LeaseHolder
from redis_state.lock.lock_async import give_up, shielded
from redis_state.lock.lost import AsyncLost
from redis_state.lock.operations import Lease
from redis_state.lock.renewal_async import async_renewer
from redis_state.single_flight.operations import NO_ANSWER, Alone, Computation, Flight, Found

T = TypeVar("T")


async def single_flight_async(engine: AsyncEngine, work: Computation[T], compute: Callable[[], T | Awaitable[T]]) -> T:
    """Return the value; compute it if there is none, and no other caller does. ``compute`` may return an awaitable."""
    until = work.until()
    found = await engine.follow(work.read(until))
    if found is not None and not found.stale:
        return found.value  # type: ignore[no-any-return]
    flight = Flight(engine, work, until)
    end: Any = found if flight.asks_for_itself(found) else await _arrive(engine, flight, found)
    if isinstance(end, Lease):
        return await _for_all(engine, flight, compute, end)
    return await _computed(engine, flight, compute, stores=end.stores) if isinstance(end, Alone) else end.value


async def _arrive(engine: AsyncEngine, flight: Flight[Any], found: Found | None) -> Any:
    """Follow what ``Flight.arrive`` says. What a call that failed may have brought is given back."""
    try:
        return await engine.follow(flight.arrive(found))
    except BaseException as error:
        await give_up(engine, flight.request, error)
        if isinstance(error, NO_ANSWER):
            flight.work.refuse_late(flight.until, error)
        raise


async def _for_all(engine: AsyncEngine, flight: Flight[T], compute: Callable[[], T | Awaitable[T]], lease: Lease) -> T:
    hold = LeaseHolder(flight.request, lease, AsyncLost(), auto_renew=True)
    async_renewer().keep(hold, engine)
    try:
        # Another caller may have stored it just before the lock was ours.
        found = await engine.follow(flight.work.poll())
        if found is not None and not found.stale:
            return found.value  # type: ignore[no-any-return]
        return await _computed(engine, flight, compute, stores=True)
    finally:
        async_renewer().drop(hold)
        hold._ended("it was computed")
        await shielded(_ended(engine, flight))


async def _ended(engine: AsyncEngine, flight: Flight[Any]) -> None:
    with suppress(CallError):  # the lock ends by itself, with the lease
        await engine.run(flight.end())


async def _computed(
    engine: AsyncEngine, flight: Flight[T], compute: Callable[[], T | Awaitable[T]], *, stores: bool
) -> T:
    with flight.computing():
        made = compute()
        value = cast("T", await made if inspect.isawaitable(made) else made)
        if stores:
            await engine.follow(flight.keep(value))
    return value
