"""The example server and clients that send too much, too slowly, or want to know too much."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

requests = pytest.importorskip("requests")
from examples.tus_server.core import STRAY, Limits, Uploads  # noqa: E402
from examples.tus_server.files import Files, NoSuchId  # noqa: E402
from redis_state import Engine  # noqa: E402
from redis_state.aio import AsyncEngine  # noqa: E402
from redis_state.state import RedisUploadState  # noqa: E402
from tests.support.servers import Server  # noqa: E402
from tests.support.tus_fleet import (  # noqa: E402
    OWN_PREFIX,
    PATIENCE,
    Fleet,
    begun,
    create,
    delete,
    fetched,
    get,
    head,
    moved,
    offset_of,
    patch,
    post,
    uid,
    until,
)

KB, MB = 1 << 10, 1 << 20
NO_SUCH_SUM = {"Upload_Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server that has little patience and room."""
    words = ("--patience", "1", "--max-size", str(8 * MB), "--max-open", "20", "--max-bytes", str(16 * MB))
    with Server() as redis, Fleet(redis.url, tmp_path_factory.mktemp("strict"), 1, words) as made:
        yield made


def streamed(megabytes: int) -> Iterator[bytes]:
    """Say nothing of the size before it is there."""
    for _ in range(megabytes * 16):
        yield b"x" * (64 * KB)


def refused(url: str, data: Any, **headers: str) -> int:
    """Return the answer to a part that the server may refuse before it has all of it."""
    try:
        return int(patch(url, 0, data, **headers).status_code)
    except requests.ConnectionError:
        return 413


# --- the disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [{}, NO_SUCH_SUM], ids=["plain", "checksum"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "sized"])
def test_no_more_is_written_than_was_declared(fleet: Fleet, stream: bool, checksum: dict[str, str]) -> None:
    before, url = fleet.on_disk(), create(fleet, 1)
    assert refused(url, streamed(8) if stream else b"x" * 8 * MB, **checksum) == 413
    assert fleet.on_disk() == before
    assert offset_of(url) == 0
    assert patch(url, 0, b"!").status_code == 204
    assert fetched(fleet, url) == b"!"


def test_a_wrong_checksum_gives_the_room_back(fleet: Fleet) -> None:
    url = create(fleet, 4 * MB)
    assert patch(url, 0, b"y" * MB).status_code == 204
    assert patch(url, MB, streamed(2), **NO_SUCH_SUM).status_code == 460
    assert fleet.part(url).stat().st_size == MB
    assert patch(url, MB, b"z" * 3 * MB).status_code == 204
    assert fetched(fleet, url) == b"y" * MB + b"z" * 3 * MB


@pytest.mark.parametrize("checksum", [{}, NO_SUCH_SUM], ids=["plain", "checksum"])
def test_who_writes_to_a_deleted_upload_leaves_nothing(fleet: Fleet, checksum: dict[str, str]) -> None:
    url, deleted, sent = create(fleet, 100 * MB), threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield from streamed(1)
        sent.set()
        deleted.wait(PATIENCE)
        yield from streamed(4)

    answers: list[int] = []
    writer = threading.Thread(target=lambda: answers.append(refused(url, slowly(), **checksum)))
    writer.start()
    assert sent.wait(PATIENCE)
    until(fleet.part(url).exists)
    assert delete(moved(url, fleet.url(0))).status_code == 204
    deleted.set()
    writer.join(PATIENCE)
    assert answers[0] in (410, 413)
    until(lambda: not fleet.part(url).exists())
    assert head(url).status_code == 410


@pytest.mark.parametrize("checksum", [{}, NO_SUCH_SUM], ids=["plain", "checksum"])
def test_who_writes_the_first_bytes_of_a_deleted_upload_is_told_at_once(fleet: Fleet, checksum: dict[str, str]) -> None:
    url = create(fleet, 10 * MB)
    with begun(url, 10 * MB, b"", **checksum) as line:
        line.settimeout(PATIENCE)
        until(lambda: patch(moved(url, fleet.url(0)), 0, b"").status_code == 423)  # it waits for bytes
        assert delete(url).status_code == 204
        line.sendall(b"x" * MB)
        assert b" 410 " in line.recv(4096).partition(b"\r\n")[0]
    until(lambda: not fleet.part(url).exists())


def test_only_the_first_bytes_make_a_file(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.write("a", 1, b"x")
    files.write("a", 0, b"x")
    files.write("a", 1, b"y")
    assert files.part("a").read_bytes() == b"xy"


async def test_what_a_killed_process_wrote_to_a_dead_upload_is_removed(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with Server() as redis:
        async with AsyncEngine.from_url(redis.url) as engine:
            uploads = Uploads(engine, files, Limits())
            under_way, aborted = [await uploads.create({"total_size": 9, "metadata": ""}) for _ in range(2)]
            for uid in (under_way, aborted, "expired"):
                await asyncio.to_thread(files.write, uid, 0, b"12345")
            await uploads.delete(aborted)
            files.write(aborted, 0, b"12345")  # as a process that had its file open
            assert list(files.idle(STRAY)) == []
            for uid in (under_way, aborted, "expired"):
                os.utime(files.part(uid), (0, 0))
            await uploads.clear(list(files.idle(STRAY)))
            assert [path.name for path in (tmp_path / "parts").iterdir()] == [under_way]


def test_the_limits_of_clients_are_kept(strict: Fleet) -> None:
    assert post(strict, Upload_Length=str(8 * MB + 1)).status_code == 413
    first, second = create(strict, 8 * MB), create(strict, None)
    assert patch(second, 0, b"x" * 7 * MB).status_code == 204
    assert refused(second, b"x", Upload_Offset=str(7 * MB), Upload_Length=str(8 * MB)) == 204
    assert get(second).status_code == 404
    assert post(strict, Upload_Length=str(MB)).status_code == 413  # in all
    assert delete(first).status_code == 204
    opened = []
    while (answer := post(strict, Upload_Length="1")).status_code == 201:
        opened.append(moved(answer.headers["Location"], strict.url()))
    assert answer.status_code == 429
    assert 0 < len(opened) <= 20
    for url in (second, *opened):
        assert delete(url).status_code == 204


def test_a_full_redis_is_told(tmp_path: Path) -> None:
    with Server() as redis, Fleet(redis.url, tmp_path, 1) as fleet, redis.client() as client:
        url = create(fleet, 10)
        client.config_set("maxmemory", "1")
        assert post(fleet, Upload_Length="1").status_code == 507
        assert head(url).status_code == 200
        assert delete(url).status_code == 204


def test_a_redis_that_is_away_is_no_fault_of_the_client(tmp_path: Path) -> None:
    with Server() as redis, Fleet(redis.url, tmp_path, 1, REDIS_STATE_DEADLINE="1") as fleet:
        url = create(fleet, 10)
        redis.stop()
        answer = requests.head(url, headers={"Tus-Resumable": "1.0.0"}, timeout=PATIENCE)
        assert (answer.status_code, answer.headers["Tus-Resumable"]) == (503, "1.0.0")


# --- names --------------------------------------------------------------------------------------------

NO_NAMES = ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "a.b", "a\n", "a\0", "ä", "a" * 65]


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_only_an_id_becomes_a_path(tmp_path: Path, name: str) -> None:
    files = Files(tmp_path / "files")
    uses: list[Any] = [
        files.part,
        files.done,
        files.size,
        files.discard,
        lambda name: files.write(name, 0, b"x"),
        lambda name: files.cut(name, 0),
        lambda name: files.store(name, 0),
    ]
    for use in uses:
        with pytest.raises(NoSuchId):
            use(name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["done", "files", "parts"]


@pytest.mark.parametrize("prefix", ["t", OWN_PREFIX], ids=["another application", "this one"])
def test_uploads_of_others_are_none_of_ours(fleet: Fleet, prefix: str) -> None:
    outside = fleet.directory.parent / "outside.txt"
    outside.write_text("precious")
    after = create(fleet, 3)
    with Engine.from_url(fleet.redis_url, prefix=prefix) as engine:
        others = RedisUploadState(engine=engine)
        others.create_session({"upload_id": "../../outside.txt", "total_size": 10})
        others.abort("../../outside.txt")
        for name in (str(outside), "plain"):
            others.create_session({"upload_id": name, "total_size": 3, "metadata": ""})
            others.advance(name, 0, 3)
        others.create_session({"upload_id": "empty", "total_size": 0, "metadata": ""})
        fleet.kill(0)
        assert requests.delete(after, headers={"Tus-Resumable": "1.0.0"}, timeout=10).status_code == 204
        fleet.restart(0)
        time.sleep(5)  # the sweepers have come by, twice
        assert outside.read_text() == "precious"
        if prefix != OWN_PREFIX:
            assert sorted(others.awaiting_assembly()) == sorted([str(outside), "plain", "empty"])
            assert head(f"{fleet.url()}/plain").status_code == 404


# --- patience -----------------------------------------------------------------------------------------


def test_a_silent_client_does_not_keep_its_upload(strict: Fleet) -> None:
    url = create(strict, 10)
    with begun(url, 10, b"123") as line:
        line.settimeout(PATIENCE)
        until(lambda: offset_of(url) == 3)
        assert b" 408 " in line.recv(4096).partition(b"\r\n")[0]
        assert patch(url, 3, b"4567890").status_code == 204
    assert fetched(strict, url) == b"1234567890"


def test_a_slow_client_is_served(strict: Fleet) -> None:
    url = create(strict, 24 * KB)

    def slowly() -> Iterator[bytes]:
        for _ in range(12):  # longer than the server's patience, taken together
            yield b"x" * 2 * KB
            time.sleep(0.2)

    assert patch(url, 0, slowly()).status_code == 204
    assert fetched(strict, url) == b"x" * 24 * KB


def test_clients_are_told_nothing_of_what_is_inside(fleet: Fleet) -> None:
    url = create(fleet, 10)
    with begun(url, 10, b"123"):
        until(lambda: offset_of(url) == 3)
        answer = patch(moved(url, fleet.url(0)), 0, b"1234567890")
        assert answer.status_code in (409, 423)
        told = [answer, patch(url, 7, b""), get(url), get(fleet.url() + "/x"), post(fleet, Upload_Length="x")]
    for inside in (os.uname().nodename, str(os.getpid()), uid(url), str(fleet.directory), *pids(fleet)):
        assert not any(inside in one.text for one in told)


def pids(fleet: Fleet) -> list[str]:
    return [str(process.pid) for process in fleet.processes]


def test_the_server_ends_while_connections_stand(tmp_path: Path) -> None:
    with Server() as redis, Fleet(redis.url, tmp_path, 1) as fleet:
        url = create(fleet, 10)
        with begun(url, 10, b"123"):
            time.sleep(0.5)  # the server waits for the rest
            fleet.processes[0].send_signal(signal.SIGTERM)
            fleet.processes[0].wait(timeout=PATIENCE / 2)
        fleet.restart(0)
        until(lambda: patch(url, 0, b"1234567890").status_code == 204)  # once the writer's lease is over
        assert fetched(fleet, url) == b"1234567890"
