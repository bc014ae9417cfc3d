"""Where the bytes of an upload lie: in ``parts`` while they arrive, in ``done`` when all are there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

ID = re.compile("[A-Za-z0-9_-]{1,64}")


class NoSuchId(ValueError):
    """A text that names no upload."""


def checked(uid: str) -> str:
    """Return an id that is safe to be the name of a file; ``NoSuchId`` for any other text."""
    if not ID.fullmatch(uid):
        raise NoSuchId(f"{uid[:64]!r} is no id of an upload: 1 to 64 letters, digits, _ and -")
    return uid


class Files:
    """The files of all uploads. Everything here may be said twice."""

    def __init__(self, directory: Path) -> None:
        self._parts, self._done = directory / "parts", directory / "done"
        for folder in (self._parts, self._done):
            folder.mkdir(parents=True, exist_ok=True)

    def part(self, uid: str) -> Path:
        """Return where the bytes of an upload lie while they arrive."""
        return self._parts / checked(uid)

    def done(self, uid: str) -> Path:
        """Return where a stored upload lies."""
        return self._done / checked(uid)

    def size(self, uid: str) -> int | None:
        """Tell how many bytes a stored upload has; None when it is not stored."""
        try:
            return self.done(uid).stat().st_size
        except FileNotFoundError:
            return None

    def write(self, uid: str, offset: int, data: bytes) -> None:
        """Write bytes where they belong; they are on the disk when this returns.

        Only the first bytes make the file: a file that was removed, because its upload was deleted, stays so, and
        the writer gets ``FileNotFoundError``. Whatever lies behind the offset that Redis knows counts for nothing:
        a process that was killed left it there.
        """
        file = os.open(self.part(uid), os.O_WRONLY | (os.O_CREAT if offset == 0 else 0), 0o644)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, offset)
                offset, view = offset + written, view[written:]
            os.fdatasync(file)
        finally:
            os.close(file)

    def cut(self, uid: str, size: int) -> None:
        """Give the room back that lies behind the first ``size`` bytes of an upload."""
        part = self.part(uid)
        if size == 0:
            part.unlink(missing_ok=True)
        elif part.exists() and part.stat().st_size > size:
            os.truncate(part, size)

    def store(self, uid: str, size: int) -> None:
        """Move a complete upload to its place."""
        part, done = self.part(uid), self.done(uid)
        try:
            os.truncate(part, size)
            part.replace(done)
        except FileNotFoundError:  # stored before, or empty
            if size == 0:
                done.touch()
            elif not done.exists():
                raise

    def discard(self, uid: str, *, stored: bool = False) -> None:
        """Remove the bytes of an upload that did not come to its end; ``stored``: those of any."""
        self.part(uid).unlink(missing_ok=True)
        if stored:
            self.done(uid).unlink(missing_ok=True)

    def idle(self, seconds: float) -> Iterator[str]:
        """List the uploads that are not stored, and that nothing was written to for so long."""
        before = time.time() - seconds
        with os.scandir(self._parts) as entries:
            for entry in entries:
                if ID.fullmatch(entry.name) and entry.stat().st_mtime <= before:
                    yield entry.name
