"""Uploads and downloads, awaited: the same operations on the same data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from redis_state import AlreadyDone, Engine, OffsetConflict, QuotaExceeded, UploadClosed
from redis_state.aio import AsyncEngine, DownloadState, UploadState
from redis_state.state import RedisDownloadState, RedisUploadState
from tests.support.servers import Server


@pytest.fixture
async def awaiting(server: Server, prefix: str) -> AsyncIterator[AsyncEngine]:
    async with AsyncEngine.from_url(server.url, prefix=prefix, partitions=4) as made:
        yield made


@pytest.fixture
def state(awaiting: AsyncEngine) -> UploadState:
    return UploadState(awaiting, "c1", max_open_per_owner=2, max_bytes_per_owner=100)


async def test_an_upload_from_its_first_chunk_to_its_end(state: UploadState) -> None:
    uid = await state.create_session({"total_size": 25, "chunk_size": 10, "owner": "ann"})
    assert await state.missing(uid) == [range(3)]
    assert not (await state.accept_chunk(uid, 1, 10, "sum")).complete
    assert (await state.accept_chunks(uid, [(0, 10), (2, 5)]))[-1].completed_now
    assert await state.checksums(uid) == {1: "sum"}
    assert await state.awaiting_assembly() == [uid]
    async with state.claim_assembly(uid) as claim:
        assert await claim.update({"percent": 5})
    assert (await state.get_session(uid))["status"] == "stored"  # type: ignore[index]
    with pytest.raises(AlreadyDone):
        await state.claim_assembly(uid)
    with pytest.raises(UploadClosed):
        await state.accept_chunk(uid, 0, 10)
    assert await state.retry_assembly(uid) is False


async def test_ranges_quotas_and_deaths(state: UploadState) -> None:
    uid = await state.create_session({"owner": "ann"})
    assert await state.advance(uid, 0, 60) == 60
    with pytest.raises(OffsetConflict):
        await state.advance(uid, 61, 1)
    with pytest.raises(QuotaExceeded):
        await state.advance(uid, 60, 41)
    with pytest.raises(QuotaExceeded):
        await state.create_session({"owner": "ann", "total_size": 41})
    assert not (await state.declare_size(uid, 80)).complete
    assert await state.usage("ann") == (1, 80)
    assert await state.update_session(uid, {"note": "x"})
    with pytest.raises(ValueError, match="owner"):
        await state.update_session(uid, {"owner": "bob"})
    assert await state.abort(uid)
    assert [dead["upload_id"] for dead in await state.expired()] == [uid]
    assert await state.delete_session(uid)
    assert await state.expired() == []


async def test_of_many_tasks_one_completes(state: UploadState) -> None:
    uid = await state.create_session({"total_size": 40, "chunk_size": 10})
    found = await asyncio.gather(*(state.accept_chunk(uid, number % 4, 10) for number in range(40)))
    assert sum(receipt.completed_now for receipt in found) == 1
    assert sum(receipt.outcome == "accepted" for receipt in found) == 4


async def test_both_faces_see_the_same_data(awaiting: AsyncEngine, state: UploadState) -> None:
    with Engine(awaiting.settings) as engine:
        blocking: Any = RedisUploadState(engine=engine)
        uid = blocking.create_session({"total_size": 20, "chunk_size": 10})
        await state.accept_chunk(uid, 0, 10)
        assert blocking.accept_chunk(uid, 1, 10).completed_now
        assert await state.usage() == blocking.usage() == (0, 0)
        downloads = RedisDownloadState(engine=engine)
        downloads.begin("d", {"total_bytes": 10})
        assert (await DownloadState(awaiting).advance("d", 0, 10)).complete


async def test_a_download(awaiting: AsyncEngine) -> None:
    state = DownloadState(awaiting, max_active_per_owner=1)
    assert (await state.begin("d", {"total_bytes": 10, "owner": "ann"})).status == "active"
    with pytest.raises(QuotaExceeded):
        await state.begin("e", {"owner": "ann"})
    assert (await state.advance("d", 5, 5)).bytes_sent == 5
    assert (await state.finish("d")).status == "finished"
    assert await state.active("ann") == 0
    assert await state.active_downloads.get("d") == {
        "total_bytes": 10,
        "owner": "ann",
        "bytes_sent": 5,
        "status": "finished",
    }
