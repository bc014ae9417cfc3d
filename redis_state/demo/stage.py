"""Where a run takes place: a folder and a server, both gone afterwards if they were ours."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from redis_state import Engine
from redis_state.config import Server, Settings, parse_url
from redis_state.engine import embedded
from redis_state.engine.connection import Connection
from redis_state.engine.op import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PATIENCE = 3.0  # seconds a server of yours has to answer at the start
ENDING = 3.0  # seconds an embedded server has to end


@dataclass(frozen=True, slots=True)
class Stage:
    """``url`` is what the workers connect to, ``server`` the same address for a bare connection."""

    folder: Path
    url: str
    server: Server

    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """Yield a bare connection, to compare the engine with."""
        channel = Connection(Settings())
        try:
            if error := channel.connect(self.server, end=time.monotonic() + 2.0):
                raise error
            yield channel
        finally:
            channel.close()


@contextmanager
def stage(url: str, keep: Path | None) -> Iterator[Stage]:
    """Provide a folder, and the server of ``url`` (started if it is an embedded one). Nothing stops the tidying up."""
    address = parse_url(url, said_by="--url or REDIS_URL")
    folder = Path(tempfile.mkdtemp(prefix="redis-state-demo-")) if keep is None else keep
    folder.mkdir(parents=True, exist_ok=True)
    server = None
    try:
        if address.kind == "embedded":
            server = embedded.start(address.path or None)
            yield Stage(folder, f"embedded://{quote(server.directory)}", Server("unix", path=server.socket_path))
        else:
            with Engine.from_url(url, deadline=PATIENCE) as engine:
                engine.run(command(None, "PING", read=bool))
            yield Stage(folder, url, address)
    finally:
        with undisturbed():
            if server is not None:
                server.close()
                _wait_until_gone(Path(server.socket_path))
            if keep is None:
                shutil.rmtree(folder, ignore_errors=True)


def _wait_until_gone(path: Path) -> None:
    """Give a server that has lost its last user the time to end; one that has others goes on."""
    deadline = time.monotonic() + ENDING
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def forget(engine: Engine, prefix: str) -> None:
    """Delete every key of this run from a server that lives on."""
    cursor = "0"
    while True:
        cursor, keys = engine.run(command(None, "SCAN", cursor, "MATCH", f"{prefix}:*", "COUNT", 1000, read=tuple))
        if keys:
            engine.run(command(None, "UNLINK", *keys, read=int))
        if int(cursor) == 0:
            return


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM inside the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block as an exception, so that everything is tidied up. The exit code is 143."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
