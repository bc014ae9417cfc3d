"""The names that uploads had before, over the data of ``upload_state``: old code and new code share each upload.

Each use of an old name warns once for each line that uses it, and names its replacement. Old code writes uploads as
dicts, whole or field by field; once anything was counted by new code, sizes and counts are what they are, whatever is
written. All that is only for old code is in this module and its scripts (upload/overwrite, upload/add).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any, NoReturn

from redis_state.codec import decode
from redis_state.config import container_id as own_container_id
from redis_state.durations import ttl_ms
from redis_state.engine.binding import Binding
from redis_state.engine.engine import Engine
from redis_state.engine.given import takes_engine
from redis_state.engine.op import Op, just
from redis_state.engine.operation import Operation, ScriptOp, operation, raises
from redis_state.mapping import Record, RecordMapping
from redis_state.mapping.namespace import Namespace
from redis_state.mapping.record_format import stored_fields, stored_number
from redis_state.mapping.record_operations import CREATE, DEFAULT, Fence, stale_token
from redis_state.transfer.records import TransferOperations
from redis_state.transfer.sessions import COMPANIONS, NAMESPACE, TTL

# --- operations ---------------------------------------------------------------------------------------

COUNTS = frozenset({"bytes_received", "chunks_received", "total_size", "total_chunks", "chunk_size"})


def _unset(call: ScriptOp[Any]) -> NoReturn:
    raise KeyError(call["field"])


def _no_number(call: ScriptOp[Any], _: bytes) -> NoReturn:
    raise TypeError(f"[{call['name']!r}][{call['field']!r}] is no number, so nothing can be added to it")


OVERWRITE = operation(
    "upload/overwrite",
    written=lambda call, version: True if call["expected"] == "present" else int(version),
    missing=just(False),
    changed=just(None),
    stale=stale_token,
)
ADD = operation(
    "upload/add",
    counted=lambda _, number: decode(number),
    missing=raises(KeyError),
    unset=_unset,
    no_number=_no_number,
)


class OverwritingUploads(TransferOperations):
    """Uploads that are put back, while others count their chunks."""

    __slots__ = ()

    def _put(
        self,
        put: Operation,
        name: str,
        value: Mapping[str, Any],
        ttl: float | None,
        fence: Fence,
        owner: str | None,
        expected: str,
    ) -> Op[Any]:
        if put in (CREATE, DEFAULT):
            return super()._put(put, name, value, ttl, fence, owner, expected)
        return self._overwrite(name, value, self.ttl if ttl is None else ttl, fence, owner, expected)

    def patch(self, name: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> Op[bool]:
        return self._overwrite(name, fields, ttl, fence, None, "present")

    def _overwrite(
        self, name: str, fields: Mapping[str, Any], ttl: float | None, fence: Fence, owner: str | None, expected: str
    ) -> Op[Any]:
        return OVERWRITE(
            self.keys,
            name,
            **self._fenced(name, fence),
            ttl_ms=0 if ttl is None else ttl_ms(ttl),
            owner=self._owner() if owner is None else owner,
            expected=expected,
            whole=int(expected != "present"),
            fields=stored_fields(name, fields),
        )

    def increment(
        self, name: str, field: str, by: float = 1, *, fence: Fence = None, create: bool = True
    ) -> Op[int | float]:
        if field not in COUNTS or fence is not None:
            return super().increment(name, field, by, fence=fence, create=create)
        return ADD(
            self.keys,
            name,
            ttl_ms=self.ttl_ms,
            owner=self._owner(),
            field=field,
            by=stored_number(name, field, by),
            create=int(create),
        )

    def unset(self, name: str, field: str) -> Op[Any]:
        if field in COUNTS:
            raise ValueError(f"{name!r}: {field}: counted by what arrives, so not to be taken away")
        return super().unset(name, field)


# --- the old names ------------------------------------------------------------------------------------

REPLACEMENTS = {
    "active_uploads": "upload_state.create_session, get_session, update_session and delete_session",
    "upload_progress": "upload_state.accept_chunk, which counts, and get_session, which tells",
}
_warned: set[tuple[str, int, str]] = set()


def _warn(name: str, depth: int) -> None:
    """Warn the code ``depth`` frames above, once for each line."""
    frame = sys._getframe(depth)
    place = frame.f_code.co_filename, frame.f_lineno, name
    if place not in _warned:
        text = f"{name} is deprecated; use {REPLACEMENTS[name]} (from redis_state.state import upload_state)"
        warnings.warn(text, DeprecationWarning, stacklevel=depth + 1)
        _warned.add(place)


class UploadProgress(MutableMapping[str, Record]):
    """Progress of each upload: the same records, seen by what has arrived.

    Assigning merges fields into the upload's record, and makes one where there is none. Deleting takes
    nothing away, since progress ends with its upload.
    """

    def __init__(self, uploads: RecordMapping) -> None:
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
        takes_engine(self, engine)
        self._container_id = container_id
        uploads = partial(OverwritingUploads, owner=partial(own_container_id, container_id), companions=COMPANIONS)
        made = Namespace(uploads, NAMESPACE, TTL if ttl is None else ttl)
        self._uploads: RecordMapping = RecordMapping._of(Binding(engine, made), made)
        self._progress = UploadProgress(self._uploads)

    @property
    def container_id(self) -> str:
        """The owner of what is created here."""
        return own_container_id(self._container_id)

    @property
    def active_uploads(self) -> RecordMapping:
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
