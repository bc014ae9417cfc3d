"""The names that uploads had before, over the data of ``upload_state``: old code and new code share each upload.

Each use of an old name warns once for each line that uses it, and names its replacement.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from redis_state.config import container_id as own_container_id
from redis_state.engine.run import Engine
from redis_state.mapping import Record
from redis_state.transfer.legacy import Overwritten
from redis_state.transfer.records import TransferMapping
from redis_state.transfer.sessions import COMPANIONS, NAMESPACE, TTL

REPLACEMENTS = {
    "active_uploads": "upload_state.create_session, get_session, update_session and delete_session",
    "upload_progress": "upload_state.accept_chunk, which counts, and get_session, which tells",
}
_warned: set[tuple[str, int, str]] = set()


def _warn(name: str, depth: int) -> None:
    """Warn whoever is ``depth`` frames above, once for each line."""
    frame = sys._getframe(depth)
    place = frame.f_code.co_filename, frame.f_lineno, name
    if place not in _warned:
        text = f"{name} is deprecated; use {REPLACEMENTS[name]} (from redis_state.state import upload_state)"
        warnings.warn(text, DeprecationWarning, stacklevel=depth + 1)
        _warned.add(place)


class UploadProgress(MutableMapping[str, Record]):
    """How far each upload is: the same records, seen by what has arrived.

    Assigning merges fields into the upload's record, and makes one where there is none. Deleting takes
    nothing away, since progress ends with its upload.
    """

    def __init__(self, uploads: TransferMapping) -> None:
        self._uploads = uploads

    def __getitem__(self, upload_id: str) -> Record:
        return self._uploads[upload_id]

    def __setitem__(self, upload_id: str, progress: Mapping[str, Any]) -> None:
        while not self._uploads.patch(upload_id, progress):
            if self._uploads.engine.run(self._uploads.entries.create(upload_id, progress)):
                return

    def __delitem__(self, upload_id: str) -> None:
        """Take nothing away."""

    def pop(self, upload_id: str, *default: Any) -> Any:
        """Return how far the upload is, and take nothing away."""
        try:
            return self._uploads[upload_id].copy()
        except KeyError:
            if default:
                return default[0]
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._uploads)

    def __len__(self) -> int:
        return len(self._uploads)

    def __repr__(self) -> str:
        return f"<UploadProgress of {self._uploads!r}>"


class LegacyUploadState:
    """Uploads by their old names. What old code counts itself is not checked; what new code counts is seen here."""

    def __init__(self, container_id: str | None = None, engine: Engine | None = None, ttl: float | None = None) -> None:
        self._uploads = TransferMapping(
            NAMESPACE,
            ttl=TTL if ttl is None else ttl,
            engine=engine,
            container_id=container_id,
            companions=COMPANIONS,
            kind=Overwritten,
        )
        self._progress = UploadProgress(self._uploads)

    @property
    def container_id(self) -> str:
        """Who owns what is created here."""
        return self._uploads.container_id or own_container_id()

    @property
    def active_uploads(self) -> TransferMapping:
        """Upload id -> its record."""
        _warn("active_uploads", 2)
        return self._uploads

    @property
    def upload_progress(self) -> UploadProgress:
        """Upload id -> how far it is."""
        _warn("upload_progress", 2)
        return self._progress


legacy_upload_state = LegacyUploadState()


def __getattr__(name: str) -> Any:
    """Give the dicts as names of the module, too."""
    if name not in REPLACEMENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _warn(name, 2)
    return legacy_upload_state._uploads if name == "active_uploads" else legacy_upload_state._progress
