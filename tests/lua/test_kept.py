"""What scripts keep with a record, in fields of their own (@x) or in keys beside it, outlives the writes of others.

Each scenario makes an entry with something kept; then every write that a mapping or a record has is done to it,
blocking and awaited. A write leaves what is kept as it was, or is refused.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from redis_state import AlreadyDone, AsyncEngine, AttemptsExhausted, Engine, Record, RecordMapping, aio
from redis_state.engine.registry import all_scripts
from redis_state.mapping import SharedMapping
from redis_state.state import RedisConversionState, RedisDownloadState, RedisProgressState, RedisUploadState
from redis_state.state.upload_legacy import LegacyUploadState
from tests.support.servers import Server

OWN = {"version", "ttl", "owner", "created", "updated", "fence"}  # what every record has; @fence is kept, too

# --- what is kept -------------------------------------------------------------------------------------


def done(engine: Engine, name: str) -> RecordMapping:
    state = RedisConversionState("c1", engine)
    with state.claim(name, {"n": 1}):
        pass
    return state.active_conversions


def failed(engine: Engine, name: str) -> RecordMapping:
    state = RedisConversionState("c1", engine)
    state.claim(name, {"n": 1}, backoff=60).fail("no")
    return state.active_conversions


def taken(engine: Engine, name: str) -> RecordMapping:
    state = RedisConversionState("c1", engine)
    state.claim(name, {"n": 1}, auto_renew=False)
    return state.active_conversions


def fenced(engine: Engine, name: str) -> RecordMapping:
    state = RedisConversionState("c1", engine)
    with state.lock(name) as held:
        state.active_conversions.put(name, {"n": 1}, fence=held)
    return state.active_conversions


def marked(engine: Engine, name: str) -> RecordMapping:
    state = RedisProgressState("c1", engine)
    state.begin(name, 2)
    state.mark(name, 1)
    return state.segment_progress


def completed(engine: Engine, name: str) -> RecordMapping:
    state = RedisProgressState("c1", engine)
    state.begin(name, 1)
    state.mark(name, 0)
    return state.segment_progress


def arrived(engine: Engine, name: str) -> RecordMapping:
    state = RedisUploadState("c1", engine)
    state.create_session({"upload_id": name, "total_size": 20, "chunk_size": 10, "n": 1})
    state.accept_chunk(name, 1, 10, "sum")
    return state.sessions


def advanced(engine: Engine, name: str) -> RecordMapping:
    state = RedisUploadState("c1", engine)
    state.create_session({"upload_id": name, "total_size": 20, "n": 1})
    state.advance(name, 0, 10)
    return state.sessions


def aborted(engine: Engine, name: str) -> RecordMapping:
    state = RedisUploadState("c1", engine)
    state.create_session({"upload_id": name, "chunk_size": 10, "n": 1})
    state.accept_chunk(name, 1, 5)  # the last one, though the size is not known
    state.abort(name)
    return state.sessions


def unassembled(engine: Engine, name: str) -> RecordMapping:
    arrived(engine, name)
    state = RedisUploadState("c1", engine)
    state.accept_chunk(name, 0, 10)
    state.claim_assembly(name, backoff=60).fail("no")
    return state.sessions


def assembling(engine: Engine, name: str) -> RecordMapping:
    arrived(engine, name)
    state = RedisUploadState("c1", engine)
    state.accept_chunk(name, 0, 10)
    state.claim_assembly(name, lease=20_000, auto_renew=False)  # longer than its time to live
    return state.sessions


def of_old_code(engine: Engine, name: str) -> RecordMapping:
    unassembled(engine, name)
    return LegacyUploadState("c1", engine)._uploads


def sent(engine: Engine, name: str) -> RecordMapping:
    state = RedisDownloadState("c1", engine)
    state.begin(name, {"total_bytes": 100, "n": 1})
    state.advance(name, 10, 20)
    return state.active_downloads


SCENARIOS = [
    done,
    failed,
    taken,
    fenced,
    marked,
    completed,
    arrived,
    advanced,
    aborted,
    assembling,
    unassembled,
    of_old_code,
    sent,
]
AWAITED: dict[str, Callable[[AsyncEngine], Any]] = {
    "conversion": lambda engine: aio.ConversionState(engine, "c1").active_conversions,
    "progress": lambda engine: aio.ProgressState(engine, "c1").segment_progress,
    "upload": lambda engine: aio.UploadState(engine, "c1").sessions,
    "download": lambda engine: aio.DownloadState(engine, "c1").active_downloads,
}

# --- writes: their arguments, for an entry of that name and version -------------------------------------

Arguments = Callable[[str, int], tuple[Any, ...]]

OF_MAPPINGS: dict[str, Arguments] = {
    "__setitem__": lambda name, _: (name, {"text": "new"}),
    "put": lambda name, _: (name, {"text": "new"}),
    "put_many": lambda name, _: ({name: {"text": "new"}},),
    "update": lambda name, _: ({name: {"text": "new"}},),
    "__ior__": lambda name, _: ({name: {"text": "new"}},),
    "put_if_version": lambda name, version: (name, {"text": "new"}, version),
    "mutate": lambda name, _: (name, lambda r: {"text": "new"}),
    "patch": lambda name, _: (name, {"text": "new"}),
    "increment": lambda name, _: (name, "m", 2),
    "setdefault": lambda name, _: (name, {"text": "new"}),
    "create": lambda name, _: (name, {"text": "new"}),
    "touch": lambda name, _: (name, 1000.0),
}
OF_RECORDS: dict[str, Arguments] = {
    "__setitem__": lambda *_: ("text", "new"),
    "update": lambda *_: ({"text": "new"},),
    "__ior__": lambda *_: ({"text": "new"},),
    "setdefault": lambda *_: ("text", "new"),
    "__delitem__": lambda *_: ("n",),
    "pop": lambda *_: ("n", None),
    "popitem": lambda *_: (),
    "clear": lambda *_: (),
}
BEGIN_ANEW = {"__setitem__", "put", "put_many", "update", "__ior__"}  # of mappings: a new owner, and no companions
END = {"delete", "__delitem__", "pop", "popitem", "clear"}  # of mappings: nothing is kept
READ = {
    *("get", "get_many", "contains", "count", "keys", "items", "values", "ttl", "owner", "owned_by", "copy", "engine"),
    *("refresh", "fromkeys", "entries", "container_id", "namespace", "default_ttl"),
}


def names_of(cls: type, *extra: str) -> set[str]:
    """Return what may be called by name, and the operators that change something."""
    public = {name for name, found in inspect.getmembers(cls, callable) if not name.startswith("_")}
    return public | {operator for operator in ("__setitem__", "__delitem__", "__ior__") if hasattr(cls, operator)}


@pytest.mark.parametrize("cls", [RecordMapping, aio.RecordMapping])
def test_every_write_of_a_mapping_is_in_the_table(cls: type) -> None:
    assert names_of(cls) - set(OF_MAPPINGS) - END - READ == set()


def test_every_write_of_a_record_is_in_the_table() -> None:
    assert names_of(Record) - set(OF_RECORDS) - READ == set()


# --- the test -----------------------------------------------------------------------------------------


def kept(server: Server, name: str) -> dict[str, Any]:
    """Return what lies on the server by that name beside the fields of the record: contents, not times."""
    found: dict[str, Any] = {}
    with server.client(decode_responses=False) as client:
        for key in client.keys("*"):
            kind, text = client.type(key), key.decode()
            part = text.partition("}:")[2]
            if part.startswith(("c:", "n:")) or part == "index":
                continue  # records of calls; news of changes; the index
            if not part.endswith(f":{name}"):
                if kind == b"zset":
                    found[part] = client.zscore(key, name)
                elif kind == b"hash":
                    found[part] = client.hget(key, name)
            elif kind == b"hash":
                fields = client.hgetall(key)
                mine = part.startswith("r:")
                found[part] = {f: v for f, v in fields.items() if not mine or re.match(rb"@[^@]", f)}
            else:
                found[part] = client.dump(key)
    return found


def compared(there: dict[str, Any], name: str, *left_out: bytes) -> dict[str, Any]:
    record = {f: v for f, v in there[f"r:{name}"].items() if f not in (b"@version", b"@updated", *left_out)}
    return {**there, f"r:{name}": record}


def check(server: Server, write: str, name: str, before: dict[str, Any], *, anew: bool) -> None:
    left_out = (b"@owner", b"@ttl") if anew else (b"@ttl",) if write == "touch" else ()
    then, now = compared(before, name, *left_out), compared(kept(server, name), name, *left_out)
    if anew:
        then, now = (
            {key: held for key, held in all_of.items() if key[:2] not in ("b:", "k:")} for all_of in (then, now)
        )
    assert now == then, write


def written(thing: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    with suppress(TypeError, ValueError, KeyError):  # refused
        return getattr(thing, method)(*arguments)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_write_leaves_what_others_keep(
    server: Server, engine: Engine, scenario: Callable[..., RecordMapping]
) -> None:
    for method, arguments in OF_MAPPINGS.items():
        name = f"mapping{method}"
        mapping = scenario(engine, name)
        before = kept(server, name)
        if hasattr(mapping, method):
            written(mapping, method, arguments(name, mapping[name].version))
            check(server, method, name, before, anew=method in BEGIN_ANEW)
    for method, arguments in OF_RECORDS.items():
        name = f"record{method}"
        mapping = scenario(engine, name)
        before = kept(server, name)
        written(mapping[name], method, arguments(name, 0))
        check(server, method, name, before, anew=False)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_awaited_write_leaves_what_others_keep(
    server: Server, prefix: str, engine: Engine, scenario: Callable[..., RecordMapping]
) -> None:
    async def write() -> None:
        async with AsyncEngine.from_url(server.url, prefix=prefix) as awaited:
            for method, arguments in OF_MAPPINGS.items():
                name = f"awaited{method}"
                blocking = scenario(engine, name)
                mapping = AWAITED[blocking.namespace](awaited)
                before = kept(server, name)
                if hasattr(mapping, method) and not method.startswith("__"):
                    with suppress(TypeError, ValueError):
                        await getattr(mapping, method)(*arguments(name, blocking[name].version))
                    check(server, method, name, before, anew=method in BEGIN_ANEW)

    asyncio.run(write())


def fields_in_the_texts() -> set[str]:
    """Return the @x that scripts write, beside those of every record."""
    written = {name for found in all_scripts() for name in re.findall(r"'@([a-z_]+)'", found.text)}
    return written - OWN


def test_each_field_that_a_script_keeps_is_in_a_scenario(server: Server, engine: Engine) -> None:
    seen: set[str] = set()
    companions: set[str] = set()
    for number, scenario in enumerate(SCENARIOS):
        name = f"e{number}"
        scenario(engine, name)
        there = kept(server, name)
        seen |= {field[1:].decode() for field in there[f"r:{name}"]}
        companions |= {key[0] for key in there if key.endswith(f":{name}")}
    assert fields_in_the_texts() <= seen
    assert companions >= {"b", "k", "f"}


# --- what it is for -------------------------------------------------------------------------------------


@pytest.fixture
def conversions(engine: Engine) -> RedisConversionState:
    return RedisConversionState("c1", engine)


@pytest.mark.parametrize("write", ["put", "mutate", "put_if_version"])
def test_work_that_is_done_stays_done(conversions: RedisConversionState, write: str) -> None:
    with conversions.claim("a"):
        pass
    mapping = conversions.active_conversions
    getattr(mapping, write)(*OF_MAPPINGS[write]("a", mapping["a"].version))
    with pytest.raises(AlreadyDone):
        conversions.claim("a")
    del mapping["a"]
    with conversions.claim("a") as claim:
        assert claim.attempt == 1


def test_attempts_are_counted_over_whole_writes(conversions: RedisConversionState) -> None:
    for _ in range(2):
        conversions.claim("a", max_attempts=2, backoff=0).fail("no")
        conversions.active_conversions["a"] = {"note": "seen"}
    with pytest.raises(AttemptsExhausted):
        conversions.claim("a", max_attempts=2)


def test_a_download_remembers_what_was_sent(engine: Engine) -> None:
    state = RedisDownloadState("c1", engine)
    state.begin("d", {"total_bytes": 100})
    state.advance("d", 0, 50)
    state.active_downloads["d"].clear()
    told = state.advance("d", 50, 10)
    assert (told.bytes_sent, told.offset) == (60, 60)


def test_a_record_of_very_many_fields_is_written_whole(engine: Engine) -> None:
    mapping = RecordMapping("things", ttl=60, engine=engine)
    mapping["a"] = {f"f{n}": n for n in range(3500)}
    for start in range(3500, 20_000, 3300):
        mapping.patch("a", {f"f{n}": n for n in range(start, start + 3300)})
    assert len(mapping["a"]) == 3500 + 5 * 3300
    mapping["a"] = {"@x": 1, "": 2}
    assert mapping["a"] == {"@x": 1, "": 2}


def shared_mappings() -> Iterator[type]:
    waiting = [SharedMapping]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        yield cls


def test_no_mapping_of_records_has_writes_of_its_own() -> None:
    for cls in shared_mappings():
        if issubclass(cls, RecordMapping):
            assert names_of(cls) - set(OF_MAPPINGS) - END - READ == set(), cls
