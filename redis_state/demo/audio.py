"""The demo's sound: tracks that babble like speech, and voices that read them.

A voice must give the same samples whichever worker cuts the segment and wherever it starts, because any
worker may make any segment of any track. So a voice is a function of the absolute sample number
and of the ``HISTORY`` samples before it, and keeps no state from one sample to the next.
"""

from __future__ import annotations

import math
import random
import sys
import wave
from array import array
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RATE = 16_000  # samples per second, 16 bit, mono
HISTORY = 640  # samples a voice may look back: 40 ms, about two periods of a deep voice
_FULL_WEIGHT = 1 << 15


@dataclass(frozen=True, slots=True)
class Voice:
    """A reader: ``shift`` is the change of pitch (0.2: a fifth of it higher), ``gain`` the loudness, 0 to 1."""

    name: str
    shift: float
    gain: float


VOICES = (
    Voice("anna", 0.0, 0.9),
    Voice("bruno", -0.2, 1.0),
    Voice("clara", 0.25, 0.8),
    Voice("david", -0.125, 0.95),
    Voice("elena", 0.16, 0.85),
    Voice("felix", -0.25, 1.0),
)


def speak(voice: Voice, samples: array[int], start: int) -> array[int]:
    """Return ``samples[HISTORY:]`` as the voice says them; ``start`` is the absolute number of the first one.

    A pitch shift without a change of length: two taps glide along the last 40 ms, half of that
    apart, and each is faded out before it jumps back.
    """
    steps = _steps(voice)
    phase = start % len(steps)
    rotated = cycle(chain(steps[phase:], steps[:phase]))
    return array(
        "h",
        [
            (weight_a * samples[i - delay_a] + weight_b * samples[i - delay_b]) >> 15
            for i, (delay_a, weight_a, delay_b, weight_b) in zip(range(HISTORY, len(samples)), rotated, strict=False)
        ],
    )


@lru_cache(maxsize=len(VOICES))
def _steps(voice: Voice) -> list[tuple[int, int, int, int]]:
    """One period of a voice: for each sample both delays and their weights, which add up to the gain."""
    loudness = int(voice.gain * (_FULL_WEIGHT - 1))
    if not voice.shift:
        return [(0, loudness, 0, 0)]
    period = round(HISTORY / abs(voice.shift))
    steps = []
    for n in range(period):
        delay_a = (-n * voice.shift) % HISTORY
        delay_b = (delay_a + HISTORY / 2) % HISTORY
        weight_a = round(loudness * (1 - abs(2 * delay_a / HISTORY - 1)))
        steps.append((int(delay_a), weight_a, int(delay_b), loudness - weight_a))
    return steps


def synthesise(seed: str, length: int) -> array[int]:
    """Return ``length`` samples of babble: words of syllables with gliding pitch, pauses between them."""
    rng = random.Random(seed)
    vowels = [_vowel(*formants) for formants in ((730, 1090), (270, 2290), (300, 870), (530, 1840), (570, 840))]
    hiss = [rng.uniform(-1, 1) for _ in range(RATE // 8)]
    samples = array("h", bytes(2 * int(rng.uniform(0.02, 0.1) * RATE)))
    while len(samples) < length:
        for _ in range(rng.randint(1, 4)):
            samples.extend(_consonant(hiss, int(rng.uniform(0.02, 0.06) * RATE), rng.uniform(600, 2500)))
            pitch = rng.uniform(95, 150)
            glide = rng.uniform(-0.25, 0.2) * pitch
            samples.extend(_syllable(rng.choice(vowels), int(rng.uniform(0.1, 0.24) * RATE), pitch, glide))
        samples.extend(array("h", bytes(2 * int(rng.uniform(0.04, 0.25) * RATE))))
    return samples[:length]


def _vowel(*formants: float) -> list[float]:
    """One cycle of 256 values: harmonics of a 120 Hz voice, louder near the formants."""
    harmonics = [(h, sum(1 / (1 + ((120 * h - f) / 90) ** 2) for f in formants) / h**0.3) for h in range(1, 28)]
    cycle_ = [sum(a * math.sin(math.tau * h * i / 256 + h * h) for h, a in harmonics) for i in range(256)]
    peak = max(abs(value) for value in cycle_)
    return [value / peak for value in cycle_]


def _syllable(vowel: list[float], length: int, pitch: float, glide: float) -> Iterable[int]:
    step = 256 * pitch / RATE
    bend = 256 * glide / RATE / (2 * length)
    swell = math.pi / length
    return [int(24_000 * math.sin(swell * n) ** 0.5 * vowel[int(n * (step + bend * n)) & 255]) for n in range(length)]


def _consonant(hiss: list[float], length: int, loudness: float) -> Iterable[int]:
    return [int(loudness * noise) for noise in islice(hiss, length)]


def write_wav(path: Path, samples: array[int]) -> None:
    """Write 16 bit mono samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(_little_endian(samples).tobytes())


def read_wav(path: Path, start: int, stop: int) -> array[int]:
    """Read the samples ``start`` to ``stop``; silence stands in for what lies before or after the track."""
    with wave.open(str(path), "rb") as file:
        first, last = max(0, start), min(file.getnframes(), stop)
        file.setpos(min(first, file.getnframes()))
        samples = array("h", bytes(2 * (first - start)))
        samples.extend(_little_endian(array("h", file.readframes(max(0, last - first)))))
        samples.extend(array("h", bytes(2 * (stop - max(first, last)))))
    return samples


def _little_endian(samples: array[int]) -> array[int]:
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples
