"""What every container knows: ready-made states on the default engine, and their classes."""

from redis_state.state.progress import Progress, RedisProgressState, progress_state

__all__ = ["Progress", "RedisProgressState", "progress_state"]
