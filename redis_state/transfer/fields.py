"""The fields that an application gives to a transfer, checked before anything is sent. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache

from redis_state.engine.op import Word

MOST_STORED = 16_384  # bytes that the fields of a transfer take, written at once
LARGEST = 2**53 - 1  # the most bytes that are counted exactly


def whole(name: str, what: str, number: object, least: int) -> int:
    """Return a number of bytes, plain; refuse what is none."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name!r}: {what}={number!r}: a whole number of bytes")
    if not least <= number <= LARGEST:
        raise ValueError(f"{name!r}: {what}={number!r}: from {least} to 2**53 - 1 bytes")
    return int(number)


def bounded(name: str, flat: list[Word]) -> list[Word]:
    """Return fields as they are stored; refuse those that take too much of the server's memory."""
    taken = sum(len(word) if isinstance(word, bytes) else len(str(word).encode("utf-8", "replace")) for word in flat)
    if taken > MOST_STORED:
        raise ValueError(f"{name!r}: its fields take {taken} bytes, and may take {MOST_STORED}; keep more elsewhere")
    return flat


def warn_of_near_misses(data: object, known: tuple[str, ...]) -> None:
    """Warn the caller of our caller of a field that is almost one that counts, and is kept as one of its own."""
    for field in data if isinstance(data, Mapping) else ():
        if isinstance(field, str) and (meant := near_miss(field, known)):
            warnings.warn(f"the field {field!r} is kept as one of your own; is {meant!r} meant?", stacklevel=3)


@lru_cache(maxsize=256)
def near_miss(field: str, known: tuple[str, ...]) -> str | None:
    """Return the known field that another one is almost: ``totalsize``, ``Total-Size``, ``total_sizes``."""
    if field in known:
        return None
    plain = re.sub("[^a-z]", "", field.lower())
    near = get_close_matches(plain, [name.replace("_", "") for name in known], 1, 0.92)
    return next((name for name in known if near and name.replace("_", "") == near[0]), None)
