"""Who listens to what: accesses to the segments of voices, counted in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from redis_state.codec import decode, encode
from redis_state.engine.default import Bound, default_cache_engine
from redis_state.engine.op import Op, Plan, do
from redis_state.engine.registry import script
from redis_state.engine.run import Engine
from redis_state.keys import Keys
from redis_state.mapping.entries import milliseconds

NAMESPACE = "voice_access"
TTL = 7200.0  # seconds after the last access
RECENT = 20  # segments that an activity tells

RECORD = script("voice/record")
ACTIVITY = script("voice/activity")
RANGE = script("voice/range")


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """What is known of a voice. Times are seconds since 1970, by the server's clock."""

    track_id: str
    voice_id: str
    access_count: int
    unique_segments: int  # exact up to 512, to some percent beyond
    first_accessed: float
    last_accessed: float
    recent_segments: tuple[Any, ...]  # the last 20, the newest first


class Voices:
    """The voices of one namespace, as operations. All of a track are in one partition."""

    __slots__ = ("keys", "ttl")

    def __init__(self, keys: Keys, ttl: float) -> None:
        milliseconds(ttl)
        self.keys = keys
        self.ttl = ttl

    def record(self, track_id: str, voice_id: str, segment_id: Any) -> Op[int]:
        """Count an access. Returns how many there were."""
        if segment_id is None or isinstance(segment_id, float | dict | list):
            raise TypeError(f"segment_id is a number or a text, not {type(segment_id).__name__}")
        track, voice, recent, sketch, of_track, everyone = self._slots(track_id, voice_id)
        call = RECORD(
            voice=voice,
            recent=recent,
            sketch=sketch,
            track=of_track,
            all=everyone,
            name=_joined(track, voice_id),
            segment=encode(segment_id, path="segment_id"),
            ttl_ms=milliseconds(self.ttl),
        )
        return call.meaning(counted=lambda count, _: int(count))

    def activity(self, track_id: str, voice_id: str) -> Op[VoiceActivity | None]:
        """Read what is known of a voice; None when nothing is."""
        _, voice, recent, *_ = self._slots(track_id, voice_id)

        def known(count: bytes, segments: bytes, first: bytes, last: bytes, newest: list[bytes]) -> VoiceActivity:
            recents = tuple(decode(segment) for segment in reversed(newest))
            times = int(first) / 1e6, int(last) / 1e6
            return VoiceActivity(track_id, voice_id, int(count), int(segments), *times, recents)

        return ACTIVITY(voice=voice, recent=recent).meaning(activity=known, unknown=lambda: None)

    def active(self, track_id: str, within: float = 300.0) -> Plan[list[str]]:
        """List the voices of a track that were accessed in the last ``within`` seconds, the newest first."""
        of_track = self._slots(track_id, "")[4]
        names = yield from self._range(of_track, within, 0.0)
        return [_split(name)[1] for name in reversed(names)]

    def idle(self, seconds: float) -> Plan[list[tuple[str, str]]]:
        """List the voices whose last access is longer ago than that, of longest ago first."""
        found: list[tuple[str, str]] = []
        for everyone in self.keys.indexes():
            names = yield from self._range(everyone, self.ttl, seconds)
            found += [_split(name) for name in names]
        return found

    def _range(self, voices: str, oldest: float, newest: float) -> Plan[list[str]]:
        names: list[str] = []
        oldest_ms, newest_ms = milliseconds(min(oldest, self.ttl)), max(0, int(newest * 1000))
        while True:
            call = RANGE(voices=voices, oldest_ms=oldest_ms, newest_ms=newest_ms, skip=len(names))
            page: list[bytes] = yield from do(call.meaning(voices=list))
            names += [name.decode() for name in page]
            if len(page) < 500:
                return list(dict.fromkeys(names))

    def _slots(self, track_id: str, voice_id: str) -> tuple[str, ...]:
        for name in (track_id, voice_id):
            if not isinstance(cast("object", name), str):
                raise TypeError(f"tracks and voices are named by strings, not {type(name).__name__}")
        track = _quoted(track_id)
        head, name = self.keys.head(track), _joined(track, voice_id)
        name.encode()  # a name that UTF-8 cannot hold is refused here
        return track, f"{head}r:{name}", f"{head}s:{name}", f"{head}g:{name}", f"{head}j:{track}", f"{head}i"


def _quoted(track_id: str) -> str:
    return track_id.replace("%", "%25").replace(":", "%3A")


def _joined(track: str, voice_id: str) -> str:
    return f"{track}:{voice_id}"


def _split(name: str) -> tuple[str, str]:
    track, _, voice_id = name.partition(":")
    return track.replace("%3A", ":").replace("%25", "%"), voice_id


class RedisVoiceAccessTracker(Bound):
    """Accesses of all containers, forgotten two hours after the last one of a voice.

    A voice takes bounded memory, however often it is accessed. Every method is one round trip (and one
    more for each 500 voices listed).
    """

    _default = staticmethod(default_cache_engine)
    _voices: Voices

    def __init__(self, container_id: str | None = None, engine: Engine | None = None, ttl: float | None = None) -> None:
        super().__init__(engine)
        self.container_id = container_id
        self._ttl = TTL if ttl is None else ttl
        milliseconds(self._ttl)

    def record_segment_access(self, track_id: str, voice_id: str, segment_id: Any) -> int:
        """Count an access to a segment (a number or a text). Returns how many of the voice there were."""
        return self.engine.run(self.voices.record(track_id, voice_id, segment_id))

    def get_voice_activity(self, track_id: str, voice_id: str) -> VoiceActivity | None:
        """Read what is known of a voice; None when it was not accessed for two hours."""
        return self.engine.run(self.voices.activity(track_id, voice_id))

    def active_voices(self, track_id: str, within: float = 300.0) -> list[str]:
        """List the voices of a track that were accessed in the last ``within`` seconds, the newest first."""
        return self.engine.follow(self.voices.active(track_id, within))

    def idle_since(self, seconds: float) -> list[tuple[str, str]]:
        """List (track, voice) of those not accessed for ``seconds``, and not forgotten yet; the longest idle first."""
        return self.engine.follow(self.voices.idle(seconds))

    @property
    def voices(self) -> Voices:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine
        return self._voices

    def _bind(self, engine: Engine) -> None:
        self._voices = Voices(engine.keys(NAMESPACE), self._ttl)

    def __repr__(self) -> str:
        return f"<RedisVoiceAccessTracker {self._ttl:g} s>"


voice_access_tracker = RedisVoiceAccessTracker()
