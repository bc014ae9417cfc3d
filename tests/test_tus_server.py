"""Three processes of the tus server share every upload, and a real tus client does not notice when they are killed."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server

pytest.importorskip("starlette")
requests = pytest.importorskip("requests")
tus = pytest.importorskip("tusclient.client")
from tusclient.exceptions import TusCommunicationError  # noqa: E402

from redis_state import Engine  # noqa: E402
from redis_state.state import RedisUploadState  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


class Fleet:
    """Processes of the server, and where they listen."""

    def __init__(self, redis_url: str, directory: Path, size: int = 3) -> None:
        self.directory = directory
        self._environ = {**os.environ, "REDIS_URL": redis_url, "REDIS_STATE_PREFIX": "tus"}
        self.ports = [free_port() for _ in range(size)]
        self.processes = [self._start(port) for port in self.ports]
        for port in self.ports:
            self.await_answer(port)

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "examples.tus_server", "--port", str(port), "--dir", str(self.directory)]
        return subprocess.Popen(command, cwd=ROOT, env=self._environ)

    def await_answer(self, port: int) -> None:
        until(lambda: answers(port))

    def url(self, place: int | None = None) -> str:
        port = random.choice(self.ports) if place is None else self.ports[place]
        return f"http://127.0.0.1:{port}/files"

    def kill(self, place: int) -> None:
        os.kill(self.processes[place].pid, signal.SIGKILL)
        self.processes[place].wait()

    def restart(self, place: int) -> None:
        self.processes[place] = self._start(self.ports[place])
        self.await_answer(self.ports[place])

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        return bool(requests.options(f"http://127.0.0.1:{port}/files", timeout=5).status_code == 204)
    except requests.RequestException:
        return False


def until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(redis: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(redis.url, tmp_path_factory.mktemp("uploads"))
    yield made
    made.close()


def made(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def moved(url: str, to: str) -> str:
    """Return the upload's address at another process."""
    return f"{to}/{url.rpartition('/')[2]}"


def fetched(fleet: Fleet, url: str) -> bytes:
    until(lambda: requests.get(moved(url, fleet.url(0)), timeout=5).status_code == 200)
    body: bytes = requests.get(moved(url, fleet.url(0)), timeout=5).content
    return body


# --- a real client ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checked", [False, True], ids=["plain", "checksums"])
@pytest.mark.parametrize("size", [0, 1, 100_000, 700_000])
def test_parts_go_to_any_process(fleet: Fleet, size: int, checked: bool) -> None:
    data = made(size)
    client = tus.TusClient(fleet.url(0))
    stream = io.BytesIO(data)
    uploader = client.uploader(file_stream=stream, chunk_size=90_000, metadata={"name": "a b"}, upload_checksum=checked)
    uploader.set_url(uploader.create_url())
    place = 0
    while uploader.offset < size:
        place += 1
        uploader.set_url(moved(uploader.url, fleet.url(place % 3)))
        uploader.upload_chunk()
    assert fetched(fleet, uploader.url) == data


class Client(threading.Thread):
    """Uploads a file, each part to some process; where one does not answer, it asks another where to go on."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        super().__init__()
        self.fleet = fleet
        self.data = made(3_000_000 + number, number)
        self.checked = number % 2 == 0
        self.troubles = 0
        self.url = ""

    def run(self) -> None:
        uploader = None
        while uploader is None or uploader.offset < len(self.data):
            try:
                if uploader is None:
                    uploader = self.begun()
                uploader.set_url(moved(uploader.url, self.fleet.url()))
                uploader.upload_chunk()
            except (TusCommunicationError, requests.RequestException):  # killed, or not up again yet
                self.troubles += 1
                if uploader is not None:
                    self.resume(uploader)
        self.url = uploader.url

    def begun(self) -> Any:
        client, stream = tus.TusClient(self.fleet.url()), io.BytesIO(self.data)
        uploader = client.uploader(file_stream=stream, chunk_size=32_768, upload_checksum=self.checked)
        uploader.set_url(uploader.create_url())
        return uploader

    def resume(self, uploader: Any) -> None:
        while True:
            time.sleep(0.05)
            try:
                uploader.set_url(moved(uploader.url, self.fleet.url()))
                uploader.offset = uploader.get_offset()
                return
            except (TusCommunicationError, requests.RequestException):
                continue


def strike(fleet: Fleet, ended: threading.Event) -> None:
    """Kill one process after the other, and start it again."""
    chance = random.Random(1)
    while not ended.is_set():
        place = chance.randrange(3)
        fleet.kill(place)
        time.sleep(0.1)
        fleet.restart(place)
        ended.wait(chance.uniform(0.1, 0.6))


def test_kills_lose_no_byte(fleet: Fleet, redis: Server) -> None:
    ended = threading.Event()
    killer = threading.Thread(target=strike, args=(fleet, ended))
    clients = [Client(fleet, number) for number in range(4)]
    for thread in (killer, *clients):
        thread.start()
    for client in clients:
        client.join(PATIENCE)
    ended.set()
    killer.join(PATIENCE)
    assert sum(client.troubles for client in clients) > 0, "nobody was killed while it mattered"
    with Engine.from_url(redis.url, prefix="tus") as engine:
        state = RedisUploadState(engine=engine)
        for client in clients:
            assert hashlib.sha256(fetched(fleet, client.url)).digest() == hashlib.sha256(client.data).digest()
            session = state.get_session(client.url.rpartition("/")[2])
            assert session is not None
            assert (session["status"], session["bytes_received"]) == ("stored", len(client.data))


# --- the protocol -------------------------------------------------------------------------------------


def create(fleet: Fleet, size: int | None = 10, **headers: str) -> str:
    length = {"Upload-Defer-Length": "1"} if size is None else {"Upload-Length": str(size)}
    answer = requests.post(fleet.url(0), headers={**TUS, **length, **headers}, timeout=10)
    assert answer.status_code == 201
    return moved(answer.headers["Location"], fleet.url(1))


def patch(url: str, offset: int, data: bytes, **headers: str) -> Any:
    sent = {**PATCH, "Upload-Offset": str(offset), **headers}
    return requests.patch(url, data=data, headers={name: value for name, value in sent.items() if value}, timeout=10)


def offset_of(url: str) -> int:
    return int(requests.head(url, headers=TUS, timeout=10).headers["Upload-Offset"])


def test_options_tell_what_the_server_can(fleet: Fleet) -> None:
    headers = requests.options(fleet.url(), timeout=10).headers
    assert headers["Tus-Version"] == "1.0.0"
    assert {"creation", "checksum", "termination"} <= set(headers["Tus-Extension"].split(","))
    assert "sha1" in headers["Tus-Checksum-Algorithm"]


def test_head_tells_what_there_is(fleet: Fleet) -> None:
    url = create(fleet, 10, **{"Upload-Metadata": "name YQ=="})
    patch(url, 0, b"12345")
    answer = requests.head(moved(url, fleet.url(2)), headers=TUS, timeout=10)
    wanted = {"Upload-Offset": "5", "Upload-Length": "10", "Upload-Metadata": "name YQ==", "Cache-Control": "no-store"}
    assert {header: answer.headers[header] for header in wanted} == wanted
    unknown = requests.head(moved(url, fleet.url(2)) + "x", headers=TUS, timeout=10)
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.9"}, 412),
        ({"Tus-Resumable": ""}, 412),
        ({"Content-Type": "text/plain"}, 415),
        ({"Upload-Offset": "x"}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "1"}, 409),
        ({"Upload-Checksum": "crc32 AAAA"}, 400),
        ({"Upload-Checksum": "sha1 no"}, 400),
        ({"Upload-Checksum": "sha1 " + base64.b64encode(hashlib.sha1(b"x").digest()).decode()}, 460),
    ],
)
def test_a_wrong_part_counts_nothing(fleet: Fleet, headers: dict[str, str], status: int) -> None:
    url = create(fleet)
    assert patch(url, 0, b"12345", **headers).status_code == status
    assert offset_of(url) == 0
    assert patch(url, 0, b"1234567890").status_code == 204
    assert fetched(fleet, url) == b"1234567890"


def test_a_part_beyond_the_end_is_refused(fleet: Fleet) -> None:
    url = create(fleet)
    assert patch(url, 0, b"12345678901").status_code == 413
    assert offset_of(url) == 0


def test_a_length_can_come_later(fleet: Fleet) -> None:
    url = create(fleet, None)
    assert requests.head(url, headers=TUS, timeout=10).headers["Upload-Defer-Length"] == "1"
    patch(url, 0, b"123")
    assert patch(url, 3, b"45", **{"Upload-Length": "5"}).headers["Upload-Offset"] == "5"
    assert fetched(fleet, url) == b"12345"
    assert patch(url, 5, b"", **{"Upload-Length": "6"}).status_code in (409, 410)


def test_a_terminated_upload_is_gone_everywhere(fleet: Fleet) -> None:
    url = create(fleet)
    patch(url, 0, b"12345")
    assert requests.delete(url, headers=TUS, timeout=10).status_code == 204
    for place in range(3):
        elsewhere = moved(url, fleet.url(place))
        assert requests.head(elsewhere, headers=TUS, timeout=10).status_code == 410
        assert patch(elsewhere, 5, b"67890").status_code == 410
        assert requests.delete(elsewhere, headers=TUS, timeout=10).status_code == 404
    assert not (fleet.directory / "parts" / url.rpartition("/")[2]).exists()


def test_what_came_before_a_connection_was_cut_is_kept(fleet: Fleet) -> None:
    url = create(fleet, 1_000_000)
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as line:
        path = url.split("/", 3)[3]
        head = [f"PATCH /{path} HTTP/1.1", f"Host: {host}", "Content-Length: 1000000", "Upload-Offset: 0"]
        head += [f"{name}: {value}" for name, value in PATCH.items()]
        line.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 600_000)
        until(lambda: offset_of(moved(url, fleet.url(2))) >= 512 * 1024)
    until(lambda: offset_of(url) == 600_000)
    assert patch(moved(url, fleet.url(0)), 600_000, b"y" * 400_000).status_code == 204
    assert fetched(fleet, url) == b"x" * 600_000 + b"y" * 400_000


def test_one_request_writes_at_a_time(fleet: Fleet) -> None:
    url = create(fleet, 10)

    def slowly() -> Iterator[bytes]:
        yield b"12345"
        time.sleep(2.5)  # longer than another request waits
        yield b"67890"

    first: list[Any] = []
    writer = threading.Thread(
        target=lambda: first.append(
            requests.patch(url, data=slowly(), headers={**PATCH, "Upload-Offset": "0"}, timeout=20)
        )
    )
    writer.start()
    time.sleep(0.7)
    assert patch(moved(url, fleet.url(2)), 0, b"1234567890").status_code == 423
    writer.join(PATIENCE)
    assert first[0].status_code == 204
    assert fetched(fleet, url) == b"1234567890"
