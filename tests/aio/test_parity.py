"""Both faces are one: the same classes, methods, parameters, defaults and answers, blocking and awaited."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import weakref
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from dataclasses import dataclass
from typing import Any

import pytest

import redis_state
from redis_state import AsyncEngine, Engine, aio, cache, state
from redis_state.keys import Keys
from tests.state import test_names as said
from tests.support.servers import Server


@dataclass(frozen=True)
class Pair:
    """A blocking class and its awaited one. ``instead``: what stands for syntax that cannot be awaited."""

    blocking: Any
    awaited: Any
    only_blocking: frozenset[str] = frozenset()
    instead: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return str(self.awaited.__name__)


STATES = [name for name in state.__all__ if name.endswith("State") and not name.startswith("Redis")]
PAIRS = [
    Pair(Engine, AsyncEngine),
    Pair(redis_state.Batch, aio.AsyncBatch),
    Pair(redis_state.Locks, aio.Locks),
    Pair(redis_state.Lock, aio.Lock),
    Pair(redis_state.Held, aio.Held),
    Pair(redis_state.Claim, aio.Claim),
    Pair(redis_state.StateManager, aio.StateManager),
    *(Pair(getattr(state, name), getattr(aio, name)) for name in STATES),
    Pair(cache.TextCache, aio.TextCache),
    Pair(cache.WordTimingCache, aio.WordTimingCache),
    Pair(cache.VoiceAccessTracker, aio.VoiceAccessTracker),
    Pair(cache.UploadStats, aio.UploadStats),
]
# The blocking ones have item syntax beside their methods, and refuse the one of dicts that makes a dict.
MAPPINGS = [
    Pair(blocking, awaited, frozenset({"fromkeys"}), frozenset({"contains", "count"}))
    for blocking, awaited in (
        (redis_state.RecordMapping, aio.RecordMapping),
        (redis_state.ValueMapping, aio.ValueMapping),
    )
]

# They make an object, or look at what is in this process.
NOT_AWAITED = {"batch", "keys", "status", "from_env", "from_url", "lock", "claim", "claim_assembly", "remaining"}
DUNDERS = {"__init__", "__call__", "__enter__", "__exit__", "__iter__", "__aenter__", "__aexit__", "__aiter__"}
READY_MADE = {name for home in (state, cache) for name in home.__all__ if name.islower()}


def public(cls: type) -> set[str]:
    """Return the names of a class that a caller uses, those of its protocols as the blocking ones are called."""
    names = {name for name in dir(cls) if not name.startswith("_") or (name in DUNDERS and name in _own(cls))}
    return {re.sub(r"^__a(?=enter|exit|iter)", "__", name) for name in names}


def _own(cls: type) -> set[str]:
    return {name for one in cls.__mro__[:-1] for name in vars(one)}


def method_of(cls: type, name: str) -> Any:
    return getattr(cls, name, None) or getattr(cls, name.replace("__", "__a", 1))


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter."""
    return [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]


def methods(pairs: list[Pair]) -> list[Any]:
    return list(_methods(pairs))


def _methods(pairs: list[Pair]) -> Iterator[Any]:
    for pair in pairs:
        for name in sorted((public(pair.blocking) - pair.only_blocking) & public(pair.awaited)):
            if callable(method_of(pair.blocking, name)):
                yield pytest.param(pair, name, id=f"{pair}.{name}")


@pytest.mark.parametrize("pair", PAIRS + MAPPINGS, ids=str)
def test_both_have_the_same_names(pair: Pair) -> None:
    assert pair.blocking.__name__.removeprefix("Async") == pair.awaited.__name__.removeprefix("Async")
    assert public(pair.blocking) - pair.only_blocking == public(pair.awaited) - pair.instead


@pytest.mark.parametrize(("pair", "name"), methods(PAIRS + MAPPINGS))
def test_a_method_takes_the_same_on_both(pair: Pair, name: str) -> None:
    if name == "__init__" and pair.awaited in (aio.Held, aio.Claim, aio.Lock):
        return  # made by what was given an engine before
    if name == "__exit__" and pair.awaited is aio.Lock:
        return  # a function made for each block
    assert parameters(method_of(pair.awaited, name)) == parameters(method_of(pair.blocking, name))


@pytest.mark.parametrize(("pair", "name"), methods(PAIRS + MAPPINGS))
def test_a_method_says_on_both_what_it_does(pair: Pair, name: str) -> None:
    if name.startswith("__"):
        return
    for cls in (pair.blocking, pair.awaited):
        assert len(inspect.getdoc(method_of(cls, name)) or "") > 20


@pytest.mark.parametrize(("pair", "name"), methods(PAIRS + MAPPINGS))
def test_what_waits_is_a_coroutine_function(pair: Pair, name: str) -> None:
    method = method_of(pair.awaited, name)
    if name in NOT_AWAITED or name.startswith("__") or method is method_of(pair.blocking, name):
        return
    assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def test_every_class_has_its_pair() -> None:
    awaited = {name for name in aio.__all__ if inspect.isclass(getattr(aio, name))}
    assert awaited - {"Taking"} == {str(pair) for pair in PAIRS + MAPPINGS}  # a claim that is not taken yet
    blocking = {pair.blocking for pair in PAIRS + MAPPINGS}
    for home in (redis_state, state, cache):
        takers = {made for made in map(home.__dict__.get, home.__all__) if inspect.isclass(made)}
        takers = {made for made in takers if "engine" in parameters_of(made)}
        assert takers - blocking == set()


def parameters_of(made: Any) -> set[str]:
    plain = issubclass(made, Exception | int)  # of some of which Python tells no parameters
    return set() if plain else {name for name, *_ in parameters(made)}


def test_the_first_names_stay() -> None:
    for home in (state, cache, redis_state):
        firsts = [name for name in home.__all__ if name.startswith("Redis") and name != "RedisStateError"]
        assert firsts
        for name in firsts:
            assert getattr(home, name) is getattr(home, name.removeprefix("Redis"))


# --- the same script on both ------------------------------------------------------------------------------

SCRIPTS = [
    pytest.param(blocking, awaited, id=blocking.__name__)
    for blocking, awaited in zip(said.BLOCKING, said.AWAITED, strict=True)
]


def exactly(told: object) -> str:
    """Return what was told without what differs from call to call: times, tokens, random ids."""
    if isinstance(told, KeysView):
        told = list(told)
    elif isinstance(told, ValuesView | ItemsView):
        told = next(iter(told))  # as what is iterated with ``async for`` is told, too
    text = f"{type(told).__name__}: {told}" if isinstance(told, Exception) else repr(told)
    text = re.sub(r"holder='[^']*'|, awaited| at 0x\w+", "", text)
    return re.sub(r"\d+\.\d+|\d{7,}", "#", text)


@pytest.mark.parametrize(("blocking", "awaited"), SCRIPTS)
def test_both_answer_the_same(
    server: Server, prefix: str, blocking: type, awaited: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(said, "shown", exactly)
    blocked = said.used(blocking, server.url, f"{prefix}b", said.plainly)
    assert len(blocked) > 1
    answers = said.used(awaited, server.url, f"{prefix}a", said.plainly)
    if "contains" not in public(blocking):  # it has ``in`` instead
        answers = [answer for answer in answers if not answer.startswith("contains ")]
    assert answers == blocked
    assert said.lies_there(server, f"{prefix}a") == said.lies_there(server, f"{prefix}b")


@pytest.mark.parametrize("face", [state, aio], ids=["blocking", "awaited"])
@pytest.mark.parametrize("claim", ["claim", "claim_assembly"])
def test_an_option_that_there_is_not_is_a_type_error(face: Any, claim: str) -> None:
    made = face.ConversionState() if claim == "claim" else face.UploadState()
    with pytest.raises(TypeError, match="leese"):
        getattr(made, claim)("a", leese=3)


# --- what is given to a constructor -------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "engine"), [(state, Engine), (aio, AsyncEngine)], ids=["blocking", "awaited"])
async def test_an_engine_may_stand_in_any_place(of: Any, engine: Any, server: Server, prefix: str) -> None:
    locks = redis_state.Locks if of is state else aio.Locks
    given = engine.from_url(server.url, prefix=prefix)
    for made in (
        of.ProgressState(given, "c1"),
        of.ProgressState("c1", given),
        of.ProgressState(container_id="c1", engine=given),
        locks(given, "l", "c1"),
        locks("l", given, "c1"),
        locks("l", "c1", given),
    ):
        bound = getattr(made, "segment_progress", made)
        used = bound.engine if of is state else bound._bound.here()[0]
        assert (used, made.container_id) == (given, "c1")
    assert locks("l", given).namespace == "l"


# --- ready-made objects -----------------------------------------------------------------------------------


@pytest.fixture
def on_default(server: Server, prefix: str) -> Iterator[None]:
    redis_state.configure(server.url, prefix=prefix)
    yield
    redis_state.configure("redis://localhost")


def test_what_is_ready_made_is_so_on_both() -> None:
    assert len(READY_MADE) == 8
    for name in READY_MADE:
        blocking = getattr(state if name in state.__all__ else cache, name)
        assert type(getattr(aio, name)).__name__ == type(blocking).__name__


@pytest.mark.usefixtures("on_default")
def test_ready_made_objects_share_their_data_in_every_loop() -> None:
    async def use(total: int) -> AsyncEngine:
        assert (await aio.progress_state.begin(f"t{total}", total)).total == total
        assert state.progress_state.get(f"t{total}") == await aio.progress_state.get(f"t{total}")
        async with aio.conversion_state.claim(f"c{total}") as claim, aio.conversion_state.lock("l") as held:
            assert claim.attempt == held.fence // held.fence == 1
        await aio.text_cache.put("k", "text")
        assert await aio.word_timing_cache.get_or_compute("w", lambda: total) == 2
        assert await aio.upload_state.create_session({"upload_id": f"u{total}"}) == f"u{total}"
        assert (await aio.download_state.begin("d")).bytes_sent == 0
        assert (await aio.upload_stats.add_bytes("f", 1)).bytes_written == total - 1
        assert await aio.voice_access_tracker.record_segment_access("t", "v", 1) == total - 1
        engine = aio.default_engine()
        await aio.close()
        assert engine.status().connections == 0
        return engine

    assert asyncio.run(use(2)) is not asyncio.run(use(3))
    assert state.progress_state.owned_by(state.progress_state.container_id) == ["t2", "t3"]


@pytest.mark.usefixtures("on_default")
def test_engines_of_loops_that_are_over_are_not_kept(server: Server) -> None:
    async def use() -> weakref.ref[AsyncEngine]:  # and forget to close
        await aio.progress_state.get("t")
        await aio.text_cache.get("k")
        async with aio.conversion_state.lock("l"):
            return weakref.ref(aio.default_engine())

    used = [asyncio.run(use()) for _ in range(4)]
    gc.collect()
    assert [one() is not None for one in used] == [False, False, False, True]
    with server.client() as client:
        assert len(client.client_list()) <= 1 + used[-1]().status().connections  # type: ignore[union-attr]


@pytest.mark.usefixtures("on_default")
async def test_the_default_engine_follows_configure(server: Server, prefix: str) -> None:
    await aio.progress_state.begin("t", 2)
    before = aio.default_engine()
    assert before is aio.default_engine()
    redis_state.configure(server.url, prefix=f"{prefix}-other")
    assert await aio.progress_state.get("t") is None
    assert aio.default_engine() is not before
    await aio.close()
    assert before.closed
    assert before.status().connections == 0


def test_a_wrong_time_to_live_is_refused_where_there_is_no_engine_yet() -> None:
    for made in (aio.ProgressState, aio.UploadState, aio.TextCache, aio.WordTimingCache, aio.UploadStats):
        with pytest.raises(ValueError, match="ttl"):
            made(ttl=-1)
    with pytest.raises(redis_state.ConfigError):
        aio.Locks("a{b}")
    assert Keys("ab").namespace == "ab"
