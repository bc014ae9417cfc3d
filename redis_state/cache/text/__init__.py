"""Texts of all containers in one cache: least recently used, within a budget of the server's memory.

::

    entry        the format: what is stored of a text, and how it is packed
    reads        reading texts, as operations
    writes       putting texts, and the one loop that tries again
    budget       how many bytes the texts may take, and how room is made for a put
    maintenance  the account, counting it again, repairing and clearing it
    load         a text that is loaded once for all callers
    cache        ``TextCache`` and its mapping
"""

from redis_state.cache.text.cache import NAMESPACE, RedisTextCache, TextCache, TextMapping, text_cache
from redis_state.cache.text.entry import LONGEST_TTL as TTL
from redis_state.cache.text.entry import CacheEntry, TextCacheCheck, TextCacheStats

__all__ = [
    "NAMESPACE",
    "TTL",
    "CacheEntry",
    "RedisTextCache",
    "TextCache",
    "TextCacheCheck",
    "TextCacheStats",
    "TextMapping",
    "text_cache",
]
