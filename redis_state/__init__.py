"""Shared state for applications that run in several containers.

State and caches that used to be dicts stay dicts; behind them every operation that must be right
under concurrency is one Lua script, run atomically by Redis. Importing connects to nothing.
"""

from redis_state.claim import Claim
from redis_state.engine.arun import AsyncEngine
from redis_state.engine.default import configure, default_engine, redis_client
from redis_state.engine.op import Op, Pause, Plan
from redis_state.engine.run import Engine
from redis_state.errors import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    ComputeFailed,
    ConfigError,
    ContractError,
    CorruptValue,
    EntryTooLarge,
    LockLost,
    LockTimeout,
    NotApplied,
    NotReplicated,
    OffsetConflict,
    OutcomeUnknown,
    QuotaExceeded,
    RedisStateError,
    ScriptFailed,
    SegmentOutOfRange,
    ServerFull,
    ServerRefused,
    ServerUnavailable,
    StaleToken,
    UnknownSession,
    UnsafeServer,
    UnsupportedType,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.lock import Held, Lock, LockInfo, Locks
from redis_state.mapping import Record, RecordMapping, ValueMapping
from redis_state.state_manager import RedisStateManager

__version__ = "0.1.0"

__all__ = [
    "AlreadyClaimed",
    "AlreadyDone",
    "AsyncEngine",
    "AttemptsExhausted",
    "ChunkConflict",
    "ChunkOutOfRange",
    "ChunkSizeMismatch",
    "Claim",
    "ComputeFailed",
    "ConfigError",
    "ContractError",
    "CorruptValue",
    "Engine",
    "EntryTooLarge",
    "Held",
    "Lock",
    "LockInfo",
    "LockLost",
    "LockTimeout",
    "Locks",
    "NotApplied",
    "NotReplicated",
    "OffsetConflict",
    "Op",
    "OutcomeUnknown",
    "Pause",
    "Plan",
    "QuotaExceeded",
    "Record",
    "RecordMapping",
    "RedisStateError",
    "RedisStateManager",
    "ScriptFailed",
    "SegmentOutOfRange",
    "ServerFull",
    "ServerRefused",
    "ServerUnavailable",
    "StaleToken",
    "UnknownSession",
    "UnsafeServer",
    "UnsupportedType",
    "UploadClosed",
    "UploadIncomplete",
    "ValueMapping",
    "configure",
    "default_engine",
    "redis_client",
]
