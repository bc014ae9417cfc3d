"""Processes of the example tus server, and how tests speak to them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support import ROOT

pytest.importorskip("starlette")
requests = pytest.importorskip("requests")

PATIENCE = 60.0  # seconds
PREFIX = "t"
OWN_PREFIX = f"{PREFIX}:tus"  # of all keys of the server
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


class Fleet:
    """Processes of the server, and where they listen. ``words`` are more of its command line."""

    def __init__(
        self, redis_url: str, directory: Path, size: int = 3, words: tuple[str, ...] = (), **environ: str
    ) -> None:
        self.directory, self.redis_url = directory, redis_url
        self._environ = {**os.environ, "REDIS_URL": redis_url, "REDIS_STATE_PREFIX": PREFIX, **environ}
        self._words = words
        self.ports = [free_port() for _ in range(size)]
        self.processes = [self._start(port) for port in self.ports]
        for port in self.ports:
            self.await_answer(port)

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "examples.tus_server", "--port", str(port), "--dir", str(self.directory)]
        return subprocess.Popen([*command, *self._words], cwd=ROOT, env=self._environ)

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

    def part(self, url: str) -> Path:
        """Return where the bytes of an upload lie until it is complete."""
        return self.directory / "parts" / uid(url)

    def on_disk(self) -> int:
        """Count the bytes of all files."""
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def uid(url: str) -> str:
    return url.rpartition("/")[2]


def moved(url: str, to: str) -> str:
    """Return the upload's URL at another process."""
    return f"{to}/{uid(url)}"


def fetched(fleet: Fleet, url: str) -> bytes:
    """Fetch a file from some process. It is stored when its last part is answered, unless that process was killed."""
    found: list[bytes] = []

    def there() -> bool:
        answer = requests.get(moved(url, fleet.url()), timeout=10)
        found.append(answer.content)
        return bool(answer.status_code == 200)

    until(there)
    return found[-1]


def made(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def post(fleet: Fleet, **headers: str) -> Any:
    """Ask for a new upload; names of headers are written with ``_``."""
    return requests.post(fleet.url(0), headers=TUS | written(headers), timeout=10)


def create(fleet: Fleet, size: int | None = 10, **headers: str) -> str:
    length = {"Upload_Defer_Length": "1"} if size is None else {"Upload_Length": str(size)}
    answer = post(fleet, **length, **headers)
    assert answer.status_code == 201, answer.text
    return moved(answer.headers["Location"], fleet.url(-1))


def patch(url: str, offset: int, data: bytes | Iterator[bytes], **headers: str) -> Any:
    sent = {**PATCH, "Upload-Offset": str(offset), **written(headers)}
    kept = {name: value for name, value in sent.items() if value}
    return requests.patch(url, data=data, headers=kept, timeout=PATIENCE)


def head(url: str) -> Any:
    return requests.head(url, headers=TUS, timeout=10)


def delete(url: str) -> Any:
    return requests.delete(url, headers=TUS, timeout=10)


def get(url: str) -> Any:
    return requests.get(url, timeout=10)


def offset_of(url: str) -> int:
    return int(head(url).headers["Upload-Offset"])


def written(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def begun(url: str, size: int, sent: bytes, **headers: str) -> socket.socket:
    """Begin a PATCH of ``size`` bytes at offset 0, send the first ones, and leave the connection open."""
    host, port = url.split("/")[2].split(":")
    lines = [f"PATCH /files/{uid(url)} HTTP/1.1", f"Host: {host}", f"Content-Length: {size}", "Upload-Offset: 0"]
    lines += [f"{name}: {value}" for name, value in (PATCH | written(headers)).items()]
    line = socket.create_connection((host, int(port)))
    line.sendall("\r\n".join([*lines, "", ""]).encode() + sent)
    return line
