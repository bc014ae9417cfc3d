"""Every exception this package raises.

::

    RedisStateError
    ├── ConfigError            (ValueError)    settings that cannot work; names the variable and the remedy
    ├── ContractError          (TypeError)     a script and its binding disagree: a bug, not an outage
    ├── CallError
    │   ├── NotApplied                         proven: the call changed nothing
    │   │   ├── ServerUnavailable (ConnectionError)  never sent, or only read: no server answered in time
    │   │   ├── ServerFull        (MemoryError)      the server is at its memory limit
    │   │   └── ServerRefused                        the server answered with another error
    │   ├── OutcomeUnknown     (TimeoutError)  sent, never answered: ``engine.resolve`` decides it later
    │   ├── NotReplicated                      applied, but not confirmed by enough replicas
    │   └── ScriptFailed                       a script met data it does not know, or has a bug
    ├── UnsafeServer                           its settings can evict or lose state
    ├── UnsupportedType        (TypeError)     a value that would not come back equal; names the path to it
    ├── CorruptValue           (ValueError)    stored bytes that this package did not write
    ├── StaleToken                             a write with an older fencing token than one already seen
    ├── LockTimeout            (TimeoutError)  the lock was not free in time
    ├── LockLost                               the lease is over: another holder may have the lock by now
    ├── AlreadyClaimed                         a container works on it, or it failed and rests a while
    ├── AlreadyDone                            it is done: holds the result
    ├── AttemptsExhausted                      it failed too often
    ├── UnknownSession         (KeyError)      no such entry, or its time to live ran out
    │   └── BegunAnew                          the caller means an earlier one: it was begun anew since
    ├── EntryTooLarge          (ValueError)    a text that takes more than the cache's whole budget
    ├── ComputeTimeout     (TimeoutError)  the value that another caller computes was not there in time
    ├── ComputeFailed                          what a caller waited for failed elsewhere, or a moment ago
    ├── SegmentOutOfRange      (ValueError)    a segment number outside 0..total-1
    ├── ChunkOutOfRange        (ValueError)    a chunk number, or a byte range, that the upload does not have
    ├── ChunkSizeMismatch      (ValueError)    a chunk of another size than it must have
    ├── ChunkConflict          (ValueError)    it contradicts what was accepted before
    ├── OffsetConflict         (ValueError)    the next range begins elsewhere: at ``current``
    ├── UploadClosed           (ValueError)    stored or aborted: nothing more is accepted
    ├── UploadIncomplete       (ValueError)    something is missing, so there is nothing to assemble yet
    └── QuotaExceeded                          its owner has too many open transfers, or bytes in them

The three ends of a call are its result, ``NotApplied`` and ``OutcomeUnknown``. There is no fourth.
"""

from redis_state.errors.base import (
    CallError,
    ConfigError,
    ContractError,
    CorruptValue,
    NotApplied,
    NotReplicated,
    OutcomeUnknown,
    RedisStateError,
    ScriptFailed,
    ServerFull,
    ServerRefused,
    ServerUnavailable,
    UnsafeServer,
    UnsupportedType,
    told,
)
from redis_state.errors.transfer import (
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    OffsetConflict,
    QuotaExceeded,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.errors.work import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    BegunAnew,
    ComputeFailed,
    ComputeTimeout,
    EntryTooLarge,
    LockLost,
    LockTimeout,
    SegmentOutOfRange,
    StaleToken,
    UnknownSession,
)

__all__ = [
    "AlreadyClaimed",
    "AlreadyDone",
    "AttemptsExhausted",
    "BegunAnew",
    "CallError",
    "ChunkConflict",
    "ChunkOutOfRange",
    "ChunkSizeMismatch",
    "ComputeFailed",
    "ComputeTimeout",
    "ConfigError",
    "ContractError",
    "CorruptValue",
    "EntryTooLarge",
    "LockLost",
    "LockTimeout",
    "NotApplied",
    "NotReplicated",
    "OffsetConflict",
    "OutcomeUnknown",
    "QuotaExceeded",
    "RedisStateError",
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
    "told",
]
