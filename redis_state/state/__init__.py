"""What every container knows: ready-made states on the default engine, and their classes."""

from redis_state.state.conversion import RedisConversionState, conversion_state
from redis_state.state.download import Download, RedisDownloadState, download_state
from redis_state.state.progress import Progress, RedisProgressState, progress_state
from redis_state.state.upload import ChunkReceipt, RedisUploadState, upload_state

__all__ = [
    "ChunkReceipt",
    "Download",
    "Progress",
    "RedisConversionState",
    "RedisDownloadState",
    "RedisProgressState",
    "RedisUploadState",
    "conversion_state",
    "download_state",
    "progress_state",
    "upload_state",
]
