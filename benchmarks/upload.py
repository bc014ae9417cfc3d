"""Uploads: what it costs to count a chunk, to find what is missing, and the memory that takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from benchmarks.bench import Bench
from benchmarks.harness import Case, Group
from redis_state import Engine
from redis_state.state import RedisUploadState

CHUNK = 1024
BATCH = 100
MOST = 2**23


def accept(bench: Bench) -> Group:
    """A chunk that is new, alone and with others, beside one addition to a number."""
    state = _state(bench, 9)
    numbers, batched, checked = count(), count(), count()
    uploads = [state.create_session({"total_size": MOST * CHUNK, "chunk_size": CHUNK}) for _ in range(3)]
    in_order = state.create_session({"total_size": 2**50})
    offsets = count()
    state.update_session(uploads[0], {"n": 0})

    def batch() -> object:
        return state.accept_chunks(uploads[1], [(next(batched), CHUNK) for _ in range(BATCH)])

    return Group(
        "Count a chunk that arrived",
        [
            Case("sessions.increment, for comparison", lambda: state.sessions.increment(uploads[0], "n")),
            Case("accept_chunk", lambda: state.accept_chunk(uploads[0], next(numbers), CHUNK)),
            Case(
                "accept_chunk, with a checksum", lambda: state.accept_chunk(uploads[2], next(checked), CHUNK, "f" * 64)
            ),
            Case("accept_chunk, a repetition", lambda: state.accept_chunk(uploads[0], 0, CHUNK)),
            Case(f"accept_chunks, {BATCH} at a time", batch, ops=BATCH),
            Case("advance", lambda: state.advance(in_order, next(offsets), 1)),
        ],
    )


def missing(bench: Bench) -> Group:
    """What is missing of a large upload at 0, 50 and 100 %, and the memory that its accounting takes."""
    state = _state(bench, 10)
    chunks = 10 * bench.entries
    taken: dict[str, int] = {}
    uploads: dict[str, str] = {}
    for name, arrived in {
        "0 %": range(0),
        "50 %, every other": range(0, chunks, 2),
        "all but one": range(1, chunks),
        "100 %": range(chunks),
    }.items():
        uploads[name] = uid = state.create_session({"total_size": chunks * CHUNK, "chunk_size": CHUNK})
        state.accept_chunks(uid, [(number, CHUNK) for number in arrived])
        taken[name] = _memory(bench, 10, uid)
    memory = "; ".join(f"{name}: {size / 1000:,.1f} KB" for name, size in taken.items())
    return Group(
        f"What is missing of {chunks:,} chunks. Redis memory for the whole session ({memory})",
        [Case(name, lambda uid=uid: state.missing(uid)) for name, uid in uploads.items()],  # type: ignore[misc]
    )


def _state(bench: Bench, database: int) -> RedisUploadState:
    engine = bench.closing.enter_context(Engine.from_url(f"{bench.url}?db={database}"))
    return RedisUploadState(engine=engine)


def _memory(bench: Bench, database: int, uid: str) -> int:
    """Return the bytes that Redis uses for the keys of an upload."""
    client = bench.new_client(db=database)
    return sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter(f"*:{uid}", count=1000))


GROUPS: dict[str, Callable[[Bench], Group]] = {"upload-accept": accept, "upload-missing": missing}
