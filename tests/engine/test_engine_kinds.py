"""Which engine an object takes, and what of it goes to another process: for every public class that takes an engine."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import redis_state
from redis_state import AsyncEngine, Engine, aio, cache, state
from redis_state.engine import default
from tests.support import ROOT
from tests.support.servers import Server


def taking_engines(*homes: Any) -> dict[str, type]:
    """The public classes of some modules whose constructor takes an engine that a caller may give."""
    return {
        name: made
        for home in homes
        for name in home.__all__
        if isinstance(made := getattr(home, name), type)
        and made.__name__ == name  # an alias is the same class
        and not issubclass(made, Exception | int)
        and "engine" in inspect.signature(made).parameters
        and name not in ("Batch", "AsyncBatch", "Claim", "Held", "Lock")  # made by what was given an engine before
    }


BLOCKING = taking_engines(redis_state, state, cache)
AWAITED = taking_engines(aio)


def make(made: type, engine: Any = None) -> Any:
    """Make an object with what its constructor asks for."""
    wanted = inspect.signature(made).parameters
    given: dict[str, Any] = {"namespace": "kinds"} if "namespace" in wanted else {}
    if "ttl" in wanted and wanted["ttl"].default is inspect.Parameter.empty:
        given["ttl"] = 60.0
    return made(**given, **({} if engine is None else {"engine": engine}))


def test_the_classes_are_found() -> None:
    assert {"RecordMapping", "Locks", "StateManager", "ProgressState", "TextCache"} <= set(BLOCKING)
    assert {"RecordMapping", "Locks", "StateManager", "ProgressState", "TextCache"} <= set(AWAITED)


@pytest.mark.parametrize("name", sorted(BLOCKING))
def test_a_blocking_object_refuses_an_asyncio_engine_and_names_its_twin(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is blocking; for an AsyncEngine use redis_state\.aio\.") as caught:
        make(BLOCKING[name], AsyncEngine.from_url("redis://localhost"))
    twin = str(caught.value).rpartition(".")[2]
    assert twin in aio.__all__
    assert name == twin


@pytest.mark.parametrize("name", sorted(AWAITED))
def test_an_awaited_object_refuses_a_blocking_engine_and_names_its_twin(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is awaited; for an Engine use redis_state[.\w]*$") as caught:
        make(AWAITED[name], Engine.from_url("redis://localhost"))
    home, _, twin = str(caught.value).rpartition(" ")[2].rpartition(".")
    assert twin in getattr(sys.modules[home], "__all__")  # noqa: B009
    assert twin == name


@pytest.mark.parametrize(("name", "made"), sorted([*BLOCKING.items(), *AWAITED.items()], key=str))
@pytest.mark.parametrize("wrong", ["redis://:secret@localhost", 5, object()], ids=["url", "number", "object"])
def test_what_is_no_engine_is_refused_by_the_name_of_the_class(name: str, made: type, wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: engine is an (Async)?Engine, not ") as caught:
        make(made, wrong)
    assert "secret" not in str(caught.value)


# --- what goes to another process ------------------------------------------------------------------------


@pytest.fixture
def on_default(server: Server, prefix: str) -> Iterator[None]:
    redis_state.configure(server.url, prefix=prefix)
    yield
    redis_state.configure("redis://localhost")


USES: dict[type, Callable[[Any], Any]] = {
    redis_state.RecordMapping: lambda made: made.get("a"),
    redis_state.ValueMapping: lambda made: made.get("a"),
    redis_state.Locks: lambda made: made.list(),
    redis_state.RedisStateManager: lambda made: made.get_session("a"),
    state.RedisProgressState: lambda made: made.get("a"),
    state.RedisConversionState: lambda made: (made.stalled(), made.lock("a").acquire(0).release()),
    state.RedisUploadState: lambda made: made.get_session("a"),
    state.RedisDownloadState: lambda made: made.active("a"),
    cache.RedisTextCache: lambda made: made.get("a"),
    cache.RedisWordTimingCache: lambda made: made.cache.get("a"),
    cache.RedisVoiceAccessTracker: lambda made: made.active_voices("a"),
    cache.RedisUploadStats: lambda made: made.file_stats.get("a"),
}


def test_every_class_is_used_here() -> None:
    assert {made.__name__ for made in USES} == {name for name in BLOCKING if name != "LegacyUploadState"}


@pytest.mark.usefixtures("on_default")
@pytest.mark.parametrize("made", USES, ids=lambda made: made.__name__)
def test_what_is_on_the_default_engine_can_be_pickled_also_after_use(made: type) -> None:
    one = make(made)
    fresh = pickle.loads(pickle.dumps(one))
    USES[made](one)
    used = pickle.loads(pickle.dumps(one))
    twin = one if issubclass(made, Mapping) else copy.copy(one)  # the copy of a mapping is a plain dict
    for other in (fresh, used, pickle.loads(pickle.dumps(used)), twin):
        assert type(other) is made
        USES[made](other)
    USES[made](one)


@pytest.mark.usefixtures("on_default")
def test_a_lock_can_be_pickled_also_while_it_is_held() -> None:
    lock = redis_state.Locks("kinds").lock("a", timeout=0)
    with lock:
        other = pickle.loads(pickle.dumps(lock))
        assert other.acquire(0) is None
    with other:
        assert lock.acquire(0) is None


def test_another_process_uses_its_own_default_engine(server: Server, prefix: str) -> None:
    redis_state.configure(server.url, prefix=prefix)
    try:
        records = redis_state.RecordMapping("kinds", ttl=60)
        records["a"] = {"n": 1}
        code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())['a']['n'])"
        environ = {"REDIS_URL": server.url, "REDIS_STATE_PREFIX": prefix}
        words = [sys.executable, "-c", code]
        ran = subprocess.run(words, input=pickle.dumps(records), env=environ, cwd=ROOT, capture_output=True, timeout=60)
        assert ran.stdout.strip() == b"1", ran.stderr
    finally:
        redis_state.configure("redis://localhost")


@pytest.mark.parametrize("name", sorted(BLOCKING))
def test_what_was_given_an_engine_says_why_it_cannot_be_pickled(name: str) -> None:
    with pytest.raises(TypeError, match=r"was given an engine, which stays in its process") as caught:
        pickle.dumps(make(BLOCKING[name], Engine.from_url("redis://localhost")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(AWAITED))
def test_what_is_awaited_says_why_it_cannot_be_pickled(name: str) -> None:
    with pytest.raises(TypeError, match=r"stays? in (its|their) process"):
        pickle.dumps(make(AWAITED[name], AsyncEngine.from_url("redis://localhost")))


@pytest.mark.parametrize("made", [Engine, AsyncEngine])
def test_an_engine_says_why_it_cannot_be_pickled(made: Any) -> None:
    with pytest.raises(TypeError, match="make an engine there"):
        pickle.dumps(made.from_url("redis://localhost"))


def test_a_handler_may_ask_for_the_default_engine_in_the_midst_of_its_making(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """As a signal handler or a finalizer does, on the thread that is there already."""
    real, asked = default.Engine, []  # type: ignore[attr-defined]

    def interrupted(settings: Any) -> Engine:
        if not asked:
            asked.append(None)
            asked[0] = default.default_engine()
        return real(settings)

    monkeypatch.setattr(default, "Engine", interrupted)
    redis_state.configure(server.url)
    try:
        making = threading.Thread(target=default.default_engine, daemon=True)
        making.start()
        making.join(20)
        assert not making.is_alive(), "it waits for itself"
        assert asked[0] is default.default_engine()
    finally:
        redis_state.configure("redis://localhost")
