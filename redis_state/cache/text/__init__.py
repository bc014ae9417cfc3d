"""Texts of all containers in one cache: least recently used, within a budget of the server's memory.

::

    entry     what is stored of a text, and how it is packed
    reading   reading, as operations; sends nothing
    steps     writing, and what must go for it
    loading   a text that is loaded once for all
    upkeep    the account, counting it again, a new budget
    store     ``RedisTextCache`` and its mapping
"""

from redis_state.cache.text.entry import LONGEST_TTL as TTL
from redis_state.cache.text.entry import CacheEntry, TextCacheCheck, TextCacheStats
from redis_state.cache.text.store import NAMESPACE, RedisTextCache, TextMapping, text_cache

__all__ = [
    "NAMESPACE",
    "TTL",
    "CacheEntry",
    "RedisTextCache",
    "TextCacheCheck",
    "TextCacheStats",
    "TextMapping",
    "text_cache",
]
