"""Events of claims: taken and ended, on both faces."""

from __future__ import annotations

import asyncio

import pytest

from redis_state import AsyncEngine, Engine, aio
from redis_state.events import ClaimEnded, ClaimTaken, Event
from redis_state.state import ConversionState
from tests.support.servers import Server

EXPECTED = [
    ("ClaimTaken", 1),
    ("ClaimEnded", "handed back"),
    ("ClaimTaken", 1),
    ("ClaimEnded", "failed"),
    ("ClaimTaken", 2),
    ("ClaimEnded", "finished"),
]


def told(heard: list[Event]) -> list[tuple[str, object]]:
    events = [event for event in heard if isinstance(event, ClaimTaken | ClaimEnded)]
    assert {event[:2] for event in events} == {("conversion", "c")}
    fences = [event.fence for event in events]
    assert fences == [fence for fence in sorted(set(fences)) for _ in range(2)]
    return [(type(event).__name__, event[3]) for event in events]


def test_what_became_of_a_claim_is_told(engine: Engine) -> None:
    heard: list[Event] = []
    engine.on_event(heard.append)
    state = ConversionState("me", engine)
    state.claim("c").release()
    with pytest.raises(ZeroDivisionError), state.claim("c", backoff=0):
        raise ZeroDivisionError
    with state.claim("c", backoff=0):
        pass
    assert told(heard) == EXPECTED


async def test_what_became_of_a_claim_is_told_awaited(server: Server, prefix: str) -> None:
    heard: list[Event] = []
    async with AsyncEngine.from_url(server.url, prefix=prefix) as engine:
        engine.on_event(heard.append)
        state = aio.ConversionState("me", engine=engine)
        await (await state.claim("c")).release()
        with pytest.raises(ZeroDivisionError):
            async with state.claim("c", backoff=0):
                raise ZeroDivisionError
        async with state.claim("c", backoff=0):
            await asyncio.sleep(0)
    assert told(heard) == EXPECTED
