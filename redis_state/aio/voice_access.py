"""Accesses to the segments of voices, awaited. See ``redis_state.cache.voice_access``."""

from __future__ import annotations

from typing import Any, TypeVar

from redis_state.cache import voice_access
from redis_state.cache.voice_access import VoiceActivity, Voices
from redis_state.durations import ttl_ms
from redis_state.engine.default_async import AsyncBinding
from redis_state.engine.engine_async import AsyncEngine
from redis_state.engine.given import given

T = TypeVar("T")


class VoiceAccessTracker:
    """Accesses of all containers, forgotten two hours after the last one of a voice, awaited.

    A voice takes bounded memory, however often it is accessed. Every method is one round trip (and one
    more for each 500 voices listed).
    """

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
    ) -> None:
        self.container_id, engine = given(self, AsyncEngine, container_id, engine)
        lives = voice_access.TTL if ttl is None else ttl
        ttl_ms(lives)
        self._voices = AsyncBinding(
            engine, lambda engine: Voices(engine.keys(voice_access.NAMESPACE), lives), caches=True
        )

    @property
    def engine(self) -> AsyncEngine:
        """The engine in use."""
        return self._voices.here()[0]

    @property
    def voices(self) -> Voices:
        """The operations behind the methods, for batches and plans."""
        return self._voices.here()[1]

    async def record_segment_access(self, track_id: str, voice_id: str, segment_id: Any) -> int:
        """Count an access to a segment (a number or a text). Returns how many of the voice there were."""
        return await self._voices.run(Voices.record, track_id, voice_id, segment_id)

    async def get_voice_activity(self, track_id: str, voice_id: str) -> VoiceActivity | None:
        """Read what is known of a voice; None when it was not accessed for two hours."""
        return await self._voices.run(Voices.activity, track_id, voice_id)

    async def active_voices(self, track_id: str, within: float = 300.0) -> list[str]:
        """List the voices of a track that were accessed in the last ``within`` seconds, the newest first."""
        return await self._voices.follow(Voices.active, track_id, within)

    async def idle_since(self, seconds: float) -> list[tuple[str, str]]:
        """List (track, voice) of those not accessed for ``seconds``, and not forgotten yet; the longest idle first."""
        return await self._voices.follow(Voices.idle, seconds)

    def __repr__(self) -> str:
        return "<VoiceAccessTracker, awaited>"


voice_access_tracker = VoiceAccessTracker()
