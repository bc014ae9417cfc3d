"""Shared state for applications that run in several containers.

State and caches that used to be dicts stay dicts; behind them every operation that must be right
under concurrency is one Lua script, run atomically by Redis. Importing connects to nothing.
"""

from redis_state.claim import Claim
from redis_state.config import Settings
from redis_state.durability import Replicas, replicas
from redis_state.engine.client import redis_client
from redis_state.engine.default import configure, default_engine
from redis_state.engine.engine import Batch, Engine, Status
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.op import Op, Pause, Plan
from redis_state.errors import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    BegunAnew,
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    ComputeFailed,
    ComputeTimeout,
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
from redis_state.state_manager import RedisStateManager, StateManager

__version__ = "0.1.0"

__all__ = [
    "AlreadyClaimed",
    "AlreadyDone",
    "AsyncEngine",
    "AttemptsExhausted",
    "Batch",
    "BegunAnew",
    "ChunkConflict",
    "ChunkOutOfRange",
    "ChunkSizeMismatch",
    "Claim",
    "ComputeFailed",
    "ComputeTimeout",
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
    "Replicas",
    "ScriptFailed",
    "SegmentOutOfRange",
    "ServerFull",
    "ServerRefused",
    "ServerUnavailable",
    "Settings",
    "StaleToken",
    "StateManager",
    "Status",
    "UnknownSession",
    "UnsafeServer",
    "UnsupportedType",
    "UploadClosed",
    "UploadIncomplete",
    "ValueMapping",
    "configure",
    "default_engine",
    "redis_client",
    "replicas",
]
