"""The clock that tests step: expiry goes by it, and waiting does not."""

from __future__ import annotations

import time

from tests.support.clock import SteppedServer


def test_a_step_forward_ends_what_is_kept_and_a_step_back_does_not_bring_it_back(stepped: SteppedServer) -> None:
    with stepped.client() as client:
        client.set("soon", 1, ex=1000)
        client.set("later", 1, ex=10_000)
        stepped.step(1200)
        assert 1195 < client.time()[0] - time.time() < 1205
        assert (client.get("soon"), client.get("later")) == (None, "1")
        stepped.step(-4800)
        assert -3605 < client.time()[0] - time.time() < -3595
        assert 13_000_000 < client.pttl("later") <= 13_600_000
        stepped.set_clock(0)
        assert abs(client.time()[0] - time.time()) < 5


def test_waiting_does_not_go_by_it(stepped: SteppedServer) -> None:
    with stepped.client() as client:
        stepped.step(3600)
        began = time.monotonic()
        assert client.blpop("nothing", 1) is None
        assert time.monotonic() - began > 0.5
