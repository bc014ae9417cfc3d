"""``single_flight``, blocking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from redis_state.engine.engine import Engine
from redis_state.errors import CallError
from redis_state.lock.lease import LeaseHolder
from redis_state.lock.lock import give_up
from redis_state.lock.lost import Lost
from redis_state.lock.operations import Lease
from redis_state.lock.renewal import renewer
from redis_state.single_flight.operations import NO_ANSWER, Alone, Computation, Flight, Found

T = TypeVar("T")


def single_flight(engine: Engine, work: Computation[T], compute: Callable[[], T]) -> T:
    """Return the value; compute it if there is none, and no other caller does."""
    until = work.until()
    found = engine.follow(work.read(until))
    if found is not None and not found.stale:
        return found.value  # type: ignore[no-any-return]
    flight = Flight(engine, work, until)
    end: Any = found if flight.asks_for_itself(found) else _arrive(engine, flight, found)
    if isinstance(end, Lease):
        return _for_all(engine, flight, compute, end)
    return _computed(engine, flight, compute, stores=end.stores) if isinstance(end, Alone) else end.value


def _arrive(engine: Engine, flight: Flight[Any], found: Found | None) -> Any:
    """Follow what ``Flight.arrive`` says. What a call that failed may have brought is given back."""
    try:
        return engine.follow(flight.arrive(found))
    except BaseException as error:
        give_up(engine, flight.request, error)
        if isinstance(error, NO_ANSWER):
            flight.work.refuse_late(flight.until, error)
        raise


def _for_all(engine: Engine, flight: Flight[T], compute: Callable[[], T], lease: Lease) -> T:
    hold = LeaseHolder(flight.request, lease, Lost(), auto_renew=True)
    renewer(engine).keep(hold)
    try:
        # Another caller may have stored it just before the lock was ours.
        found = engine.follow(flight.work.poll())
        if found is not None and not found.stale:
            return found.value  # type: ignore[no-any-return]
        return _computed(engine, flight, compute, stores=True)
    finally:
        renewer(engine).drop(hold)
        hold._ended("it was computed")
        with suppress(CallError):  # the lock ends by itself, with the lease
            engine.run(flight.end())


def _computed(engine: Engine, flight: Flight[T], compute: Callable[[], T], *, stores: bool) -> T:
    with flight.computing():
        value = compute()
        if stores:
            engine.follow(flight.keep(value))
    return value
