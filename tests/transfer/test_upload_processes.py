"""Eight processes deliver twenty uploads, over a network that loses replies, and are killed: no byte is lost."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_state import Engine
from redis_state.state import RedisUploadState
from tests.support.proxy import Proxy
from tests.support.servers import Server, available, newest
from tests.support.upload_processes import CHUNK, CHUNKS, content, deliver, deliveries, entries, name

PROCESSES = 8
UPLOADS = 20
KILLS = 10
LOST = 0.05  # of all replies
PATIENCE = 200.0  # seconds: on an idle machine it takes 14
STRESS = float(os.environ.get("REDIS_STATE_STRESS", "1"))

forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(["tests.support.upload_processes"])


@pytest.fixture(scope="module", params=[*available()] if STRESS > 1 else [newest()])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("parts", "stored"):
        (tmp_path / part).mkdir()
    return tmp_path


class Crew:
    """Processes that are replaced when they are killed."""

    def __init__(self, url: str, prefix: str, folder: Path) -> None:
        self._args = url, prefix, str(folder), UPLOADS
        self.folder = folder
        self.running = [self._start(rank) for rank in range(PROCESSES)]
        self.killed: list[int] = []

    def _start(self, rank: int) -> Any:
        process = forked.Process(target=deliver, args=(*self._args, rank, PROCESSES))
        process.start()
        return process

    def diary(self, rank: int) -> list[dict[str, Any]]:
        return entries(self.folder / f"diary {rank}")

    def diaries(self) -> list[dict[str, Any]]:
        return [entry for rank in range(PROCESSES) for entry in self.diary(rank)]

    def kill(self, rank: int) -> None:
        process = self.running[rank]
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            if process.exitcode == -signal.SIGKILL:
                self.killed.append(process.pid)
                self.running[rank] = self._start(rank)

    def finish(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for process in self.running:
            process.join(max(0.0, deadline - time.monotonic()))
        assert [process.exitcode for process in self.running] == [0] * PROCESSES

    def dismiss(self) -> None:
        for process in self.running:
            process.kill()
            process.join()


def left_undone(diary: list[dict[str, Any]], killed: list[int], begins: str, ends: str) -> list[dict[str, Any]]:
    """Return what killed processes began and did not end."""
    last = {
        pid: [entry for entry in diary if entry["pid"] == pid and entry["what"] in (begins, ends)] for pid in killed
    }
    return [done[-1] for done in last.values() if done and done[-1]["what"] == begins]


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE + 60)
def test_no_byte_is_lost(server: Server, prefix: str, folder: Path) -> None:
    with Engine.from_url(server.url, prefix=prefix) as engine, Proxy(server.socket_path) as proxy:
        state = RedisUploadState(engine=engine, max_open_per_owner=UPLOADS)
        for upload in range(UPLOADS):
            data = {"upload_id": name(upload), "chunk_size": CHUNK, "owner": "ann"}
            state.create_session({**data, "total_size": len(content(upload))})
        proxy.drop_replies(LOST, seed=7)
        crew = Crew(proxy.url, prefix, folder)
        try:
            strike(crew)
            crew.finish()
        finally:
            crew.dismiss()
        assert proxy.stats().dropped["EVALSHA"] > 100

        diary = crew.diaries()
        for upload in range(UPLOADS):
            whole = content(upload)
            session = state.get_session(name(upload))
            assert session is not None
            assert (session["bytes_received"], session["chunks_received"]) == (len(whole), CHUNKS)
            assert session["status"] == "stored"
            stored = (folder / "stored" / str(upload)).read_bytes()
            assert hashlib.sha256(stored).digest() == hashlib.sha256(whole).digest()
        assert state.usage("ann") == (0, 0)
        assert state.expired() == []
        each_chunk_was_accepted_once(diary, crew.killed)
        each_upload_completed_once(diary, crew.killed)
        each_upload_was_assembled_once(diary, crew.killed)


def strike(crew: Crew) -> None:
    """Kill processes at random while there is something to do: most of them early, some in an assembly."""
    chance = random.Random(3)
    deadline = time.monotonic() + PATIENCE
    total = sum(len(deliveries(UPLOADS, rank, PROCESSES)) for rank in range(PROCESSES))
    for strike in range(KILLS):
        wanted = total * (strike + 1) // (KILLS + 1)
        while sum(entry["what"] == "delivered" for entry in crew.diaries()) < wanted:
            assert time.monotonic() < deadline, "they deliver nothing"
            time.sleep(0.01)
        crew.kill(chance.randrange(PROCESSES))
    seen: set[str] = set()
    while not seen and time.monotonic() < deadline:  # one more, who is assembling
        for rank in range(PROCESSES):
            diary = crew.diary(rank)
            if diary and diary[-1]["what"] == "assembling":
                seen.add(diary[-1]["what"])
                crew.kill(rank)
                break
        if all(process.exitcode == 0 for process in crew.running):
            return
        time.sleep(0.002)


def each_chunk_was_accepted_once(diary: list[dict[str, Any]], killed: list[int]) -> None:
    accepted = Counter((entry["upload"], entry["number"]) for entry in diary if entry.get("outcome") == "accepted")
    untold = {(entry["upload"], entry["number"]) for entry in left_undone(diary, killed, "delivering", "delivered")}
    assert set(accepted.values()) == {1}
    everything = {(upload, number) for upload in range(UPLOADS) for number in range(CHUNKS)}
    assert everything - set(accepted) <= untold, "only a killed process may not have heard"


def each_upload_completed_once(diary: list[dict[str, Any]], killed: list[int]) -> None:
    completed = Counter(entry["upload"] for entry in diary if entry.get("completed"))
    untold = {entry["upload"] for entry in left_undone(diary, killed, "delivering", "delivered")}
    assert set(completed.values()) == {1}
    assert set(range(UPLOADS)) - set(completed) <= untold, "only a killed process may not have heard"


def each_upload_was_assembled_once(diary: list[dict[str, Any]], killed: list[int]) -> None:
    begun = Counter(entry["upload"] for entry in diary if entry["what"] == "assembling")
    cut = Counter(entry["upload"] for entry in left_undone(diary, killed, "assembling", "assembled"))
    assert set(begun) == set(range(UPLOADS))
    for upload, times in begun.items():
        assert times <= 1 + cut[upload], f"upload {upload} was assembled {times} times"
    fences = [(entry["upload"], entry["fence"]) for entry in diary if entry["what"] == "assembling"]
    assert len(set(fences)) == len(fences)
