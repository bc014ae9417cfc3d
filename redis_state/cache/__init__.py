"""Caches shared by all containers: ready-made ones on the default engine, and their classes.

The ready-made ones use the server of ``REDIS_CACHE_URL`` where that is set, else the default one.
"""

from redis_state.cache.text import CacheEntry, RedisTextCache, TextCache, TextCacheCheck, TextCacheStats, text_cache
from redis_state.cache.upload_stats import RedisUploadStats, UploadStats, WriteStats, upload_stats
from redis_state.cache.voice_access import (
    RedisVoiceAccessTracker,
    VoiceAccessTracker,
    VoiceActivity,
    voice_access_tracker,
)
from redis_state.cache.word_timing import RedisWordTimingCache, WordTimingCache, word_timing_cache

__all__ = [
    "CacheEntry",
    "RedisTextCache",
    "RedisUploadStats",
    "RedisVoiceAccessTracker",
    "RedisWordTimingCache",
    "TextCache",
    "TextCacheCheck",
    "TextCacheStats",
    "UploadStats",
    "VoiceAccessTracker",
    "VoiceActivity",
    "WordTimingCache",
    "WriteStats",
    "text_cache",
    "upload_stats",
    "voice_access_tracker",
    "word_timing_cache",
]
