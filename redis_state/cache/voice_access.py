"""Accesses to the segments of voices, counted in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from redis_state.codec import decode, encode
from redis_state.durations import seconds, to_ms, ttl_ms
from redis_state.engine.binding import Binding
from redis_state.engine.default import default_cache_engine, of_caches
from redis_state.engine.engine import Engine
from redis_state.engine.given import given
from redis_state.engine.op import Op, Plan, just
from redis_state.engine.operation import ScriptOp, operation
from redis_state.engine.pages import by_offset
from redis_state.keys import Keys, Partition, text_of
from redis_state.mapping.namespace import Namespace

NAMESPACE = "voice_access"
TTL = 7200.0  # seconds after the last access
RECENT = 20  # segments that an activity tells


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """Accesses to a voice. Times are seconds since 1970, by the server's clock."""

    track_id: str
    voice_id: str
    access_count: int
    unique_segments: int  # exact up to 512, to some percent beyond
    first_accessed: float
    last_accessed: float
    recent_segments: tuple[Any, ...]  # the last 20, the newest first


def _known(
    call: ScriptOp[Any], count: bytes, segments: bytes, first: bytes, last: bytes, newest: list[bytes]
) -> VoiceActivity:
    track_id, voice_id = call.about
    recents = tuple(decode(segment) for segment in reversed(newest))
    times = int(first) / 1e6, int(last) / 1e6
    return VoiceActivity(track_id, voice_id, int(count), int(segments), *times, recents)


RECORD = operation("voice/record", counted=lambda _, count, __: int(count))
ACTIVITY = operation("voice/activity", activity=_known, unknown=just(None))
RANGE = operation("voice/range", voices=lambda _, names: [name.decode() for name in names])


class Voices:
    """The voices of one namespace, as operations. All of a track are in one partition."""

    __slots__ = ("keys", "ttl", "ttl_ms")

    def __init__(self, keys: Keys, ttl: float) -> None:
        self.keys = keys
        self.ttl = ttl
        self.ttl_ms = ttl_ms(ttl)

    def record(self, track_id: str, voice_id: str, segment_id: Any) -> Op[int]:
        """Count an access. Returns how many there were."""
        if segment_id is None or isinstance(segment_id, float | dict | list):
            raise TypeError(f"segment_id is a number or a text, not {type(segment_id).__name__}")
        if isinstance(segment_id, str):
            segment_id = text_of(segment_id)
        track = _quoted(track_id)
        partition = self.keys.of(track)
        return RECORD(
            partition,
            _joined(track, voice_id),
            track=partition.key("track", track),
            segment=encode(segment_id, path="segment_id"),
            ttl_ms=self.ttl_ms,
        )

    def activity(self, track_id: str, voice_id: str) -> Op[VoiceActivity | None]:
        """Read what is known of a voice; None when nothing is."""
        track = _quoted(track_id)
        return ACTIVITY(self.keys.of(track), _joined(track, voice_id), (track_id, voice_id))

    def active(self, track_id: str, within: float = 300.0) -> Plan[list[str]]:
        """List the voices of a track that were accessed in the last ``within`` seconds, the newest first."""
        track = _quoted(track_id)
        partition = self.keys.of(track)
        oldest = seconds("within", min(within, self.ttl))
        names = yield from self._range(partition, partition.key("track", track), oldest, 0.0)
        return [_split(name)[1] for name in reversed(names)]

    def idle(self, seconds: float) -> Plan[list[tuple[str, str]]]:
        """List the voices whose last access is longer ago than that, of longest ago first."""
        found: list[tuple[str, str]] = []
        for partition in self.keys.parts:
            names = yield from self._range(partition, partition.key("voices"), self.ttl, seconds)
            found += [_split(name) for name in names]
        return found

    def _range(self, partition: Partition, voices: str, oldest: float, newest: float) -> Plan[list[str]]:
        times = {"oldest_ms": to_ms(oldest), "newest_ms": max(0, int(newest * 1000))}
        names: list[str] = yield from by_offset(partial(RANGE, partition, voices=voices, **times))
        return list(dict.fromkeys(names))


def _quoted(track_id: str) -> str:
    return text_of(track_id, "a track's name").replace("%", "%25").replace(":", "%3A")


def _joined(track: str, voice_id: str) -> str:
    name = track + ":" + text_of(voice_id, "a voice's name")
    name.encode()  # a name that UTF-8 cannot hold is refused here
    return name


def _split(name: str) -> tuple[str, str]:
    track, _, voice_id = name.partition(":")
    return track.replace("%3A", ":").replace("%25", "%"), voice_id


class VoiceAccessTracker:
    """Accesses of all containers, forgotten two hours after the last one of a voice.

    A voice takes bounded memory, however often it is accessed. Every method is one round trip (and one
    more for each 500 voices listed).
    """

    def __init__(
        self, container_id: str | Engine | None = None, engine: Engine | None = None, ttl: float | None = None
    ) -> None:
        self.container_id, engine = given(self, Engine, container_id, engine)
        self._ttl = TTL if ttl is None else ttl
        self._bound = Binding(of_caches(engine), Namespace(Voices, NAMESPACE, self._ttl), default_cache_engine)

    def record_segment_access(self, track_id: str, voice_id: str, segment_id: Any) -> int:
        """Count an access to a segment (a number or a text). Returns how many of the voice there were."""
        return self._bound.run(Voices.record, track_id, voice_id, segment_id)

    def get_voice_activity(self, track_id: str, voice_id: str) -> VoiceActivity | None:
        """Read what is known of a voice; None when it was not accessed for two hours."""
        return self._bound.run(Voices.activity, track_id, voice_id)

    def active_voices(self, track_id: str, within: float = 300.0) -> list[str]:
        """List the voices of a track that were accessed in the last ``within`` seconds, the newest first."""
        return self._bound.follow(Voices.active, track_id, within)

    def idle_since(self, seconds: float) -> list[tuple[str, str]]:
        """List (track, voice) of those not accessed for ``seconds``, and not forgotten yet; the longest idle first."""
        return self._bound.follow(Voices.idle, seconds)

    @property
    def engine(self) -> Engine:
        """The engine in use."""
        return self._bound.here()[0]

    @property
    def voices(self) -> Voices:
        """The operations behind the methods, for batches and plans."""
        return self._bound.here()[1]

    def __repr__(self) -> str:
        return f"<VoiceAccessTracker {self._ttl:g} s>"


RedisVoiceAccessTracker = VoiceAccessTracker  # its first name, which stays
voice_access_tracker = VoiceAccessTracker()
