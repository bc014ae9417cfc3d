"""zstd frames: checksummed, and never larger than they say."""

from __future__ import annotations

import zstandard

from redis_state.codec.limits import COMPRESS_FROM, MAX_DECODED
from redis_state.codec.pool import borrow
from redis_state.errors import CorruptValue

_compressors: list[zstandard.ZstdCompressor] = []
_decompressors: list[zstandard.ZstdDecompressor] = []


def _new_compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=3, write_checksum=True)


def compress(body: bytes) -> bytes:
    if len(body) < COMPRESS_FROM:
        return body
    compressor = borrow(_compressors, _new_compressor)
    frame = compressor.compress(body)
    _compressors.append(compressor)
    return frame if len(frame) < len(body) else body


def decompress(frame: bytes) -> bytes:
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if size > min(MAX_DECODED, len(frame) << 15):  # a block holds 128 KB and takes 4 bytes; unknown is 2**64 - 1
            raise CorruptValue(f"a frame of {len(frame)} bytes cannot hold {size}, or does not say how many")
        decompressor = borrow(_decompressors, zstandard.ZstdDecompressor)
        body = decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptValue(f"a damaged frame of {len(frame)} bytes: {error}") from None
    _decompressors.append(decompressor)
    return body
