"""However late an answer comes: who holds a lock or a claim never believes so longer than the server does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_state import Engine, Locks
from redis_state.keys import Keys
from redis_state.lock import operations, waiting
from redis_state.lock.lease import LeaseHolder
from redis_state.lock.operations import Granted, Request, Waiting
from redis_state.state import RedisConversionState
from tests.support.proxy import Proxy
from tests.support.servers import Server

LEASES = st.sampled_from([0.7, 5.0])
LATE = st.sampled_from([0.0, 0.03, 0.1])  # seconds
tried = settings(max_examples=12, deadline=None)


@dataclass
class Place:
    """A server, and a way to it on which answers are late."""

    server: Server
    proxy: Proxy
    engine: Engine
    locks: Locks
    numbers: Iterator[int]

    def late(self, seconds: float, act: Callable[[], Any]) -> Any:
        """Do something whose answer comes late."""
        self.proxy.delay(seconds)
        try:
            return act()
        finally:
            self.proxy.delay(0.0)

    def fair(self, hold: LeaseHolder, key: str) -> bool:
        """Tell whether a hold ends for its holder no later than for the server."""
        ends = hold.lost.ends
        with self.server.client() as client:
            left: Any = client.pttl(key)
            return bool(ends <= monotonic() + left / 1000)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Server() as server, Proxy(server.socket_path) as proxy, Engine.from_url(proxy.url) as engine:
        yield Place(server, proxy, engine, Locks("work", engine), count())


@tried
@given(lease=LEASES, late=LATE)
def test_a_lock_that_was_free(place: Place, lease: float, late: float) -> None:
    lock = place.locks.lock(f"free {next(place.numbers)}", lease=lease, auto_renew=False)
    held = place.late(late, lambda: lock.acquire(0))
    assert place.fair(held, place.locks.keys.key("lock", lock.name))


@tried
@given(lease=LEASES, late=LATE)
def test_a_lock_that_is_renewed(place: Place, lease: float, late: float) -> None:
    held = place.locks.lock(f"renewed {next(place.numbers)}", lease=lease, auto_renew=False).acquire(0)
    assert held is not None
    place.late(late, held.renew)
    assert place.fair(held, place.locks.keys.key("lock", held.name))


@tried
@given(lease=LEASES, late=LATE, renewed=st.booleans(), hold=st.sampled_from([0.0, 0.1]))
def test_a_lock_that_was_waited_for(place: Place, lease: float, late: float, renewed: bool, hold: float) -> None:
    name = f"waited {next(place.numbers)}"
    first = place.locks.lock(name, auto_renew=False).acquire(0)
    assert first is not None
    release = threading.Timer(hold, first.release)
    release.start()
    held = place.late(late, lambda: place.locks.lock(name, lease=lease, auto_renew=renewed).acquire())
    assert place.fair(held, place.locks.keys.key("lock", name))
    release.join()
    held.release()


@settings(max_examples=200, deadline=None)
@given(
    step=st.floats(-3600.0, 3600.0),
    at=st.sampled_from(["before the wait", "while it waits"]),
    waited=st.floats(0.0, 0.9),
    offset=st.floats(-1e6, 1e6),
)
def test_a_lock_that_was_waited_for_while_the_clock_of_the_server_was_set(
    step: float, at: str, waited: float, offset: float
) -> None:
    """A wait that the server ends, because its clock was set forward, has not lasted as long as it was to."""
    now = 1000.0  # by the waiter's clock, which ``offset`` makes the server's
    with patch.object(waiting, "monotonic", lambda: now):
        want = Request(Keys("clock"), "a", 5.0, "c1")
        plan = waiting.acquire(want, None, kept=True)
        next(plan)
        plan.send(Waiting(60.0, now + offset, "c2", "another", "", 0.0))
        if at == "before the wait":
            offset += step
        granted = now + waited
        if at == "while it waits":
            offset += step
        now = granted  # the answer is there at once
        ends, then = 0.0, None
        try:
            then = plan.send([False, Granted(7, granted + offset)])
        except StopIteration as end:
            ends = end.value.ends
    assert ends <= granted + operations.WAKEUP_LEASE_S
    assert then is None or then.script is operations.RENEW.script, "it makes sure, by a renewal"


@tried
@given(lease=LEASES, late=LATE)
def test_a_claim(place: Place, lease: float, late: float) -> None:
    state = RedisConversionState("c1", place.engine)
    name = f"claimed {next(place.numbers)}"
    claim = place.late(late, lambda: state.claim(name, lease=lease, auto_renew=False))
    assert place.fair(claim, state.active_conversions.entries.keys.key("lock", name))
