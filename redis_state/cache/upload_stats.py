"""What was written of each file that is being uploaded, counted by all containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from redis_state.config import container_id as own_container_id
from redis_state.engine.default import default_cache_engine
from redis_state.engine.op import Op, raises
from redis_state.engine.registry import script
from redis_state.engine.run import Engine
from redis_state.errors import UnsupportedType
from redis_state.keys import Keys
from redis_state.mapping import SharedMapping
from redis_state.mapping.entries import milliseconds
from redis_state.mapping.records import Records
from redis_state.mapping.stored import Snapshot, snapshot, stored_fields

NAMESPACE = "upload_stats"
TTL = 7200.0  # seconds after the last write
MOST = 2**53

ADD = script("stats/add")


@dataclass(slots=True)
class WriteStats:
    """How far the writing of a file is. What was read is a copy: to change an entry, put it again, or ``add_bytes``."""

    file_id: str
    status: str = "writing"
    path: str = ""
    queued_at: float = 0.0
    bytes_written: int = 0
    chunks_written: int = 0


_FIELDS = tuple(field.name for field in fields(WriteStats))


class Stats(Records):
    """The statistics of one namespace, as operations: records that are put whole and counted up."""

    __slots__ = ()

    def put(self, name: str, value: Any, **options: Any) -> Op[Any]:
        return super().put(name, _plain(name, value), **options)

    def create(self, name: str, value: Any, **options: Any) -> Op[bool]:
        return super().create(name, _plain(name, value), **options)

    def add(self, name: str, bytes_written: int, chunks: int = 1) -> Op[WriteStats]:
        """Count bytes and chunks; an entry that is missing is created."""
        for what, number in (("n", bytes_written), ("chunks", chunks)):
            if type(number) is not int or not -MOST < number < MOST:
                raise TypeError(f"{name!r}: {what}={number!r}: a whole number")
        fresh = asdict(WriteStats(name))
        for counted in ("bytes_written", "chunks_written"):
            del fresh[counted]
        call = ADD(
            entry=self.entry(name),
            partition=self.keys.index(name),
            name=name,
            ttl_ms=milliseconds(self.ttl),
            owner=self._owner(),
            bytes=bytes_written,
            chunks=chunks,
            fields=stored_fields(name, fresh),
        )
        return call.meaning(
            counted=lambda flat: stats_of(name, snapshot(name, flat)),
            no_number=raises(UnsupportedType, f"{name!r}: bytes_written and chunks_written are no whole numbers"),
        )


def stats_of(name: str, found: Snapshot | None) -> Any:
    """Make of a record what the mapping holds."""
    if found is None:
        return None
    return WriteStats(**{"file_id": name, **{field: found.fields[field] for field in _FIELDS if field in found.fields}})


def _plain(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, WriteStats):
        raise TypeError(f"{name!r}: the statistics of a file are WriteStats, not {type(value).__name__}")
    return asdict(value)


class StatsMapping(SharedMapping[WriteStats]):
    """The statistics as a dict: file id -> ``WriteStats``."""

    _default = staticmethod(default_cache_engine)
    _entries: Stats

    def __init__(self, engine: Engine | None = None, ttl: float = TTL, container_id: str | None = None) -> None:
        self.container_id = container_id
        super().__init__(NAMESPACE, ttl=ttl, engine=engine)

    def _entries_of(self, keys: Keys) -> Stats:
        return Stats(keys, self.default_ttl, lambda: self.container_id or own_container_id())

    @property
    def entries(self) -> Stats:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine
        return self._entries

    def _out(self, key: str, found: Any) -> WriteStats:
        return stats_of(key, found)  # type: ignore[no-any-return]

    def _created(self, key: str, value: Any) -> WriteStats:
        return value  # type: ignore[no-any-return]

    def pop(self, key: str, *default: Any) -> Any:
        """Take an entry out. Of many callers one gets it."""
        found = super().pop(key, *default)
        return stats_of(key, found) if isinstance(found, Snapshot) else found

    def popitem(self) -> tuple[str, WriteStats]:
        """Take some entry out; ``KeyError`` when there is none. Of many callers one gets it. Two round trips."""
        key, found = super().popitem()
        return key, stats_of(key, found)


class RedisUploadStats:
    """How far the writing of each file is: ``file_stats`` maps ids to ``WriteStats``, two hours after each write."""

    def __init__(self, container_id: str | None = None, engine: Engine | None = None, ttl: float | None = None) -> None:
        self.file_stats = StatsMapping(engine, TTL if ttl is None else ttl, container_id)

    def add_bytes(self, file_id: str, n: int, chunks: int = 1) -> WriteStats:
        """Count ``n`` bytes in ``chunks`` chunks, atomically; return the sums. A missing entry is created."""
        return self.file_stats.engine.run(self.file_stats.entries.add(file_id, n, chunks))

    def __repr__(self) -> str:
        return f"<RedisUploadStats {self.file_stats!r}>"


upload_stats = RedisUploadStats()
