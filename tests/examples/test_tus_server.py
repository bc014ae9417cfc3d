"""Three processes of the tus server share every upload, and a real tus client does not notice when they are killed."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

requests = pytest.importorskip("requests")
tus = pytest.importorskip("tusclient.client")
from tusclient.exceptions import TusCommunicationError  # noqa: E402

from redis_state import Engine  # noqa: E402
from redis_state.state import RedisUploadState  # noqa: E402
from tests.support.tus_fleet import (  # noqa: E402
    OWN_PREFIX,
    PATIENCE,
    Fleet,
    begun,
    create,
    fetched,
    head,
    made,
    moved,
    offset_of,
    patch,
    uid,
    until,
)


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


def test_kills_lose_no_byte(fleet: Fleet) -> None:
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
    with Engine.from_url(fleet.redis_url, prefix=OWN_PREFIX) as engine:
        state = RedisUploadState(engine=engine)
        for client in clients:
            assert hashlib.sha256(fetched(fleet, client.url)).digest() == hashlib.sha256(client.data).digest()
            session = state.get_session(uid(client.url))
            assert session is not None
            assert (session["status"], session["bytes_received"]) == ("stored", len(client.data))


def test_what_came_before_a_connection_was_cut_is_kept(fleet: Fleet) -> None:
    url = create(fleet, 1_000_000)
    with begun(url, 1_000_000, b"x" * 600_000):
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
    writer = threading.Thread(target=lambda: first.append(patch(url, 0, slowly())))
    writer.start()
    time.sleep(0.7)
    assert patch(moved(url, fleet.url(2)), 0, b"1234567890").status_code == 423
    writer.join(PATIENCE)
    assert first[0].status_code == 204
    assert fetched(fleet, url) == b"1234567890"


def test_a_stored_file_outlives_what_redis_remembers_of_it(fleet: Fleet) -> None:
    url = create(fleet, 10)
    assert patch(url, 0, b"1234567890").status_code == 204
    with Engine.from_url(fleet.redis_url, prefix=OWN_PREFIX) as engine:
        RedisUploadState(engine=engine).delete_session(uid(url))  # as its time to live would
    assert (head(url).headers["Upload-Offset"], head(url).headers["Upload-Length"]) == ("10", "10")
    assert patch(url, 10, b"").status_code == 204
    assert patch(url, 0, b"1234567890").status_code == 409
    assert fetched(fleet, url) == b"1234567890"
