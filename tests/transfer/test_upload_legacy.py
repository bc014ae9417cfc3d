"""Old code, written for dicts, and new code share each upload; old names warn once for each line that uses them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import Engine
from redis_state.state import RedisUploadState, upload_legacy
from redis_state.state.upload_legacy import LegacyUploadState

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def engines(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Engine]:
    with Engine(engine.settings.with_changes(partitions=request.param)) as made:
        yield made


@pytest.fixture
def old(engines: Engine) -> LegacyUploadState:
    return LegacyUploadState(engine=engines)


@pytest.fixture
def new(engines: Engine) -> RedisUploadState:
    return RedisUploadState(engine=engines, max_open_per_owner=1)


def test_an_old_name_warns_once_for_each_line(old: LegacyUploadState) -> None:
    upload_legacy._warned.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            len(old.active_uploads)
            len(old.upload_progress)
        len(old.active_uploads)
        assert len(upload_legacy.legacy_upload_state.container_id) > 0
    assert [str(warning.message).split(" is ")[0] for warning in caught] == [
        "active_uploads",
        "upload_progress",
        "active_uploads",
    ]
    assert all(warning.category is DeprecationWarning and warning.filename == __file__ for warning in caught)
    assert "upload_state.create_session" in str(caught[0].message)
    assert "upload_state.accept_chunk" in str(caught[1].message)
    assert len({warning.lineno for warning in caught}) == 3


def test_the_names_of_the_module_warn_too() -> None:
    upload_legacy._warned.clear()
    with pytest.warns(DeprecationWarning, match="active_uploads is deprecated"):
        assert upload_legacy.active_uploads is upload_legacy.legacy_upload_state._uploads
    with pytest.warns(DeprecationWarning, match="upload_progress is deprecated"):
        from redis_state.state.upload_legacy import upload_progress
    assert upload_progress is upload_legacy.legacy_upload_state._progress
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = upload_legacy.other


def test_the_new_code_goes_on_with_an_upload_of_the_old(old: LegacyUploadState, new: RedisUploadState) -> None:
    old.active_uploads["u"] = {"filename": "a", "total_size": 25, "chunk_size": 10}
    assert new.get_session("u") == {"filename": "a", "total_size": 25, "chunk_size": 10}
    assert new.missing("u") == [range(3)]
    assert new.accept_chunk("u", 1, 10).bytes_received == 10
    assert old.upload_progress["u"]["bytes_received"] == 10
    assert new.accept_chunks("u", [(0, 10), (2, 5)])[-1].completed_now
    assert old.active_uploads["u"]["status"] == "complete"
    with new.claim_assembly("u"):
        pass
    assert old.active_uploads["u"]["status"] == "stored"


def test_the_old_code_sees_an_upload_of_the_new(old: LegacyUploadState, new: RedisUploadState) -> None:
    uid = new.create_session({"filename": "a", "total_size": 25, "chunk_size": 10, "owner": "ann"})
    assert uid in old.active_uploads
    assert list(old.active_uploads) == list(old.upload_progress) == [uid]
    new.accept_chunk(uid, 0, 10)
    assert old.upload_progress.get(uid)["chunks_received"] == 1  # type: ignore[index]
    old.active_uploads[uid]["note"] = "x"
    old.upload_progress[uid] = {"percent": 40}
    assert {"note": "x", "percent": 40}.items() <= new.get_session(uid).items()  # type: ignore[union-attr]
    del old.upload_progress[uid]
    assert old.upload_progress.pop(uid)["percent"] == 40
    assert new.get_session(uid) is not None
    del old.active_uploads[uid]
    assert old.upload_progress.pop(uid, None) is None
    assert (new.get_session(uid), new.usage("ann"), new.expired()) == (None, (0, 0), [])


def test_old_code_that_counts_by_itself_still_does(old: LegacyUploadState) -> None:
    old.active_uploads["u"] = {"total_size": 30, "bytes_received": 0}
    old.active_uploads["u"]["bytes_received"] += 10
    old.active_uploads["u"] = {**old.active_uploads["u"].copy(), "bytes_received": 20}
    old.upload_progress["v"] = {"bytes_received": 1}
    assert old.upload_progress["u"] == {"total_size": 30, "bytes_received": 20}
    assert old.active_uploads["v"] == {"bytes_received": 1}


@pytest.mark.parametrize("how", ["put", "mutate"])
def test_putting_a_dict_back_loses_no_chunk(old: LegacyUploadState, new: RedisUploadState, how: str) -> None:
    uid = new.create_session({"total_size": 30, "chunk_size": 10, "gone": 1})
    new.accept_chunk(uid, 0, 10)
    seen = old.active_uploads[uid].copy()
    seen["note"] = "x"
    del seen["gone"]
    if how == "put":
        new.accept_chunk(uid, 1, 10)  # in between
        old.active_uploads[uid] = seen
    else:
        new.accept_chunk(uid, 1, 10)
        old.active_uploads.mutate(uid, lambda _: seen)
    session = new.get_session(uid)
    assert session is not None
    assert (session["bytes_received"], session["note"], "gone" in session) == (20, "x", False)
    assert new.accept_chunk(uid, 1, 10).outcome == "duplicate"
    assert new.missing(uid) == [range(2, 3)]
    assert new.accept_chunk(uid, 2, 10).completed_now
    new.claim_assembly(uid).finish()
    old.active_uploads[uid] = {"status": "uploading"}
    with pytest.raises(ValueError, match="is stored"):
        new.accept_chunk(uid, 0, 10)


@pytest.mark.parametrize(
    "write",
    [
        lambda old, uid, seen: old.active_uploads.put(uid, seen),
        lambda old, uid, seen: old.active_uploads.patch(uid, seen),
        lambda old, uid, seen: old.active_uploads.mutate(uid, lambda _: seen),
        lambda old, uid, seen: old.upload_progress.__setitem__(uid, seen),
        lambda old, uid, seen: old.active_uploads[uid].update(seen),
        lambda old, uid, seen: old.active_uploads[uid].__setitem__("bytes_received", 0),
        lambda old, uid, seen: old.active_uploads[uid].clear(),
        lambda old, uid, seen: old.active_uploads.increment(uid, "bytes_received", -10),
        lambda old, uid, seen: less(old.active_uploads[uid]),
    ],
    ids=["put", "patch", "mutate", "progress", "update", "item", "clear", "increment", "subtract"],
)
@pytest.mark.parametrize("chunk", [10, None], ids=["chunks", "offsets"])
def test_no_write_takes_away_what_was_counted(
    old: LegacyUploadState, new: RedisUploadState, write: Callable[..., Any], chunk: int | None
) -> None:
    uid = new.create_session({"total_size": 30, "chunk_size": chunk})

    def arrive(number: int) -> bool:
        if chunk:
            return new.accept_chunk(uid, number, 10).completed_now
        return new.advance(uid, 10 * number, 10).completed_now

    arrive(0)
    seen = old.active_uploads[uid].copy()
    arrive(1)
    write(old, uid, seen)
    session = new.get_session(uid)
    assert session is not None
    assert (session["bytes_received"], session["total_size"]) == (20, 30)
    assert arrive(2)
    assert new.awaiting_assembly() == [uid]


def less(record: Any) -> None:
    record["bytes_received"] -= 10


def test_a_count_is_not_taken_out(old: LegacyUploadState, new: RedisUploadState) -> None:
    uid = new.create_session({"total_size": 30, "chunk_size": 10})
    new.accept_chunk(uid, 0, 10)
    with pytest.raises(ValueError, match="bytes_received: counted"):
        del old.active_uploads[uid]["bytes_received"]


@pytest.mark.parametrize(
    "write",
    [
        lambda old, uid: old.active_uploads.put(uid, {"total_size": 30, "bytes_received": 30, "status": "uploading"}),
        lambda old, uid: old.active_uploads[uid].__setitem__("bytes_received", 30),
        lambda old, uid: old.upload_progress.__setitem__(uid, {"bytes_received": 30}),
        lambda old, uid: old.active_uploads.increment(uid, "bytes_received", 20),
    ],
    ids=["put", "item", "progress", "increment"],
)
def test_old_code_completes_what_it_has_counted(
    old: LegacyUploadState, new: RedisUploadState, write: Callable[..., Any]
) -> None:
    uid = new.create_session({"total_size": 30, "owner": "ann"})
    old.active_uploads[uid]["bytes_received"] += 10
    assert new.usage("ann") == (1, 30)
    write(old, uid)
    assert old.active_uploads[uid]["status"] == "complete"
    assert new.usage("ann") == (0, 0)
    new.claim_assembly(uid).finish()
    write(old, uid)
    with pytest.raises(ValueError, match="is stored"):
        new.advance(uid, 0, 10)


def test_a_state_of_its_own_is_left_to_old_code(old: LegacyUploadState) -> None:
    old.active_uploads["u"] = {"total_size": 30, "bytes_received": 30, "status": "all there"}
    assert old.active_uploads["u"]["status"] == "all there"
    old.upload_progress["new"] = {"bytes_received": 1}
    old.active_uploads.increment("new", "chunks_received", 2)
    old.active_uploads.increment("newer", "bytes_received", 2.5)
    assert old.active_uploads["new"] == {"bytes_received": 1, "chunks_received": 2}
    assert old.active_uploads["newer"] == {"bytes_received": 2.5}
    with pytest.raises(TypeError, match="no number"):
        old.active_uploads["u"]["total_size"] = "many"
        old.active_uploads.increment("u", "total_size")


def test_an_abort_stays_one(old: LegacyUploadState, new: RedisUploadState) -> None:
    uid = new.create_session({"total_size": 30, "chunk_size": 10})
    new.abort(uid)
    old.active_uploads[uid] = {"total_size": 30, "chunk_size": 10, "status": "uploading"}
    with pytest.raises(ValueError, match="is aborted"):
        new.accept_chunk(uid, 0, 10)
