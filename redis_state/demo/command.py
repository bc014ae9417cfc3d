"""The arguments of ``redis-state demo``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from redis_state.demo.audio import VOICES

if TYPE_CHECKING:
    from collections.abc import Callable

ABOUT = """\
Three worker processes stand for three containers and cut audio tracks into HLS segments, for several
voices. They share nothing but Redis and a folder. Half way one of them is killed with SIGKILL and the
server forgets every script; the others finish the work. Then the files, the data in Redis and the
workers' own diaries are compared: nothing may be lost, nothing counted twice.
"""
EXAMPLES = """\
examples:
  redis-state demo                                   ten seconds, an embedded server, nothing left behind
  redis-state demo --url redis://localhost:6379/0    on your server, with keys of its own, deleted afterwards
  REDIS_URL=redis://:password@host redis-state demo  the same, and the password is in no list of processes
  redis-state demo --workers 6 --tracks 8            more of everything
  redis-state demo --keep /tmp/audio                 keep the playlists; play one with ffplay or a browser
  redis-state demo --json                            the last line is JSON: "ok", and "checks" by name

exit code: 0 every check holds, 1 one does not, 2 it could not run, 130 interrupted
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the demo takes."""
    parser.description, parser.epilog = ABOUT, EXAMPLES
    add = parser.add_argument
    add(
        "--url",
        default=os.environ.get("REDIS_URL") or "embedded://",
        help="the server: redis://, rediss://, unix://, embedded:// (default: REDIS_URL if that is set, else "
        "embedded://); a password belongs in REDIS_URL, since others can read a command line",
    )
    add("--workers", type=_between(1, 16), default=3, metavar="N", help="processes, each a container (default: 3)")
    add("--tracks", type=_between(1, 50), default=4, metavar="N", help="audio tracks (default: 4)")
    voices = f"voices that read each track, 1 to {len(VOICES)} (default: 3)"
    add("--voices", type=_between(1, len(VOICES)), default=3, metavar="N", help=voices)
    add("--seconds", type=_between(1, 600), default=20, metavar="N", help="length of a track, about (default: 20)")
    add("--seed", type=int, default=1, help="the same seed makes the same tracks (default: 1)")
    add("--format", choices=("aac", "wav"), help="of the segments (default: aac if ffmpeg is on PATH, else wav)")
    add("--no-kill", action="store_true", help="let every worker live")
    add("--json", action="store_true", help="end with one line of JSON; everything else goes to stderr")
    add("--keep", type=Path, metavar="DIR", help="write the audio to DIR and leave it there")
    parser.set_defaults(usage_error=parser.error)


def main(given: argparse.Namespace) -> int:
    """Run the demo; return its exit code."""
    from redis_state.demo.run import Options, run

    if given.workers == 1 and not given.no_kill:
        given.usage_error("a single worker has no other to finish its work: add --no-kill, or more --workers")
    if given.keep is not None and given.keep.exists() and (not given.keep.is_dir() or any(given.keep.iterdir())):
        given.usage_error(f"--keep {given.keep}: name a new or an empty directory")
    options = Options(
        url=given.url,
        workers=given.workers,
        tracks=given.tracks,
        voices=given.voices,
        seconds=given.seconds,
        seed=given.seed,
        format=given.format,
        kill=not given.no_kill,
        json=given.json,
        keep=given.keep,
    )
    return run(options)


def _between(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return whole
