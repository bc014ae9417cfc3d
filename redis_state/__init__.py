"""Shared state for applications that run in several containers.

State and caches that used to be dicts stay dicts; behind them every operation that must be right
under concurrency is one Lua script, run atomically by Redis. Importing connects to nothing.
"""

from redis_state.engine.arun import AsyncEngine
from redis_state.engine.default import configure, default_engine, redis_client
from redis_state.engine.op import Op, Pause, Plan
from redis_state.engine.run import Engine
from redis_state.errors import (
    ConfigError,
    ContractError,
    CorruptValue,
    NotApplied,
    NotReplicated,
    OutcomeUnknown,
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
)
from redis_state.mapping import Record, RecordMapping, ValueMapping
from redis_state.state_manager import RedisStateManager

__version__ = "0.1.0"

__all__ = [
    "AsyncEngine",
    "ConfigError",
    "ContractError",
    "CorruptValue",
    "Engine",
    "NotApplied",
    "NotReplicated",
    "Op",
    "OutcomeUnknown",
    "Pause",
    "Plan",
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
    "ValueMapping",
    "configure",
    "default_engine",
    "redis_client",
]
