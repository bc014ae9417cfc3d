"""Processes that deliver and assemble uploads, and may be killed at any moment.

Each keeps a diary, a line at a time, so that nothing is missing when it is killed: what it is about to do, and what
came of it. A process that takes a killed one's place reads its diary and goes on where that one was.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis_state import AlreadyClaimed, AlreadyDone, Engine, UploadClosed
from redis_state.state import RedisUploadState

CHUNK = 700
CHUNKS = 100
LEASE = 4.0  # seconds until the assembly of a killed process is taken over
ASSEMBLING = 0.05  # seconds that an assembly takes, so that some are killed in one


def content(upload: int) -> bytes:
    """Return what is uploaded; the last chunk is shorter."""
    return random.Random(f"upload {upload}").randbytes(CHUNK * (CHUNKS - 1) + 1 + 31 * upload)


def name(upload: int) -> str:
    return f"upload-{upload}"


def deliveries(uploads: int, rank: int, ranks: int) -> list[tuple[int, int]]:
    """Return the chunks that one of the processes delivers: all together one to three times, in random order."""
    chance = random.Random("who delivers what")
    everything = [
        (upload, number) for upload in range(uploads) for number in range(CHUNKS) for _ in range(chance.randint(1, 3))
    ]
    chance.shuffle(everything)
    return everything[rank::ranks]


class Diary:
    """Lines of JSON, each written at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, what: str, **facts: Any) -> None:
        os.write(self._file, json.dumps({"what": what, **facts, "pid": os.getpid()}).encode() + b"\n")


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def deliver(url: str, prefix: str, folder: str, uploads: int, rank: int, ranks: int) -> None:
    """Deliver what is this rank's, assemble what is complete, and end when every upload is stored."""
    files = Path(folder)
    told = entries(files / f"diary {rank}")
    diary = Diary(files / f"diary {rank}")
    done = sum(entry["what"] == "delivered" for entry in told)
    with Engine.from_url(url, prefix=prefix, deadline=30.0) as engine:
        state = RedisUploadState(engine=engine)
        for upload, number in deliveries(uploads, rank, ranks)[done:]:
            piece = content(upload)[CHUNK * number : CHUNK * (number + 1)]
            write(files / "parts" / f"{upload}.{number}", piece)
            diary("delivering", upload=upload, number=number)
            try:
                receipt = state.accept_chunk(name(upload), number, len(piece), hashlib.sha256(piece).hexdigest())
            except UploadClosed:  # stored: this is a repetition
                diary("delivered", upload=upload, number=number, outcome="closed")
                continue
            facts = {"outcome": receipt.outcome, "completed": receipt.completed_now}
            diary("delivered", upload=upload, number=number, **facts)
            if receipt.completed_now:
                assemble(state, upload, files, diary)
        for upload in left(state, uploads):
            assemble(state, upload, files, diary)
    diary("ended")


def left(state: RedisUploadState, uploads: int) -> Iterator[int]:
    """Find uploads that nobody assembles, until all are stored."""
    while True:
        for found in state.awaiting_assembly():
            yield int(found.rpartition("-")[2])
        sessions = state.sessions.get_many(map(name, range(uploads)))
        if all(session["status"] == "stored" for session in sessions.values()):
            return
        time.sleep(0.2)


def assemble(state: RedisUploadState, upload: int, files: Path, diary: Diary) -> None:
    try:
        claim = state.claim_assembly(name(upload), lease=LEASE, max_attempts=50)
    except (AlreadyClaimed, AlreadyDone):
        return
    with claim:
        diary("assembling", upload=upload, fence=claim.fence)
        missing = state.missing(name(upload))
        assert not missing, missing
        pieces = [(files / "parts" / f"{upload}.{number}").read_bytes() for number in range(CHUNKS)]
        time.sleep(ASSEMBLING)
        write(files / "stored" / str(upload), b"".join(pieces))
        claim.finish()
        diary("assembled", upload=upload)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)
