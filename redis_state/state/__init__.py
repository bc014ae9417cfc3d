"""What every container knows: ready-made states on the default engine, and their classes."""

from redis_state.state.conversion import ConversionState, RedisConversionState, conversion_state
from redis_state.state.download import Download, DownloadState, RedisDownloadState, download_state
from redis_state.state.progress import Progress, ProgressState, RedisProgressState, progress_state
from redis_state.state.upload import ChunkReceipt, Offset, RedisUploadState, UploadState, Usage, upload_state

__all__ = [
    "ChunkReceipt",
    "ConversionState",
    "Download",
    "DownloadState",
    "Offset",
    "Progress",
    "ProgressState",
    "RedisConversionState",
    "RedisDownloadState",
    "RedisProgressState",
    "RedisUploadState",
    "UploadState",
    "Usage",
    "conversion_state",
    "download_state",
    "progress_state",
    "upload_state",
]
