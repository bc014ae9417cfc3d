"""Servers whose wall clock a test can step, forward and back, while they run.

libfaketime (the Debian package ``faketime``) stands between the server and the kernel: ``TIME``, expiry and leases go
by the clock that is told, waiting goes on by the monotonic one.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import redis

from tests.support.servers import Binary, Program, Server, available

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def steppable() -> dict[str, Binary]:
    """The servers of this machine whose clock can be stepped, by name: none where libfaketime is missing."""
    return {name: program for name, program in available().items() if not why_not(program)}  # type: ignore[misc]


@cache
def why_not(program: Program) -> str:
    """Say why the clock of this server cannot be stepped; empty where it can."""
    if _LIBRARY is None:
        return "libfaketime is missing: install the package faketime"
    if not isinstance(program, Binary):
        return "the clock of a container is its engine's"
    try:  # a server of Debian asks for the time before libfaketime is ready, and hangs
        asked = [program.path, "--version"]
        ran = subprocess.run(asked, env=_environment("/dev/null"), capture_output=True, timeout=3, check=False)
    except subprocess.TimeoutExpired:
        return f"{program.version} does not start under libfaketime"
    return "" if ran.returncode == 0 else f"{program.version} does not start under libfaketime"


class SteppedServer(Server):
    """A server with a clock of its own: right when it starts, and stepped as it is told."""

    def __init__(self, binary: Binary | None = None, **settings: str | int | bool) -> None:
        found = binary or next(iter(steppable().values()))
        super().__init__(found, **settings)  # type: ignore[arg-type]
        self._file = Path(self.directory, "clock")
        self.binary = replace(found, environment=tuple(_environment(str(self._file)).items()))
        self._ahead = 0.0
        self.set_clock(0.0)

    def step(self, seconds: float) -> None:
        """Put the clock forward by so many seconds; back by a negative number."""
        self.set_clock(self._ahead + seconds)

    def set_clock(self, ahead: float) -> None:
        """Put the clock ahead of the machine's by so many seconds; behind it by a negative number, right by 0."""
        self._ahead = ahead
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead:+.6f}\n")
        new.replace(self._file)  # the server reads it again with each look at its clock
        if self.running:
            self._see(ahead)

    def _see(self, ahead: float) -> None:
        """Wait until the server goes by the new time, 2 s at most; one that is frozen will when it goes on."""
        until = time.monotonic() + 2.0
        with suppress(redis.RedisError), self.client(socket_timeout=1.0) as client:
            while abs(client.time()[0] - time.time() - ahead) > 3.0 and time.monotonic() < until:
                time.sleep(0.01)


def _environment(file: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": file,
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
