"""A built-in object keeps its namespace: a mapping of records in it is refused before it contradicts what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redis_state import ConfigError, Engine, RecordMapping, RedisStateManager, aio, cache, state
from redis_state.keys import BUILT_IN

MAKERS: dict[str, Callable[[str], Any]] = {
    "mapping": lambda namespace: RecordMapping(namespace, ttl=60),
    "manager": RedisStateManager,
    "awaited mapping": lambda namespace: aio.RecordMapping(aio.AsyncEngine.from_url("embedded://"), namespace, ttl=60),
    "awaited manager": lambda namespace: aio.StateManager(aio.AsyncEngine.from_url("embedded://"), namespace),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("namespace", BUILT_IN)
def test_records_do_not_go_where_a_built_in_object_keeps_more(namespace: str, make: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigError, match=f"'{namespace}' is that of {BUILT_IN[namespace]}.*another name"):
        make(namespace)


@pytest.mark.parametrize("name", BUILT_IN.values())
def test_the_object_that_keeps_it_is_there(name: str) -> None:
    assert hasattr(state, name) or hasattr(cache, name)


def test_built_in_objects_are_made_as_ever(engine: Engine) -> None:
    state.RedisProgressState(engine=engine).segment_progress["a"] = {"total_segments": 2}
    state.RedisDownloadState(engine=engine).begin("a", {"total_bytes": 1})
    assert len(state.RedisUploadState(engine=engine).create_session({})) > 0
