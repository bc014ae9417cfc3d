"""What every container may know anew: ready-made caches on the default engine, and their classes.

They use ``REDIS_CACHE_URL`` where that is set, else the server of all else.
"""

from redis_state.cache.text import CacheEntry, RedisTextCache, TextCacheCheck, TextCacheStats, text_cache
from redis_state.cache.upload_stats import RedisUploadStats, WriteStats, upload_stats
from redis_state.cache.voice_access import RedisVoiceAccessTracker, VoiceActivity, voice_access_tracker
from redis_state.cache.word_timing import RedisWordTimingCache, word_timing_cache

__all__ = [
    "CacheEntry",
    "RedisTextCache",
    "RedisUploadStats",
    "RedisVoiceAccessTracker",
    "RedisWordTimingCache",
    "TextCacheCheck",
    "TextCacheStats",
    "VoiceActivity",
    "WriteStats",
    "text_cache",
    "upload_stats",
    "voice_access_tracker",
    "word_timing_cache",
]
