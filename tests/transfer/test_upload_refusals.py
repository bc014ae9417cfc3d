"""Every bad input, in every status of an upload, is an error and changes nothing: no key, no value, no TTL."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from redis_state import (
    AlreadyClaimed,
    AlreadyDone,
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    Engine,
    OffsetConflict,
    QuotaExceeded,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.state import RedisUploadState
from tests.support.servers import Server

U = "u"
SIZES = {0: 10, 1: 10, 2: 5}


@pytest.fixture
def state(engine: Engine) -> RedisUploadState:
    return RedisUploadState(container_id="c1", engine=engine, max_bytes_per_owner=1000)


def dump(server: Server) -> dict[bytes, tuple[bytes, int]]:
    """Return every key's content and remaining time, except the records of calls."""
    with server.client(decode_responses=False) as client:
        names = sorted(key for key in client.keys("*") if b":c:" not in key)  # type: ignore[union-attr]
        return {name: (client.dump(name), client.pttl(name)) for name in names}  # type: ignore[misc]


def unchanged(before: dict[bytes, tuple[bytes, int]], after: dict[bytes, tuple[bytes, int]]) -> bool:
    return before.keys() == after.keys() and all(
        after[name][0] == value and after[name][1] <= left for name, (value, left) in before.items()
    )


# --- how an upload gets into each status --------------------------------------------------------------


def _open(state: RedisUploadState, **fields: Any) -> None:
    state.create_session({"upload_id": U, "total_size": 25, "chunk_size": 10, "owner": "ann", **fields})


def _partly(state: RedisUploadState) -> None:
    _open(state)
    state.accept_chunk(U, 0, 10, "sum 0")


def _complete(state: RedisUploadState) -> None:
    _open(state)
    state.accept_chunks(U, [(number, size, f"sum {number}") for number, size in SIZES.items()])


def _assembling(state: RedisUploadState) -> None:
    _complete(state)
    state.claim_assembly(U, lease=60.0, auto_renew=False)


def _failed(state: RedisUploadState) -> None:
    _complete(state)
    state.claim_assembly(U, backoff=60.0).fail("no disk")


def _stored(state: RedisUploadState) -> None:
    _complete(state)
    state.claim_assembly(U).finish("a.wav")


def _aborted(state: RedisUploadState) -> None:
    _partly(state)
    state.abort(U)


def _by_offsets(state: RedisUploadState) -> None:
    _open(state)
    state.advance(U, 0, 12)


def _unknown_size(state: RedisUploadState) -> None:
    _open(state, total_size=None)
    state.accept_chunks(U, [(0, 10, "sum 0"), (2, 5)])


STATUSES: dict[str, Callable[[RedisUploadState], None]] = {
    "open": _open,
    "partly": _partly,
    "complete": _complete,
    "assembling": _assembling,
    "failed": _failed,
    "stored": _stored,
    "aborted": _aborted,
    "by offsets": _by_offsets,
    "unknown size": _unknown_size,
}
CLOSED = {"stored", "aborted"}

# name: the call, and what it raises in an upload that is not closed (and takes chunks)
BAD: dict[str, tuple[Callable[[RedisUploadState], Any], tuple[type[Exception], ...]]] = {
    "below the first": (lambda s: s.accept_chunk(U, -1, 10), (ChunkOutOfRange,)),
    "behind the last": (lambda s: s.accept_chunk(U, 3, 10), (ChunkOutOfRange,)),
    "far behind": (lambda s: s.accept_chunk(U, 10**30, 10), (ChunkOutOfRange,)),
    "too short": (lambda s: s.accept_chunk(U, 1, 9), (ChunkSizeMismatch, ChunkConflict)),
    "too long": (lambda s: s.accept_chunk(U, 1, 11), (ChunkSizeMismatch, ChunkConflict)),
    "no bytes": (lambda s: s.accept_chunk(U, 1, 0), (ChunkSizeMismatch, ChunkConflict)),
    "below no bytes": (lambda s: s.accept_chunk(U, 1, -10), (ChunkSizeMismatch, ChunkConflict)),
    "last too long": (lambda s: s.accept_chunk(U, 2, 10), (ChunkSizeMismatch, ChunkConflict)),
    "last too short": (lambda s: s.accept_chunk(U, 2, 4), (ChunkSizeMismatch, ChunkConflict)),
    "a bad one in a batch": (lambda s: s.accept_chunks(U, [(1, 10), (0, 10), (9, 1)]), (ChunkOutOfRange,)),
    "beyond the size": (lambda s: s.advance(U, 12, 14), (ChunkOutOfRange, ChunkConflict, OffsetConflict)),
    "behind a gap": (lambda s: s.advance(U, 20, 1), (ChunkConflict, OffsetConflict)),
    "over the end": (lambda s: s.advance(U, 5, 10), (ChunkConflict, OffsetConflict)),
    "another size": (lambda s: s.declare_size(U, 26), (ChunkConflict,)),
    "too small a size": (lambda s: s.declare_size(U, 1), (ChunkConflict,)),
    "the same id": (lambda s: s.create_session({"upload_id": U, "total_size": 1}), (ValueError,)),
    "too much": (lambda s: s.create_session({"upload_id": "v", "owner": "ann", "total_size": 1001}), (QuotaExceeded,)),
    "no number": (lambda s: s.accept_chunk(U, "0", 10), (TypeError,)),
    "a negative range": (lambda s: s.advance(U, 0, -1), (ValueError,)),
}


@pytest.mark.parametrize("status", STATUSES)
def test_bad_input_changes_nothing(state: RedisUploadState, server: Server, status: str) -> None:
    STATUSES[status](state)
    for name, (call, errors) in BAD.items():
        expected: tuple[type[Exception], ...] = errors
        if status in CLOSED and errors[0] not in (ValueError, QuotaExceeded, TypeError):
            expected = (UploadClosed,)
        elif status == "by offsets" and "accept" in call.__code__.co_names[0]:
            expected = (*errors, ChunkConflict)
        before = dump(server)
        time.sleep(0.002)
        with pytest.raises(expected):
            call(state)
        assert unchanged(before, dump(server)), name


@pytest.mark.parametrize("status", ["partly", "complete", "assembling", "failed", "unknown size", *sorted(CLOSED)])
def test_a_contradiction_changes_nothing(state: RedisUploadState, server: Server, status: str) -> None:
    STATUSES[status](state)
    before = dump(server)
    for size, checksum in [(10, "another"), (9, "sum 0"), (11, None)]:
        with pytest.raises(UploadClosed if status in CLOSED else ChunkConflict):
            state.accept_chunk(U, 0, size, checksum)
    assert unchanged(before, dump(server))


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_a_closed_upload_refuses_everything_that_arrives(state: RedisUploadState, server: Server, status: str) -> None:
    STATUSES[status](state)
    before = dump(server)
    for call in (
        lambda: state.accept_chunk(U, 0, 10, "sum 0"),  # a repetition, too
        lambda: state.accept_chunk(U, 1, 10),
        lambda: state.accept_chunks(U, [(0, 10), (1, 10)]),
        lambda: state.advance(U, 0, 5),
        lambda: state.declare_size(U, 25),
    ):
        with pytest.raises(UploadClosed, match=f"is {status}"):
            call()
    assert state.abort(U) is False
    assert unchanged(before, dump(server))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("open", UploadIncomplete),
        ("partly", UploadIncomplete),
        ("by offsets", UploadIncomplete),
        ("unknown size", UploadIncomplete),
        ("assembling", AlreadyClaimed),
        ("failed", AlreadyClaimed),
        ("stored", AlreadyDone),
        ("aborted", UploadClosed),
    ],
)
def test_an_assembly_that_cannot_be_taken_changes_nothing(
    state: RedisUploadState, server: Server, status: str, error: type[Exception]
) -> None:
    STATUSES[status](state)
    before = dump(server)
    with pytest.raises(error):
        state.claim_assembly(U)
    time.sleep(0.1)  # nothing is given back behind our back
    assert unchanged(before, dump(server))


def test_such_a_dump_notices_what_changes(state: RedisUploadState, server: Server) -> None:
    for change in (
        lambda: _partly(state),
        lambda: state.accept_chunk(U, 0, 10),  # a duplicate: it renews
        lambda: state.accept_chunk(U, 1, 10),
        lambda: state.abort(U),
        lambda: state.delete_session(U),
    ):
        before = dump(server)
        time.sleep(0.05)
        change()
        assert not unchanged(before, dump(server))
