"""An upload counts each chunk once, refuses what contradicts it, and completes once."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import (
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    Engine,
    OffsetConflict,
    RedisStateError,
    UnknownSession,
    UploadClosed,
)
from redis_state.state import ChunkReceipt, RedisUploadState
from redis_state.transfer import missing
from tests.support.servers import Server

NUMBERED = {"upload_id": "u", "total_size": 25, "chunk_size": 10}
OF_UNKNOWN_SIZE = {"upload_id": "u", "total_size": None, "chunk_size": 10}
IN_ORDER = {"upload_id": "u", "total_size": 25}
KB = 1024


@pytest.fixture
def state(engine: Engine) -> RedisUploadState:
    return RedisUploadState(container_id="c1", engine=engine)


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def either(request: pytest.FixtureRequest, engine: Engine) -> Iterator[RedisUploadState]:
    with Engine(engine.settings.with_changes(partitions=request.param)) as made:
        yield RedisUploadState(engine=made)


# --- sessions -----------------------------------------------------------------------------------------


def test_a_session_tells_what_it_was_created_with_and_what_has_arrived(state: RedisUploadState) -> None:
    uid = state.create_session({"filename": "a.wav", "total_size": 25, "chunk_size": 10, "owner": "ann", "tags": ["x"]})
    assert state.get_session(uid) == {
        "upload_id": uid,
        "filename": "a.wav",
        "tags": ["x"],
        "owner": "ann",
        "total_size": 25,
        "chunk_size": 10,
        "total_chunks": 3,
        "bytes_received": 0,
        "chunks_received": 0,
        "status": "uploading",
    }
    assert 7190 < state.sessions.ttl(uid) <= 7200  # type: ignore[operator]


def test_ids_are_given_or_made(either: RedisUploadState) -> None:
    assert either.create_session(NUMBERED) == "u"
    made = {either.create_session({"total_size": 1, "chunk_size": 1}) for _ in range(20)}
    assert len(made) == 20
    with pytest.raises(ValueError, match="an upload 'u' already"):
        either.create_session(NUMBERED)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"total_size": -1}, ValueError),
        ({"total_size": "9"}, TypeError),
        ({"total_size": True}, TypeError),
        ({"total_size": 1.5}, TypeError),
        ({"total_size": 2**53}, ValueError),
        ({"chunk_size": 0}, ValueError),
        ({"chunk_size": 1.0}, TypeError),
        ({"total_size": 2**23 + 1, "chunk_size": 1}, ValueError),
        ({"upload_id": ""}, TypeError),
        ({"upload_id": 7}, TypeError),
        ({"owner": 7}, TypeError),
        ({"bytes_received": 5}, ValueError),
        ({"total_chunks": 4}, ValueError),
        ({"mood": object()}, TypeError),
    ],
)
def test_a_wrong_session_is_refused_before_anything_is_written(
    state: RedisUploadState, server: Server, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        state.create_session({**NUMBERED, **wrong})
    with server.client() as client:
        assert client.keys("*") == []


def test_what_is_counted_is_not_to_be_written(state: RedisUploadState) -> None:
    state.create_session(NUMBERED)
    session = state.get_session("u")
    assert session is not None
    for field in (
        "bytes_received",
        "chunks_received",
        "total_chunks",
        "total_size",
        "chunk_size",
        "owner",
        "upload_id",
    ):
        for write in (
            lambda name: state.update_session("u", {name: 1}),
            lambda name: state.sessions.increment("u", name),
            lambda name: session.__setitem__(name, 5),  # type: ignore[union-attr]
            lambda name: session.pop(name),  # type: ignore[union-attr]
        ):
            with pytest.raises(ValueError, match=field):
                write(field)
    for whole in (lambda: state.sessions.put("u", {}), lambda: state.sessions.mutate("u", lambda fields: fields)):
        with pytest.raises(TypeError, match="field by field"):
            whole()
    assert state.update_session("u", {"filename": "b"})
    assert state.update_session("none", {"filename": "b"}) is False
    assert state.get_session("none") is None


def test_each_chunk_renews_the_session(state: RedisUploadState, server: Server) -> None:
    state.create_session(NUMBERED)
    state.accept_chunk("u", 0, 10, "sum")
    keys = state.sessions.entries.keys
    for number in (0, 1):  # a repeated one, a new one
        with server.client() as client:
            names = [keys.key("entry", "u"), keys.key("bitmap", "u"), keys.key("checksums", "u")]
            for name in names:
                client.pexpire(name, 50_000)
            state.accept_chunk("u", number, 10, "sum")
            assert all(7_190_000 < client.pttl(name) <= 7_200_000 for name in names)


def test_a_deleted_session_leaves_nothing_of_itself(either: RedisUploadState, server: Server) -> None:
    either.create_session({**NUMBERED, "owner": "ann"})
    either.accept_chunk("u", 0, 10, "sum")
    assert either.delete_session("u") is True
    assert either.delete_session("u") is False
    with server.client() as client:
        assert [key for key in client.keys("*") if ":c:" not in key] == []
    assert either.create_session(NUMBERED) == "u"
    assert either.accept_chunk("u", 0, 10).outcome == "accepted"


# --- numbered chunks ----------------------------------------------------------------------------------


def test_each_chunk_counts_once_in_any_order(either: RedisUploadState) -> None:
    either.create_session(NUMBERED)
    order = [2, 0, 2, 0, 1, 1]
    found = [either.accept_chunk("u", number, 5 if number == 2 else 10) for number in order]
    assert found == [
        ChunkReceipt("accepted", 5, 1, 3, complete=False, completed_now=False),
        ChunkReceipt("accepted", 15, 2, 3, complete=False, completed_now=False),
        ChunkReceipt("duplicate", 15, 2, 3, complete=False, completed_now=False),
        ChunkReceipt("duplicate", 15, 2, 3, complete=False, completed_now=False),
        ChunkReceipt("accepted", 25, 3, 3, complete=True, completed_now=True),
        ChunkReceipt("duplicate", 25, 3, 3, complete=True, completed_now=False),
    ]
    assert either.get_session("u")["status"] == "complete"  # type: ignore[index]


def test_a_repetition_must_agree(state: RedisUploadState) -> None:
    state.create_session(NUMBERED)
    state.accept_chunk("u", 0, 10, "a")
    state.accept_chunk("u", 1, 10)
    assert state.accept_chunk("u", 0, 10, "a").outcome == "duplicate"
    assert state.accept_chunk("u", 0, 10).outcome == "duplicate"  # says nothing against it
    assert state.accept_chunk("u", 1, 10, "b").outcome == "duplicate"  # there is nothing to compare it with
    for number, size, checksum in [(0, 10, "b"), (0, 9, "a"), (1, 11, None), (1, 0, None)]:
        with pytest.raises(ChunkConflict, match=f"chunk {number} was accepted before"):
            state.accept_chunk("u", number, size, checksum)
    assert state.checksums("u") == {0: "a"}


def test_a_batch_counts_all_or_none(state: RedisUploadState) -> None:
    state.create_session(NUMBERED)
    for bad, error in [((3, 5), ChunkOutOfRange), ((2, 10), ChunkSizeMismatch), ((0, 10, "y"), ChunkConflict)]:
        with pytest.raises(error):
            state.accept_chunks("u", [(0, 10, "x"), (1, 10), bad])
    assert state.missing("u") == [range(3)]
    found = state.accept_chunks("u", [(0, 10, "x"), (0, 10, "x"), (2, 5), (1, 10), (2, 5)])
    assert [receipt.outcome for receipt in found] == ["accepted", "duplicate", "accepted", "accepted", "duplicate"]
    assert [receipt.completed_now for receipt in found] == [False, False, False, True, False]
    assert {(receipt.bytes_received, receipt.chunks_received) for receipt in found} == {(25, 3)}
    assert state.accept_chunks("u", []) == []


def test_a_batch_is_one_round_trip(state: RedisUploadState, engine: Engine) -> None:
    state.create_session({"upload_id": "u", "total_size": 500, "chunk_size": 1})
    before = engine.status().calls
    assert len(state.accept_chunks("u", [(number, 1) for number in range(500)])) == 500
    assert engine.status().calls == before + 1


def test_a_long_batch_is_counted_in_steps(state: RedisUploadState) -> None:
    state.create_session({"upload_id": "u", "total_size": 1300, "chunk_size": 1})
    found = state.accept_chunks("u", [(number, 1) for number in range(1300)])
    assert len(found) == 1300
    assert [place for place, receipt in enumerate(found) if receipt.completed_now] == [1299]


@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 20])
def test_the_last_chunk_has_what_is_left(state: RedisUploadState, total: int) -> None:
    state.create_session({"upload_id": "u", "total_size": total, "chunk_size": 10})
    chunks = -(-total // 10)
    assert state.get_session("u")["total_chunks"] == chunks  # type: ignore[index]
    assert state.missing("u") == ([range(chunks)] if chunks else [])
    for number in range(chunks):
        receipt = state.accept_chunk("u", number, min(10, total - 10 * number))
        assert receipt.completed_now == (number == chunks - 1)
    assert state.get_session("u")["status"] == "complete"  # type: ignore[index]
    assert state.awaiting_assembly() == ["u"]


def test_large_sizes_are_exact(state: RedisUploadState) -> None:
    chunk = 2**31 - 1
    total = chunk * (2**22 - 1) + 1  # a quotient just above a whole number
    state.create_session({"upload_id": "u", "total_size": total, "chunk_size": chunk})
    last = 2**22 - 1
    assert state.accept_chunk("u", last, 1).bytes_received == 1
    assert state.accept_chunk("u", 0, chunk) == ChunkReceipt(
        "accepted", chunk + 1, 2, 2**22, complete=False, completed_now=False
    )
    assert state.missing("u") == [range(1, last)]


# --- the size is not known ----------------------------------------------------------------------------


def test_without_a_size_the_shorter_chunk_is_the_last(state: RedisUploadState) -> None:
    state.create_session(OF_UNKNOWN_SIZE)
    state.accept_chunks("u", [(0, 10), (3, 10)])
    for size in (9, 11, 0, -1):
        with pytest.raises(ChunkSizeMismatch):
            state.accept_chunk("u", 2, size)
    assert state.accept_chunk("u", 5, 7).total_chunks is None
    with pytest.raises(ChunkOutOfRange):
        state.accept_chunk("u", 6, 10)
    with pytest.raises(ChunkConflict):
        state.accept_chunk("u", 5, 8)
    assert state.accept_chunk("u", 5, 7).outcome == "duplicate"
    assert state.missing("u") == [range(1, 3), range(4, 5)]
    for size in (56, 58, 57 + 10, 50, 0):
        with pytest.raises(ChunkConflict, match="it has 57 bytes, not"):
            state.declare_size("u", size)
    assert state.declare_size("u", 57) == ChunkReceipt("accepted", 27, 3, 6, complete=False, completed_now=False)
    assert state.accept_chunks("u", [(1, 10), (2, 10), (4, 10)])[-1].completed_now


def test_declaring_what_is_known_changes_nothing(state: RedisUploadState) -> None:
    state.create_session(NUMBERED)
    state.accept_chunk("u", 2, 5)
    assert state.declare_size("u", 25) == ChunkReceipt("accepted", 5, 1, 3, complete=False, completed_now=False)


def test_declaring_the_size_may_complete(state: RedisUploadState) -> None:
    state.create_session(OF_UNKNOWN_SIZE)
    assert not state.accept_chunks("u", [(0, 10), (1, 10)])[-1].complete
    with pytest.raises(ChunkConflict, match="it has 20 to"):
        state.declare_size("u", 19)
    assert state.declare_size("u", 20).completed_now
    assert state.declare_size("u", 20) == ChunkReceipt("accepted", 20, 2, 2, complete=True, completed_now=False)
    with pytest.raises(ChunkConflict, match="declared with 20 bytes before, not 21"):
        state.declare_size("u", 21)


@pytest.mark.parametrize("size", [-1, 2**53, 10 * (2**23 + 1)])
def test_a_declared_size_is_bounded(state: RedisUploadState, size: int) -> None:
    state.create_session(OF_UNKNOWN_SIZE)
    with pytest.raises(ValueError, match="u"):
        state.declare_size("u", size)
    with pytest.raises(ChunkOutOfRange):
        state.accept_chunk("u", 2**23, 10)
    assert state.get_session("u")["total_size"] is None  # type: ignore[index]


# --- ranges in order ----------------------------------------------------------------------------------


def test_ranges_follow_each_other(either: RedisUploadState) -> None:
    either.create_session(IN_ORDER)
    assert either.advance("u", 0, 10) == 10
    assert either.advance("u", 0, 10) == 10
    assert either.advance("u", 3, 4) == 10
    assert either.advance("u", 10, 0) == 10
    for offset, length in [(9, 2), (11, 1), (0, 11), (12, 0)]:
        with pytest.raises(OffsetConflict, match="goes on at byte 10") as caught:
            either.advance("u", offset, length)
        assert caught.value.current == 10
    with pytest.raises(ChunkOutOfRange, match="has 25 bytes"):
        either.advance("u", 10, 16)
    offset = either.advance("u", 10, 15)
    assert (offset, offset.complete, offset.completed_now) == (25, True, True)
    offset = either.advance("u", 10, 15)
    assert (offset, offset.complete, offset.completed_now) == (25, True, False)


def test_numbers_that_come_from_here_are_numbers(state: RedisUploadState) -> None:
    state.create_session(IN_ORDER)
    offset = state.advance("u", 0, 10)
    assert state.advance("u", offset, 5) == 15
    session = state.get_session("u")
    assert session is not None
    assert state.advance("u", session["bytes_received"], session["total_size"] - session["bytes_received"]) == 25
    copy = state.create_session({"total_size": session["total_size"], "chunk_size": session["total_size"]})
    assert state.accept_chunk(copy, session["chunks_received"], session["total_size"]).completed_now


def test_an_upload_takes_ranges_or_chunks(state: RedisUploadState) -> None:
    state.create_session({**NUMBERED, "upload_id": "ranges"})
    state.advance("ranges", 0, 13)
    assert state.missing("ranges") == [range(1, 3)]
    with pytest.raises(ChunkConflict, match="filled by offsets"):
        state.accept_chunk("ranges", 2, 5)
    state.create_session({**NUMBERED, "upload_id": "chunks"})
    state.accept_chunk("chunks", 0, 10)
    with pytest.raises(ChunkConflict, match="filled by numbered chunks"):
        state.advance("chunks", 10, 10)
    state.create_session({"upload_id": "plain"})
    with pytest.raises(ChunkConflict, match="filled by offsets"):
        state.accept_chunk("plain", 0, 10)
    with pytest.raises(ValueError, match="no chunk_size"):
        state.missing("plain")


def test_ranges_of_an_unknown_size(state: RedisUploadState) -> None:
    state.create_session({"upload_id": "u"})
    assert not state.advance("u", 0, 7).complete
    with pytest.raises(ChunkConflict, match="it has 7 to"):
        state.declare_size("u", 6)
    assert state.declare_size("u", 9).complete is False
    assert state.advance("u", 7, 2).completed_now


# --- what is missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [1, 7, 8, 9, 1000, 131_072 + 5])
def test_missing_is_what_has_not_arrived(state: RedisUploadState, chunks: int) -> None:
    state.create_session({"upload_id": "u", "total_size": 10 * chunks, "chunk_size": 10})
    have = {number for number in (0, 5, 6, 999, 131_071, 131_072, chunks - 1) if number < chunks}
    if len(have) < chunks:
        state.accept_chunks("u", [(number, 10) for number in have])
        wanted = [number for number in range(chunks) if number not in have]
        assert [number for gap in state.missing("u") for number in gap] == wanted
        assert all(gap.stop not in wanted for gap in state.missing("u")), "a run is one range"
    assert state.missing("u") != []


def test_a_hundred_thousand_chunks_take_less_than_a_megabyte(state: RedisUploadState, server: Server) -> None:
    count = 100_000
    with server.client() as client:
        before = client.info("memory")["used_memory"]
        state.create_session({"upload_id": "u", "total_size": count * KB, "chunk_size": KB})
        for start in range(0, count, 500):
            found = state.accept_chunks("u", [(number, KB) for number in range(start, start + 500)])
            if start == count // 2:
                assert client.memory_usage(state.sessions.entries.keys.key("bitmap", "u")) < 30_000
        assert found[-1].completed_now
        assert client.info("memory")["used_memory"] - before < 1_000_000


def test_nothing_is_missing_of_an_upload_that_is_stored_meanwhile(state: RedisUploadState, engine: Engine) -> None:
    state.create_session({"upload_id": "u", "total_size": 24, "chunk_size": 8})
    state.accept_chunks("u", [(0, 8), (1, 8)])
    plan = missing.missing_chunks(state.sessions.entries, "u")
    facts = engine.run(next(plan))
    state.accept_chunk("u", 2, 8)
    state.claim_assembly("u").finish()  # and the bitmap is gone
    step = plan.send(facts)
    with pytest.raises(StopIteration) as end:
        plan.send(engine.run_all(step))
    assert end.value.value == []


def test_missing_takes_a_bounded_number_of_steps(state: RedisUploadState, engine: Engine) -> None:
    state.create_session({"upload_id": "u", "total_size": 100_000, "chunk_size": 1})
    state.accept_chunks("u", [(number, 1) for number in range(1, 1000, 2)])
    before = engine.status().calls
    gaps = state.missing("u")
    assert engine.status().calls - before <= 3
    assert (len(gaps), gaps[-1]) == (501, range(1000, 100_000))


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "touch",
    [
        lambda state: state.accept_chunk("u", 0, 10),
        lambda state: state.accept_chunks("u", [(0, 10)]),
        lambda state: state.advance("u", 0, 10),
        lambda state: state.declare_size("u", 10),
        lambda state: state.missing("u"),
        lambda state: state.claim_assembly("u"),
    ],
)
def test_an_unknown_upload_is_a_key_error(
    state: RedisUploadState, server: Server, touch: Callable[[RedisUploadState], Any]
) -> None:
    with pytest.raises(UnknownSession, match="'u'"):
        touch(state)
    assert state.abort("u") is False
    with server.client() as client:
        assert [key for key in client.keys("*") if ":c:" not in key] == []


@pytest.mark.parametrize("chunk", [(0, 1.5), ("0", 1), (True, 1), (0, None), (0, 10, 7), (0, 10, b"sum")])
def test_chunks_are_numbers(state: RedisUploadState, chunk: Any) -> None:
    state.create_session(NUMBERED)
    with pytest.raises(TypeError, match="chunk"):
        state.accept_chunks("u", [(1, 10), chunk])
    assert state.missing("u") == [range(3)]


@pytest.mark.parametrize(
    "error",
    [
        ChunkOutOfRange("u", 7, 3),
        ChunkOutOfRange("u", range(5, 30), 25),
        ChunkSizeMismatch("u", 2, 10, 5),
        ChunkConflict("u", 1, "why"),
        OffsetConflict("u", 3, 7),
        UploadClosed("u", "stored"),
    ],
)
def test_errors_travel_between_processes(error: RedisStateError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert isinstance(copy, ValueError)
