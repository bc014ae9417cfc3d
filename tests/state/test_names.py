"""A name is its text: what is said with a member of ``class K(str, Enum)`` is said of what it holds, everywhere.

Each class is used twice, on prefixes of their own: once with texts, once with such members. Answers and what
lies on the server must be the same. A public method that takes a name and is not in the table is told.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, Locks, RecordMapping, ValueMapping, aio, cache, state
from redis_state.cache import CacheEntry, WriteStats
from redis_state.keys import text_of
from redis_state.state_manager import RedisStateManager
from tests.support.servers import Server


class K(str, Enum):  # noqa: UP042  (a StrEnum shows its text)
    """Names that show themselves as something else than what they hold."""

    A = "a"
    OWNER = "ann"
    FIELD = "n"


Say = Callable[[str], str]
Calls = Callable[[Say], list[tuple[Any, ...]]]

TAKES_NAMES = {
    *("key", "keys", "name", "names", "track", "track_id", "voice_id", "upload_id", "download_id"),
    *("conversion_id", "file_id", "container_id", "owner", "field", "items", "texts", "upload_data"),
}


def records(n: Say) -> list[tuple[Any, ...]]:
    a, field = n("a"), n("n")
    return [
        ("put", a, {field: 1, n("@x"): 2}),
        ("setdefault", a, {field: 5}),
        ("increment", a, field, 2),
        ("patch", a, {field: 4}),
        ("mutate", a, lambda r: {**r, "m": 1}),
        ("put_if_version", a, {field: 1}, 5),
        ("create", a, {field: 1}),
        ("get", a),
        ("get_many", [a]),
        ("contains", a),
        ("touch", a, 60.0),
        ("ttl", a),
        ("owner", a),
        ("owned_by", n("ann")),
        ("put_many", {a: {field: 3}}),
        ("keys",),
        ("values",),
        ("items",),
        ("copy",),
        ("pop", a),
        ("pop", a),
        ("update", {a: {field: 3}}),
        ("popitem",),
        ("popitem",),
        ("delete", a),
        ("setdefault", a, {field: 5}),
    ]


def values(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    calls: list[tuple[Any, ...]] = [
        ("put", a, 1),
        ("setdefault", a, 5),
        ("create", a, 5),
        ("get", a),
        ("get_many", [a]),
    ]
    calls += [("contains", a), ("touch", a, 60.0), ("ttl", a), ("put_many", {a: 3}), ("keys",)]
    calls += [("values",), ("items",), ("copy",), ("pop", a), ("pop", a)]
    calls += [("update", {a: 4}), ("increment", a, 2), ("mutate", a, lambda v: v + 1), ("add", a, 1)]
    calls += [("popitem",), ("popitem",), ("delete", a), ("delete_many", [a])]
    return [*calls, ("setdefault", a, 5)]


def locks(n: Say) -> list[tuple[Any, ...]]:
    return [("lock", n("a")), ("inspect", n("a")), ("list",)]


def progress(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    calls: list[tuple[Any, ...]] = [("begin", a, 2), ("get", a), ("mark", a, 0), ("advance", a), ("watch", a, 0.01)]
    calls += [("owner", a), ("owned_by", n("ann"))]
    return [*calls, ("confirm_completion", a), ("claim_completion", a), ("fail", a, "no"), ("pending_completions",)]


def conversion(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    calls: list[tuple[Any, ...]] = [("lock", a), ("claim", a, {n("n"): 1}), ("owner", a), ("owned_by", n("ann"))]
    return [*calls, ("retry_failed", a)]


def upload(n: Say) -> list[tuple[Any, ...]]:
    a, owner = n("a"), n("ann")
    return [
        ("create_session", {"upload_id": a, "owner": owner, "chunk_size": 10}),
        ("accept_chunk", a, 0, 10, "sum"),
        ("accept_chunks", a, [(0, 10, "sum")]),
        ("missing", a),
        ("checksums", a),
        ("declare_size", a, 10),
        ("get_session", a),
        ("update_session", a, {n("n"): 1}),
        ("owner", a),
        ("owned_by", owner),
        ("claim_assembly", a),
        ("retry_assembly", a),
        ("abort", a),
        ("delete_session", a),
        ("create_session", {"upload_id": a, "owner": owner}),
        ("advance", a, 0, 5),
        ("usage", owner),
        ("expired",),
    ]


def download(n: Say) -> list[tuple[Any, ...]]:
    a, owner = n("a"), n("ann")
    calls: list[tuple[Any, ...]] = [("begin", a, {"total_bytes": 9, "owner": owner}), ("advance", a, 0, 5)]
    return [*calls, ("active", owner), ("owner", a), ("owned_by", owner), ("finish", a)]


def text(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    entry = CacheEntry("content")
    calls: list[tuple[Any, ...]] = [("put", a, "text"), ("get", a), ("get_many", [a]), ("touch", a), ("ttl", a)]
    calls += [("contains", a), ("keys",), ("drop", a), ("get_or_load", a, lambda: "text"), ("pop", a)]
    return [*calls, ("put_entry", a, entry), ("put_many", {a: "text"})]


def timing(n: Say) -> list[tuple[Any, ...]]:
    return [("get_or_compute", n("a"), lambda: 1), ("get_or_compute", n("a"), lambda: 2)]


def voice(n: Say) -> list[tuple[Any, ...]]:
    a, v = n("a"), n("n")
    calls: list[tuple[Any, ...]] = [("record_segment_access", a, v, n("ann")), ("get_voice_activity", a, v)]
    return [*calls, ("active_voices", a), ("idle_since", 0.0)]


def stats(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    return [("put", a, WriteStats(a)), ("add_bytes", a, 5), ("get", a), ("delete", a), ("add_bytes", a, 5)]


def manager(n: Say) -> list[tuple[Any, ...]]:
    a = n("a")
    calls: list[tuple[Any, ...]] = [("create_session", a, {n("n"): 1}), ("get_session", a), ("owner", a)]
    return [
        *calls,
        ("update_session", a, {n("n"): 2}),
        ("owned_by", n("ann")),
        ("delete_session", a),
        ("create_session", a, {}),
    ]


# What is said to the states of both faces.
STATES: dict[str, Calls] = {
    "ProgressState": progress,
    "ConversionState": conversion,
    "UploadState": upload,
    "DownloadState": download,
}


def states_of(face: Any) -> dict[type, tuple[Callable[[Any, Say], Any], Calls]]:
    """Return the states of a face, as the tables below do."""

    def made(cls: Any) -> Callable[[Any, Say], Any]:
        return lambda e, n: cls(n("ann"), e)

    return {getattr(face, name): (made(getattr(face, name)), calls) for name, calls in STATES.items()}


# Class -> how it is made of an engine, and what is said to it.
BLOCKING: dict[type, tuple[Callable[[Any, Say], Any], Calls]] = {
    RecordMapping: (lambda e, n: RecordMapping(n("a"), ttl=60, engine=e, container_id=n("ann")), records),
    ValueMapping: (lambda e, n: ValueMapping(n("a"), ttl=60, engine=e), values),
    Locks: (lambda e, n: Locks(n("a"), e, n("ann")), locks),
    **states_of(state),
    cache.RedisTextCache: (lambda e, _: cache.RedisTextCache(engine=e), text),
    cache.RedisWordTimingCache: (lambda e, _: cache.RedisWordTimingCache(engine=e), timing),
    cache.RedisVoiceAccessTracker: (lambda e, _: cache.RedisVoiceAccessTracker(engine=e), voice),
    cache.RedisUploadStats: (lambda e, n: cache.RedisUploadStats(n("ann"), e), stats),
    RedisStateManager: (lambda e, n: RedisStateManager(n("a"), n("ann"), e), manager),
}
AWAITED: dict[type, tuple[Callable[[Any, Say], Any], Calls]] = {
    aio.RecordMapping: (lambda e, n: aio.RecordMapping(e, n("a"), ttl=60, container_id=n("ann")), records),
    aio.ValueMapping: (lambda e, n: aio.ValueMapping(e, n("a"), ttl=60), values),
    aio.Locks: (lambda e, n: aio.Locks(e, n("a"), n("ann")), locks),
    **states_of(aio),
    aio.TextCache: (lambda e, _: aio.TextCache(e), text),
    aio.WordTimingCache: (lambda e, _: aio.WordTimingCache(e), timing),
    aio.VoiceAccessTracker: (lambda e, _: aio.VoiceAccessTracker(e), voice),
    aio.UploadStats: (lambda e, n: aio.UploadStats(e, n("ann")), stats),
    aio.StateManager: (lambda e, n: aio.StateManager(e, n("a"), n("ann")), manager),
}
TABLE = BLOCKING | AWAITED


def plainly(name: str) -> str:
    return name


def as_member(name: str) -> str:
    return {member.value: member for member in K}.get(name, name)  # type: ignore[call-overload, no-any-return]


async def settled(answer: Any) -> Any:
    """Await an answer where it is awaited, take the first of several, and hold what can be held for a moment."""
    if hasattr(answer, "acquire"):  # a lock
        answer = answer.acquire(timeout=0)
    if inspect.isawaitable(answer):
        answer = await answer
    if hasattr(answer, "__anext__"):
        return await anext(answer)
    if hasattr(answer, "__next__"):
        return next(answer)
    for end in ("finish", "release"):
        if hasattr(answer, end):
            told = getattr(answer, end)()
            if isinstance(told, Awaitable):
                await told
            return f"held {answer.name!r}"
    return answer


def shown(told: object) -> str:
    """Return what was told, without what differs from call to call: times, tokens, random ids."""
    text = f"{type(told).__name__}: {told}" if isinstance(told, Exception) else repr(told)
    for member in K:
        text = text.replace(repr(member), repr(member.value)).replace(str(member), member.value)
    return re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", re.sub(r"holder='[^']*'", "", text))


async def told_by(thing: Any, calls: list[tuple[Any, ...]]) -> list[str]:
    answers = []
    for method, *args in calls:
        if not hasattr(thing, method):
            continue
        try:
            answer = await settled(getattr(thing, method)(*args))
        except Exception as error:
            answer = error
        answers.append(f"{method} -> {shown(answer)}")
    return answers


def lies_there(server: Server, prefix: str) -> list[Any]:
    """Return the keys below a prefix, and the fields and members that they hold."""
    found = []
    with server.client(decode_responses=False) as client:
        for key in client.keys(f"{prefix}:*"):
            if b":c:" in key:
                continue
            kind = client.type(key)
            inside: list[bytes] = []
            if kind == b"hash":
                inside = client.hkeys(key)
            elif kind == b"zset":
                inside = client.zrange(key, 0, -1)
            found.append((key.removeprefix(prefix.encode()), sorted(inside)))
    return sorted(found)


def used(cls: type, url: str, prefix: str, say: Say) -> list[str]:
    make, calls = TABLE[cls]

    async def use() -> list[str]:
        if cls in BLOCKING:
            with Engine.from_url(url, prefix=prefix) as blocking:
                return await told_by(make(blocking, say), calls(say))
        async with AsyncEngine.from_url(url, prefix=prefix) as awaited:
            return await told_by(make(awaited, say), calls(say))

    return asyncio.run(use())


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: f"{cls.__module__.split('.')[1]}.{cls.__name__}")
def test_a_member_names_what_its_text_names(server: Server, prefix: str, cls: type) -> None:
    texts, members = (used(cls, server.url, prefix + way.__name__[0], way) for way in (plainly, as_member))
    assert members == texts
    assert not [told for told in texts if "TypeError" in told or "UnsupportedType" in told], texts
    there = lies_there(server, f"{prefix}p")
    assert there
    assert lies_there(server, f"{prefix}a") == there


def methods_with_names(cls: type) -> Iterator[str]:
    for name, method in inspect.getmembers(cls, callable):
        if not name.startswith("_") and TAKES_NAMES & set(list(inspect.signature(method).parameters)[1:]):
            yield name


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: f"{cls.__module__.split('.')[1]}.{cls.__name__}")
def test_every_method_that_takes_a_name_is_in_the_table(cls: type) -> None:
    said = {method for method, *_ in TABLE[cls][1](plainly)}
    assert set(methods_with_names(cls)) <= said


def test_every_class_is_in_the_table() -> None:
    awaited = {getattr(aio, name) for name in aio.__all__}
    takers = {cls for cls in awaited if inspect.isclass(cls) and set(methods_with_names(cls))}
    assert takers - {AsyncEngine} - set(AWAITED) == set()


def test_namespaces_and_prefixes_are_their_text(server: Server, prefix: str) -> None:
    with Engine.from_url(server.url, prefix=prefix) as engine:
        ValueMapping(K.A, ttl=60, engine=engine)["k"] = 1
    with Engine.from_url(server.url, prefix=prefix) as engine:
        assert ValueMapping("a", ttl=60, engine=engine)["k"] == 1
        assert ValueMapping(K.A, ttl=60, engine=engine)["k"] == 1


def test_the_text_is_exactly_a_str() -> None:
    assert type(text_of(K.A)) is str
    assert text_of(K.A) == "a"
    plain = "a" * 3
    assert text_of(plain) is plain
