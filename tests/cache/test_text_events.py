"""Events of the text cache: a sweep is told."""

from __future__ import annotations

from redis_state import Engine
from redis_state.cache import TextCache
from redis_state.events import Event, TextsEvicted


def test_a_sweep_is_told(engine: Engine) -> None:
    heard: list[Event] = []
    engine.on_event(heard.append)
    cache = TextCache(engine=engine, budget=100_000)
    cache.put_many({f"k{number}": "x" * 1000 for number in range(50)})
    assert not [event for event in heard if isinstance(event, TextsEvicted)]
    cache.resize(10_000)
    (swept,) = [event for event in heard if isinstance(event, TextsEvicted)]
    assert swept[:2] == ("text", 10_000)
    assert 0 < swept.seconds < 10
    assert 0 < cache.stats().bytes <= 10_000
