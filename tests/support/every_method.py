"""Every public method of every public class, and what to call it with: for tests of what holds for all of them.

Arguments go by the names of parameters, since one name means one thing in all classes. A parameter without a line
here fails whoever asks for the calls, and so does a public class without one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from redis_state import (
    AsyncEngine,
    Batch,
    Claim,
    Engine,
    Held,
    Lock,
    LockInfo,
    Locks,
    Op,
    Pause,
    Record,
    RecordMapping,
    Replicas,
    ValueMapping,
    aio,
    cache,
    state,
)
from redis_state import __all__ as top
from redis_state.engine.op import command, do
from redis_state.errors import OutcomeUnknown
from redis_state.state_manager import RedisStateManager

PING = command(None, "PING", read=bytes)
OWN_TIME_OUT = 0.2  # seconds, for what takes a time-out of its own

ARGUMENTS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("key", "name", "track", "track_id", "upload_id", "download_id", "conversion_id", "file_id"), lambda name: name
    ),
    **dict.fromkeys(("container_id", "owner", "voice_id", "segment_id", "namespace"), lambda _: "a"),
    **dict.fromkeys(("field",), lambda _: "n"),
    **dict.fromkeys(("number", "segment", "offset", "since"), lambda _: 0),
    **dict.fromkeys(("n", "size", "length", "total", "total_size", "version", "seconds", "by"), lambda _: 1),
    **dict.fromkeys(("data", "value", "fields", "updates", "default", "upload_data"), lambda _: {"n": 1}),
    **dict.fromkeys(("items", "other"), lambda name: {name: {"n": 1}}),
    **dict.fromkeys(("keys", "names"), lambda name: [name]),
    **dict.fromkeys(("kind", "error", "trace", "durability", "_"), lambda _: None),
    **dict.fromkeys(("timeout", "within"), lambda _: OWN_TIME_OUT),
    "texts": lambda name: {name: "text"},
    "content": lambda _: "text",
    "entry": lambda _: cache.CacheEntry("text"),
    "stats": lambda name: cache.WriteStats(name),
    "arrived": lambda _: [(0, 1, "sum")],
    "budget": lambda _: 1 << 20,
    "change": lambda _: lambda record: {**record, "m": 1},
    "fn": lambda _: lambda: 1,
    "loader": lambda _: lambda: "text",
    "op": lambda _: PING,
    "ops": lambda _: [PING, PING],
    "plan": lambda _: do(PING),
    "url": lambda _: "redis://localhost",
    "hook": lambda _: id,
    "iterable": lambda name: [name],
}
OPTIONAL = {"timeout", "within", "default", "other"}  # given also where they have defaults
# They make a new object; and a lock is left where it was entered, which is the release of what it holds.
# What a lease says to the thread that renews it is no caller's.
LEFT_OUT = (
    {
        "fromkeys",
        "from_env",
        "from_url",
        "ask_for",
        "plan_again",
        "renewal",
        "renewed",
        "disown",
        "abandon",
        "longer_by",
    },
    {(Lock, "__exit__"), (aio.Lock, "__aexit__")},
)
DUNDERS = {
    *("__getitem__", "__setitem__", "__delitem__", "__len__", "__iter__", "__contains__", "__eq__", "__ior__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__", "__aiter__"),
}
SPECIAL: dict[tuple[type, str], dict[str, Callable[[str], Any]]] = {
    (Record, "__ior__"): {"other": lambda _: {"n": 2}},
    (Record, "update"): {"other": lambda _: {"n": 2}},
    (Record, "__setitem__"): {"value": lambda _: 2},
    (Record, "setdefault"): {"field": lambda _: "m", "default": lambda _: 1},
}
for _engine in (Engine, AsyncEngine):
    SPECIAL[_engine, "resolve"] = {"error": lambda _: OutcomeUnknown("text", PING)}
for _fails in (Claim, aio.Claim, state.RedisProgressState, aio.ProgressState):
    SPECIAL[_fails, "fail"] = {"error": lambda _: "no"}

Make = Callable[[Any, str], Any]

BLOCKING: dict[type, Make] = {
    Engine: lambda engine, _: Engine(engine.settings),
    RecordMapping: lambda engine, _: RecordMapping("r", ttl=60, engine=engine),
    ValueMapping: lambda engine, _: ValueMapping("v", ttl=60, engine=engine),
    Locks: lambda engine, _: Locks("l", engine),
    Lock: lambda engine, name: Locks("l", engine).lock(name, timeout=OWN_TIME_OUT),
    RedisStateManager: lambda engine, _: RedisStateManager("m", "c", engine),
    state.RedisProgressState: lambda engine, _: state.RedisProgressState("c", engine),
    state.RedisConversionState: lambda engine, _: state.RedisConversionState("c", engine),
    state.RedisUploadState: lambda engine, _: state.RedisUploadState("c", engine),
    state.RedisDownloadState: lambda engine, _: state.RedisDownloadState("c", engine),
    cache.RedisTextCache: lambda engine, _: cache.RedisTextCache(engine=engine),
    cache.RedisWordTimingCache: lambda engine, _: cache.RedisWordTimingCache(engine=engine),
    cache.RedisVoiceAccessTracker: lambda engine, _: cache.RedisVoiceAccessTracker(engine=engine),
    cache.RedisUploadStats: lambda engine, _: cache.RedisUploadStats("c", engine),
}
# These come into being only while the server answers.
PREPARED: dict[type, Make] = {
    Held: lambda engine, name: Locks("l", engine).lock(name, auto_renew=False).acquire(),
    Claim: lambda engine, name: state.RedisConversionState("c", engine).claim(name, auto_renew=False),
    Record: lambda engine, name: RecordMapping("r", ttl=60, engine=engine).setdefault(name, {"n": 1}),
}
AWAITED: dict[type, Make] = {
    AsyncEngine: lambda engine, _: AsyncEngine(engine.settings),
    aio.RecordMapping: lambda engine, _: aio.RecordMapping(engine, "r", ttl=60),
    aio.ValueMapping: lambda engine, _: aio.ValueMapping(engine, "v", ttl=60),
    aio.Locks: lambda engine, _: aio.Locks(engine, "l"),
    aio.Lock: lambda engine, name: aio.Locks(engine, "l").lock(name, timeout=OWN_TIME_OUT),
    aio.StateManager: lambda engine, _: aio.StateManager(engine, "m", "c"),
    aio.ProgressState: lambda engine, _: aio.ProgressState(engine, "c"),
    aio.ConversionState: lambda engine, _: aio.ConversionState(engine, "c"),
    aio.UploadState: lambda engine, _: aio.UploadState(engine, "c"),
    aio.DownloadState: lambda engine, _: aio.DownloadState(engine, "c"),
    aio.TextCache: lambda engine, _: aio.TextCache(engine),
    aio.WordTimingCache: lambda engine, _: aio.WordTimingCache(engine),
    aio.VoiceAccessTracker: lambda engine, _: aio.VoiceAccessTracker(engine),
    aio.UploadStats: lambda engine, _: aio.UploadStats(engine, "c"),
}
PREPARED_AWAITED: dict[type, Make] = {
    aio.Held: lambda engine, name: aio.Locks(engine, "l").lock(name, auto_renew=False).acquire(),
    aio.Claim: lambda engine, name: aio.ConversionState(engine, "c").claim(name, auto_renew=False),
}
ALL = BLOCKING | PREPARED | AWAITED | PREPARED_AWAITED
WITHOUT_SERVER = {
    LockInfo,
    Op,
    Pause,
    Replicas,
    state.Offset,
    state.Usage,
}  # classes that only describe; so do frozen dataclasses
GIVEN_OUT = {Batch, aio.AsyncBatch, aio.Taking}  # by a method that is called here, and used up there


# What is answered without a server: what a lease knows of itself, what a record holds, what only makes an object.
_LEASE = {"__enter__", "check", "remaining"}
_RECORD = {"__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "copy", "get", "items", "keys", "values"}
LOCAL: dict[str, set[str]] = {
    "Engine": {"__enter__", "__exit__", "close", "durable", "keys", "on_event", "status"},
    "Held": _LEASE,
    "Claim": _LEASE,
    "Record": _RECORD,
    "Locks": {"lock"},
    "ConversionState": {"lock"},
    "Lock": {"acquire"},  # None, where it cannot be had in time
    "ProgressState": {"watch"},  # what comes in time, and then it ends
}


@dataclass(frozen=True)
class Method:
    """One public method, and the object to make for it."""

    cls: type
    name: str
    make: Make

    @property
    def label(self) -> str:
        return f"{'aio.' if self.cls in AWAITED or self.cls in PREPARED_AWAITED else ''}{self.cls.__name__}.{self.name}"

    @property
    def is_local(self) -> bool:
        """Tell whether it may answer though the server does not."""
        cls = self.cls.__name__.removeprefix("Async").removeprefix("Redis")
        return self.name.replace("__a", "__") in LOCAL.get(cls, ())

    def call(self, thing: Any) -> Any:
        """Call it with a line for each parameter, and go through what comes in pieces."""
        positional, named = [], {}
        method, special = getattr(thing, self.name), SPECIAL.get((self.cls, self.name), {})
        for parameter in _parameters(method):
            word = parameter.name
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if parameter.default is not parameter.empty and word not in OPTIONAL:
                continue
            argument = (special.get(word) or ARGUMENTS[word])(f"{self.label}-name")
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                positional.append(argument)
            else:
                named[word] = argument
        answer = method(*positional, **named)
        if self.name == "batch" and isinstance(thing, Engine):
            with answer as batch:
                batch.add(PING)
        return list(answer) if not isinstance(answer, str | bytes | dict) and hasattr(answer, "__iter__") else answer

    async def awaited(self, thing: Any) -> Any:
        """Do the same with what is awaited."""
        answer = self.call(thing)
        if self.name == "batch":
            async with answer as batch:
                batch.add(PING)
            return batch
        if isinstance(answer, Awaitable):
            answer = await answer
        if hasattr(answer, "__anext__"):
            return [piece async for piece in answer]
        return answer


def _parameters(method: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(method).parameters.values())
    except ValueError:  # a dict's own, without any
        return []


def methods(classes: dict[type, Make]) -> Iterator[Method]:
    """Tell every public method of the classes."""
    for cls, make in classes.items():
        for name in dir(cls):
            found = inspect.getattr_static(cls, name)
            public = name in DUNDERS or not (name.startswith("_") or name in LEFT_OUT[0])
            if (
                public
                and (cls, name) not in LEFT_OUT[1]
                and callable(getattr(cls, name))
                and getattr(object, name, None) is not found
            ):
                yield Method(cls, name, make)


def classes_without_a_line() -> set[type]:
    """Return the public classes that are in none of the tables."""
    import redis_state

    public = {getattr(redis_state, name) for name in top}
    public |= {getattr(module, name) for module in (state, cache, aio) for name in module.__all__}
    classes = {cls for cls in public if inspect.isclass(cls) and not issubclass(cls, BaseException)}
    return {cls for cls in classes if not hasattr(cls, "__dataclass_fields__")} - set(ALL) - WITHOUT_SERVER - GIVEN_OUT
