"""Configuration that all processes share: names, sizes and times, and the objects of the library."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from redis_state import Engine, RecordMapping
from redis_state.cache import RedisTextCache

DEADLINE = 3.0  # seconds of a call
UNDECIDED = 30.0  # seconds after which an unknown outcome must be known
UNDECIDED_FOR_GOOD = 8.0  # where a step of the clock may have ended what remembers it
REMEMBERED = 600.0  # seconds of the server's clock for which a call is remembered, at least
TTL = 7 * 86400.0  # seconds: longer than all steps of the clock together
LEASE = 1.0
LOAD_LEASE = 6.0  # of who loads a text
SEGMENTS = 40
CHUNK, CHUNKS = 512, 24
TEXTS, LARGEST_TEXT = 60, 12_000
BUDGET = 150_000  # bytes; all texts together are more
LIVE = 3  # tracks, conversions and uploads that are under way at a time
COUNTERS = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Job:
    """Where the work is done."""

    url: str
    prefix: str
    folder: str
    clock_steps: bool = False


def counters_of(engine: Engine) -> RecordMapping:
    return RecordMapping("counters", ttl=TTL, engine=engine)


def guarded_of(engine: Engine) -> RecordMapping:
    return RecordMapping("guarded", ttl=TTL, engine=engine)


def texts_of(engine: Engine) -> RedisTextCache:
    return RedisTextCache(engine=engine, budget=BUDGET)


def content(upload: str) -> bytes:
    """Return what is uploaded; the last chunk is shorter."""
    return random.Random(upload).randbytes(CHUNK * CHUNKS - 100)


def text(key: str) -> str:
    return key.ljust(random.Random(key).randrange(10, LARGEST_TEXT), "ä")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)
