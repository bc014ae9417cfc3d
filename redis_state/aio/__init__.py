"""The same operations, awaited: an asyncio face for everything, a line for each.

Both faces share the operations, the scripts and the engine's conversation; only the waiting differs.
There is no item syntax here, since ``await`` cannot stand in an assignment: ``put``, ``patch`` and
``increment`` say what they do.
"""

from redis_state.aio.cache import TextCache, UploadStats, VoiceAccessTracker, WordTimingCache
from redis_state.aio.mapping import RecordMapping, ValueMapping
from redis_state.aio.state import ConversionState, ProgressState, StateManager
from redis_state.aio.transfer import DownloadState, UploadState
from redis_state.claim.awaited import Claim
from redis_state.engine.arun import AsyncEngine
from redis_state.lock.awaited import Held, Lock, Locks

__all__ = [
    "AsyncEngine",
    "Claim",
    "ConversionState",
    "DownloadState",
    "Held",
    "Lock",
    "Locks",
    "ProgressState",
    "RecordMapping",
    "StateManager",
    "TextCache",
    "UploadState",
    "UploadStats",
    "ValueMapping",
    "VoiceAccessTracker",
    "WordTimingCache",
]
