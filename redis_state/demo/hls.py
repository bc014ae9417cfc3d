"""HLS segments and playlists, made one segment at a time.

Every segment is made alone, so that any worker can make it, or make it again, and gets the same
file. AAC normally resists that: an encoder adds silence in front and needs the samples before a
frame to code it. Here ffmpeg is fed a little more than the segment on both sides and only the
frames of the segment are kept, so the frames of all segments in a row are one gapless stream.
They are written as packed audio (RFC 8216, section 3.4): ADTS frames behind an ID3 time stamp.

Without ffmpeg a segment is a WAV file: the same samples, cut at the same places.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import sys
import time
import wave
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from redis_state.demo.audio import HISTORY, RATE, Voice, read_wav, speak, write_wav

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Format = Literal["aac", "wav"]

FRAME = 1024  # samples in an AAC frame; tracks and segments are whole frames
SEGMENT = 32 * FRAME  # samples in a segment: 2.048 s
_LEAD_IN, _LEAD_OUT = 2 * FRAME, FRAME
_PATIENCE = 0.15  # seconds for one start of ffmpeg; a run has more than a hundred
_PRIMING = 1  # frames that the encoder puts in front of everything
_SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class BadMedia(ValueError):
    """A segment or a playlist that a player could not use. The message says why."""


def choose_format() -> tuple[Format, str]:
    """AAC where ffmpeg is on PATH, can encode it and is quick about it, else WAV; and why."""
    if shutil.which("ffmpeg") is None:
        return "wav", "no ffmpeg on PATH"
    fastest = math.inf
    try:
        for _ in range(2):
            began = time.monotonic()
            _encode(array("h", bytes(2 * FRAME)))
            fastest = min(fastest, time.monotonic() - began)
    except (BadMedia, OSError) as error:
        return "wav", f"ffmpeg does not work here: {error}"
    if fastest > _PATIENCE:
        return "wav", f"ffmpeg needs {fastest:.2f} s to start on this busy machine"
    return "aac", "cut by ffmpeg"


def segment_name(number: int, format: Format) -> str:
    return f"segment_{number:03d}.{format}"


def make_segment(track: Path, voice: Voice, number: int, length: int, path: Path) -> None:
    """Cut segment ``number`` of a track of ``length`` samples, as ``voice`` says it. The file appears whole or not."""
    start = number * SEGMENT
    stop = min(length, start + SEGMENT)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".wav":
        write_wav(partial, speak(voice, read_wav(track, start - HISTORY, stop), start))
    else:
        first = start - _LEAD_IN
        samples = speak(voice, read_wav(track, first - HISTORY, stop + _LEAD_OUT), first)
        skip = _LEAD_IN // FRAME + _PRIMING
        frames = _encode(samples)[skip : skip + (stop - start) // FRAME]
        partial.write_bytes(_time_stamp(start) + b"".join(frames))
    partial.replace(path)


def _encode(samples: array[int]) -> list[bytes]:
    """Return the AAC frames of the samples, the encoder's own priming frame first."""
    raw = ["-f", "s16le" if sys.byteorder == "little" else "s16be", "-ar", str(RATE), "-ac", "1"]
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-threads", "1", *raw, "-i", "pipe:0"]
    command += ["-c:a", "aac", "-b:a", "48k", "-f", "adts", "pipe:1"]
    done = subprocess.run(command, input=samples.tobytes(), capture_output=True, check=False)
    if done.returncode:
        raise BadMedia(f"ffmpeg: {done.stderr.decode(errors='replace').strip() or done.returncode}")
    return split_adts(done.stdout)


def split_adts(data: bytes) -> list[bytes]:
    """Split a stream of ADTS frames; raise BadMedia where it is not one at our sample rate."""
    frames, at = [], 0
    while at < len(data):
        header = data[at : at + 7]
        if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            raise BadMedia(f"no ADTS frame at byte {at}")
        if _SAMPLE_RATES[(header[2] >> 2) & 15 :][:1] != (RATE,):
            raise BadMedia(f"the frame at byte {at} has another sample rate than {RATE}")
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if size <= 7 or at + size > len(data):
            raise BadMedia(f"the frame at byte {at} is cut short")
        frames.append(data[at : at + size])
        at += size
    return frames


def _time_stamp(start: int) -> bytes:
    """An ID3 tag with the segment's start on the MPEG-2 clock of 90 kHz, as packed audio wants it."""
    body = b"com.apple.streaming.transportStreamTimestamp\0" + struct.pack(">Q", start * 90_000 // RATE % 2**33)
    frame = b"PRIV" + bytes((0, 0, 0, len(body), 0, 0)) + body
    return b"ID3\4\0\0" + bytes((0, 0, 0, len(frame))) + frame


def samples_in(path: Path) -> int:
    """Count the samples in a segment from the file itself. Raises BadMedia for a damaged or empty one."""
    try:
        if path.suffix == ".wav":
            return _samples_in_wav(path)
        data = path.read_bytes()
    except (OSError, EOFError, wave.Error) as error:
        raise BadMedia(f"{path.name}: {error}") from error
    if data[:3] != b"ID3" or len(data) <= 10 + data[9]:
        raise BadMedia(f"{path.name}: no time stamp, or nothing behind it")
    try:
        return FRAME * len(split_adts(data[10 + data[9] :]))
    except BadMedia as error:
        raise BadMedia(f"{path.name}: {error}") from error


def _samples_in_wav(path: Path) -> int:
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise BadMedia(f"{path.name}: not 16 bit mono at {RATE} Hz")
        held = len(file.readframes(file.getnframes())) // 2
        if held == 0 or held != file.getnframes():
            raise BadMedia(f"{path.name}: {held} samples of {file.getnframes()}")
        return held


def write_playlist(path: Path, segments: Sequence[Path]) -> None:
    """List the segments, with the durations that the files really have. The file appears whole or not."""
    seconds = [samples_in(segment) / RATE for segment in segments]
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{math.ceil(max(seconds))}"]
    lines += ["#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for segment, duration in zip(segments, seconds, strict=True):
        lines += [f"#EXTINF:{duration:.6f},", segment.name]
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]), encoding="ascii")
    partial.replace(path)


def read_playlist(path: Path) -> list[tuple[str, float]]:
    """Return name and seconds of each segment. Raises BadMedia where a player would stumble."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadMedia(f"{path.name}: {error}") from error
    if lines[:1] != ["#EXTM3U"] or lines[-1:] != ["#EXT-X-ENDLIST"]:
        raise BadMedia(f"{path.name}: not a complete playlist")
    targets = [line.partition(":")[2] for line in lines if line.startswith("#EXT-X-TARGETDURATION:")]
    entries: list[tuple[str, float]] = []
    try:
        for line, following in pairwise(lines):
            if line.startswith("#EXTINF:"):
                entries.append((following, float(line[len("#EXTINF:") :].rstrip(","))))
        longest = int(targets[0])
    except (ValueError, IndexError) as error:
        raise BadMedia(f"{path.name}: {error}") from error
    if len(entries) != sum(not line.startswith("#") for line in lines):
        raise BadMedia(f"{path.name}: a segment without a duration")
    if any(round(seconds) > longest for _, seconds in entries):
        raise BadMedia(f"{path.name}: a segment longer than the target duration")
    return entries
