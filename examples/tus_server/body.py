"""How a body arrives: in blocks, of no more bytes than there is room for, and no slower than a client may be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from time import monotonic

log = logging.getLogger("tus_server")

BLOCK = 256 * 1024  # bytes that are written, and then counted, at a time
LEAST = 1024  # bytes that must come within each stretch of a client's patience


class TooLarge(Exception):
    """A body with more bytes than there is room for."""


class TooSlow(Exception):
    """A body that does not come: its client is silent, or next to it."""


async def blocks(body: AsyncIterator[bytes], room: int, patience: float) -> AsyncIterator[bytes]:
    """Cut a body into blocks; a slow one into what came within ``patience`` seconds each.

    What came before the connection was cut, or the client fell silent, is a block, too. ``TooSlow`` behind it when
    that was next to nothing; ``TooLarge`` as soon as more than ``room`` bytes have come.
    """
    gathered, piece, silent = bytearray(), b"", False
    coming = asyncio.ensure_future(_next(body))
    try:
        while piece is not None and not silent:
            ends = monotonic() + patience
            while len(gathered) < BLOCK and (await asyncio.wait({coming}, timeout=max(0.0, ends - monotonic())))[0]:
                piece = coming.result()
                if piece is None:
                    break
                room -= len(piece)
                if room < 0:
                    raise TooLarge
                gathered += piece
                coming = asyncio.ensure_future(_next(body))
            silent = piece is not None and len(gathered) < LEAST
            if gathered:
                yield bytes(gathered)
                gathered.clear()
    finally:
        coming.cancel()
    if silent:
        raise TooSlow


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece; None when the body is over, or cut."""
    try:
        return await anext(body)
    except StopAsyncIteration:
        return None
    except ConnectionError:
        log.info("a client went away")
        return None
