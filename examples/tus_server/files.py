"""Where the bytes of an upload lie: in ``parts`` while they arrive, in ``done`` when all are there."""

from __future__ import annotations

import os
from pathlib import Path


class Files:
    """The files of all uploads. Everything here may be said twice."""

    def __init__(self, directory: Path) -> None:
        self._parts, self._done = directory / "parts", directory / "done"
        for folder in (self._parts, self._done):
            folder.mkdir(parents=True, exist_ok=True)

    def done(self, uid: str) -> Path:
        """Return where a stored upload lies."""
        return self._done / uid

    def write(self, uid: str, offset: int, data: bytes) -> None:
        """Write bytes where they belong; they are on the disk when this returns.

        What lies behind the offset that Redis knows is nobody's: a process that was killed left it there.
        """
        file = os.open(self._parts / uid, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, offset)
                offset, view = offset + written, view[written:]
            os.fdatasync(file)
        finally:
            os.close(file)

    def store(self, uid: str, size: int) -> None:
        """Move a complete upload to its place."""
        part = self._parts / uid
        if part.exists():
            os.truncate(part, size)
            part.replace(self.done(uid))
        elif size == 0:
            self.done(uid).touch()

    def discard(self, uid: str) -> None:
        """Remove what is there of an upload."""
        (self._parts / uid).unlink(missing_ok=True)
