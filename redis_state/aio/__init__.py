"""The same operations, awaited: an asyncio face for everything, a line for each.

Both faces share the operations, the scripts and the engine's delivery; only the waiting differs. Names, arguments,
defaults and answers are those of ``redis_state.state`` and ``redis_state.cache``; there is no item syntax, since
``await`` cannot stand in an assignment: ``put``, ``patch`` and ``increment`` say what they do.

The ready-made objects (``progress_state`` and the like), and what is made without an engine, use the running event
loop's default one, which ``close`` closes. Where an engine is given, it may be the first argument:
``ProgressState(engine)``.
"""

from redis_state.aio.conversion import ConversionState, conversion_state
from redis_state.aio.download import DownloadState, download_state
from redis_state.aio.mapping import RecordMapping, ValueMapping
from redis_state.aio.progress import ProgressState, progress_state
from redis_state.aio.state_manager import StateManager
from redis_state.aio.text import TextCache, text_cache
from redis_state.aio.upload import UploadState, upload_state
from redis_state.aio.upload_stats import UploadStats, upload_stats
from redis_state.aio.voice_access import VoiceAccessTracker, voice_access_tracker
from redis_state.aio.word_timing import WordTimingCache, word_timing_cache
from redis_state.claim.claim_async import Claim, Taking
from redis_state.engine.default_async import close
from redis_state.engine.default_async import default_async_engine as default_engine
from redis_state.engine.engine_async import AsyncBatch, AsyncEngine
from redis_state.lock.lock_async import Held, Lock, Locks

__all__ = [
    "AsyncBatch",
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
    "Taking",
    "TextCache",
    "UploadState",
    "UploadStats",
    "ValueMapping",
    "VoiceAccessTracker",
    "WordTimingCache",
    "close",
    "conversion_state",
    "default_engine",
    "download_state",
    "progress_state",
    "text_cache",
    "upload_state",
    "upload_stats",
    "voice_access_tracker",
    "word_timing_cache",
]
