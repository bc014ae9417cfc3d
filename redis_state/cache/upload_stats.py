"""Statistics of the files that are being written, counted by all containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, NoReturn

from redis_state.config import container_id as own_container_id
from redis_state.engine.binding import Binding
from redis_state.engine.default import default_cache_engine, of_caches
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.engine.op import Op
from redis_state.engine.operation import ScriptOp, operation
from redis_state.errors import UnsupportedType
from redis_state.keys import text_of
from redis_state.mapping import SharedMapping
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.record_format import Snapshot, snapshot, stored_fields
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.snapshots import told_instead

NAMESPACE = "upload_stats"
TTL = 7200.0  # seconds after the last write
MOST = 2**53


@told_instead("upload_stats.add_bytes(file_id, n), or file_stats[file_id] = dataclasses.replace(stats, ...)")
@dataclass(frozen=True, slots=True)
class WriteStats:
    """State of a file that is being written, as it was read.

    It cannot be changed: ``add_bytes`` counts, and putting ``dataclasses.replace(stats, status="done")`` replaces it.
    """

    file_id: str
    status: str = "writing"
    path: str = ""
    queued_at: float = 0.0
    bytes_written: int = 0
    chunks_written: int = 0


_FIELDS = tuple(field.name for field in fields(WriteStats))


def stats_of(name: str, found: Snapshot | None) -> Any:
    """Make of a record what the mapping holds."""
    if found is None:
        return None
    return WriteStats(**{"file_id": name, **{field: found.fields[field] for field in _FIELDS if field in found.fields}})


def _no_number(call: ScriptOp[Any]) -> NoReturn:
    raise UnsupportedType(f"{call['name']!r}: bytes_written and chunks_written are no whole numbers")


ADD = operation(
    "stats/add",
    counted=lambda call, flat: stats_of(call["name"], snapshot(call["name"], flat)),
    no_number=_no_number,
)


class Stats(RecordOperations):
    """The statistics of one namespace, as operations: records that are put whole and counted up."""

    __slots__ = ()

    def put(self, name: str, value: Any, **options: Any) -> Op[Any]:
        return super().put(name, _plain(name, value), **options)

    def create(self, name: str, value: Any, **options: Any) -> Op[bool]:
        return super().create(name, _plain(name, value), **options)

    def create_or_get(self, name: str, value: Any) -> Op[Snapshot]:
        return super().create_or_get(name, _plain(name, value))

    def add(self, name: str, bytes_written: int, chunks: int = 1) -> Op[WriteStats]:
        """Count bytes and chunks; an entry that is missing is created."""
        for what, number in (("n", bytes_written), ("chunks", chunks)):
            if type(number) is not int or not -MOST < number < MOST:
                raise TypeError(f"{name!r}: {what}={number!r}: a whole number")
        fresh = asdict(WriteStats(text_of(name)))
        for counted in ("bytes_written", "chunks_written"):
            del fresh[counted]
        return ADD(
            self.keys,
            name,
            ttl_ms=self.ttl_ms,
            owner=self._owner(),
            bytes=bytes_written,
            chunks=chunks,
            fields=stored_fields(name, fresh),
        )


def _plain(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, WriteStats):
        raise TypeError(f"{name!r}: the statistics of a file are WriteStats, not {type(value).__name__}")
    return {**asdict(value), "file_id": text_of(value.file_id, "a file_id")}


class StatsMapping(SharedMapping[WriteStats, WriteStats]):
    """The statistics as a dict: file id -> ``WriteStats``."""

    _bound: Binding[Stats]

    def __init__(self, engine: Engine | None = None, ttl: float = TTL, container_id: str | None = None) -> None:
        made = Namespace(partial(Stats, owner=partial(own_container_id, container_id)), NAMESPACE, ttl)
        super().__init__(Binding(of_caches(engine), made, default_cache_engine), NAMESPACE, ttl)

    @property
    def entries(self) -> Stats:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]

    def _out(self, key: str, found: Any) -> WriteStats:
        return stats_of(key, found)  # type: ignore[no-any-return]

    def pop(self, key: str, *default: Any) -> Any:
        """Take an entry out. Of many callers one gets it."""
        found = super().pop(key, *default)
        return stats_of(key, found) if isinstance(found, Snapshot) else found

    def popitem(self) -> tuple[str, WriteStats]:
        """Take some entry out; ``KeyError`` when there is none. Of many callers one gets it. Two round trips."""
        key, found = super().popitem()
        return key, stats_of(key, found)


class UploadStats:
    """Statistics of files: ``file_stats`` maps ids to ``WriteStats``, each kept for two hours after its last write."""

    def __init__(
        self, container_id: str | Engine | None = None, engine: Engine | None = None, ttl: float | None = None
    ) -> None:
        self.container_id, engine = given(self, Engine, container_id, engine)
        self.file_stats = StatsMapping(engine, TTL if ttl is None else ttl, self.container_id)

    def add_bytes(self, file_id: str, n: int, chunks: int = 1) -> WriteStats:
        """Count ``n`` bytes in ``chunks`` chunks, atomically; return the sums. A missing entry is created."""
        return self.file_stats._bound.run(Stats.add, file_id, n, chunks)

    def __repr__(self) -> str:
        return f"<UploadStats {self.file_stats!r}>"


RedisUploadStats = UploadStats  # its first name, which stays
upload_stats = UploadStats()
