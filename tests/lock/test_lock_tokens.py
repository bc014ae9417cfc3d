"""Tokens grow, whatever happens to the server that gives them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from redis_state import Engine, Locks, RecordMapping, StaleToken
from tests.support.servers import Server, available

FLAVOURS = [*available()]


@pytest.fixture(params=FLAVOURS)
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of the test's own."""
    with Server(available()[request.param], tcp=True) as running:
        yield running


def token(engine: Engine, name: str = "a") -> int:
    """Hold it for an instant. The lease is short: a replica may know of a grant, and not of its release."""
    with Locks("work", engine).lock(name, lease=2.0) as held:
        return held.fence


def test_over_flushall(own: Server) -> None:
    with Engine.from_url(own.url) as engine, own.client() as client:
        tokens = []
        for _ in range(50):
            tokens.append(token(engine))
            client.flushall()
        assert tokens == sorted(set(tokens))


def test_over_kill_and_restart_without_persistence(own: Server) -> None:
    with Engine.from_url(own.url) as engine:
        tokens = []
        for _ in range(3):
            tokens += [token(engine), token(engine)]
            own.kill()
            own.start()
        assert tokens == sorted(set(tokens))


def test_over_the_promotion_of_a_replica_that_lost_the_last_writes(own: Server) -> None:
    with (
        Server(own.binary, tcp=True) as replica,
        Engine.from_url(own.url) as before,
        Engine.from_url(replica.url) as now,
    ):
        first = token(before)
        replica.replica_of(own)
        replica.pause()
        lost = [token(before) for _ in range(20)]
        records = RecordMapping("work", ttl=60, engine=now)
        own.kill()
        replica.resume()
        replica.promote()
        after = token(now)
        assert first < lost[0] < lost[-1] < after
        with pytest.raises(StaleToken):
            records.put("a", {"by": "before"}, fence=lost[-1])


@pytest.mark.parametrize("lead", [60.0, 3600.0])
def test_over_a_clock_that_steps_back(own: Server, lead: float) -> None:
    """The last token is ahead of the time, as after a step back: it is the last one that counts."""
    with Engine.from_url(own.url) as engine, own.client() as client:
        ahead = int((time.time() + lead) * 1e6)
        client.hset(engine.keys("work").key("fence", "a"), "fence", ahead)
        assert [token(engine) for _ in range(3)] == [ahead + 1, ahead + 2, ahead + 3]


def test_20000_tokens_in_a_row(own: Server) -> None:
    """In one round trip for many: so fast that the clock gives the same microsecond again."""
    from redis_state.lock import operations

    with Engine.from_url(own.url) as engine:
        tokens: list[int] = []
        for _ in range(20):
            ops = []
            for _ in range(250):
                want = operations.Request(engine.keys("work"), "a", 5.0, "c1")
                ops += [operations.attempt(want, 5.0, queue=False), operations.release(want)]
            tokens += [grant.fence for grant in engine.run_all(ops)[::2]]
        assert len(tokens) == 5000
        assert tokens == sorted(set(tokens))
        assert all(token < 2**53 for token in tokens)


def test_a_token_outlives_its_lock_by_a_day(own: Server) -> None:
    with Engine.from_url(own.url) as engine, own.client() as client:
        held = Locks("work", engine).lock("a", lease=60.0).acquire()
        assert held is not None
        held.release()
        left = client.pttl(engine.keys("work").key("fence", "a"))
        assert 86400 < left / 1000 <= 86460  # type: ignore[operator]
