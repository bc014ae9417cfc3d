"""Redis in a container, where the tests expect a program: ``TEST_SERVERS=container`` lets them run on it unchanged.

The image is ``REDIS_IMAGE``. Clients come over the published port, or over the unix socket: the server's directory is
the same inside and outside, and so its data survive it.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import subprocess
import time
import warnings
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any

IMAGE = os.environ.get("REDIS_IMAGE", "redis:7-alpine")
PORT = 6379
ASKED = os.environ.get("TEST_SERVERS") == "container"


@cache
def why_not() -> str:
    """Say why there can be no containers; '' when there can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # where nobody answers, docker leaves its socket open
        try:
            return _trouble()
        finally:
            gc.collect()


def _trouble() -> str:
    try:
        import docker
        from testcontainers.community.redis import RedisContainer  # noqa: F401
    except ImportError as error:
        return f"testcontainers is not installed: {error}"
    try:
        with closing(docker.from_env(timeout=10)) as client:
            client.ping()
    except docker.errors.DockerException as error:
        return f"no container engine answers: {error}"
    return ""


@dataclass(frozen=True, slots=True)
class Image:
    """A server to be run from an image; see ``servers.Binary``."""

    path: str = IMAGE
    version: str = IMAGE

    def listens(self, _: int | None) -> dict[str, object]:
        return {"port": PORT, "bind": "0.0.0.0", "protected-mode": "no"}

    def spawn(self, words: list[str], directory: str, port: int | None) -> Container:
        return Container(self.path, words, directory, port)


class Container:
    """A running container, with the methods of a ``subprocess.Popen``."""

    pid = 1  # inside

    def __init__(self, image: str, words: list[str], directory: str, port: int | None) -> None:
        from testcontainers.community.redis import RedisContainer

        ours = {"user": f"{os.getuid()}:{os.getgid()}", "entrypoint": "redis-server"}  # what it writes, we may remove
        self._container = RedisContainer(image, port=PORT, **ours)
        self._container.with_volume_mapping(directory, directory, "rw").with_bind_ports(PORT, port)
        self._container.with_command([*words, "--logfile", f"{directory}/log"])
        self._container.waiting_for(None)  # `Server.start` waits, and sees when it ends at once
        self._container.start()
        atexit.register(self._container.stop)
        self._inside: Any = self._container.get_wrapped_container()
        self._code: int | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where other containers find it."""
        self._inside.reload()
        networks = self._inside.attrs["NetworkSettings"]["Networks"]
        return next(network["IPAddress"] for network in networks.values()), PORT

    def poll(self) -> int | None:
        if self._code is None:
            self._inside.reload()
            if self._inside.status in ("exited", "dead"):
                self._code = int(self._inside.attrs["State"]["ExitCode"])
                atexit.unregister(self._container.stop)
                self._container.stop()
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        from docker.errors import APIError

        try:
            self._inside.kill(number.name)
        except APIError:
            if self.poll() is None:  # it has not ended meanwhile
                raise

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 30.0) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self._inside.name, timeout)
            time.sleep(0.01)
        return code
