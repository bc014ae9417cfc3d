"""What a server says that it uses, and what its allocator takes."""

from __future__ import annotations

from typing import Any

import redis

MB = 1 << 20


def used_memory(client: redis.Redis) -> int:
    info: Any = client.info("memory")
    return int(info["used_memory"])


def allocated(length: int, allocator: str) -> int:
    if not allocator.startswith("jemalloc"):
        return length
    step = 16 if length <= 128 else 1 << ((length - 1).bit_length() - 3)
    return -(-length // step) * step
