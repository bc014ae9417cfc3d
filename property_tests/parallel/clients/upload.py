"""An upload, and its assembly."""

from __future__ import annotations

from typing import Any

from property_tests.models import Call, Receipt, Taken, Upload
from property_tests.parallel.clients.base import LONG
from property_tests.parallel.clients.claim import ClaimClient
from redis_state.state import RedisUploadState


class UploadClient(ClaimClient):
    """One upload of chunks of 8 bytes, and its assembly."""

    model = Upload(8)
    final_reads = (Call("look"), Call("missing"))

    @property
    def uploads(self) -> RedisUploadState:
        """Return an object that has seen no upload yet: what it says is about whatever is there."""
        return RedisUploadState(self.name, self.engine)

    def create(self, total: int | None = None) -> bool:
        self.uploads.create_session({"upload_id": "u", "total_size": total, "chunk_size": 8})
        return True

    def accept(self, arrived: tuple[tuple[int, int, str | None], ...]) -> Any:
        return tuple(_receipt(found) for found in self.uploads.accept_chunks("u", arrived))

    def declare(self, total: int) -> Receipt:
        return _receipt(self.uploads.declare_size("u", total))

    def abort(self) -> bool:
        return self.uploads.abort("u")

    def take(self, owner: str) -> Taken:
        state = RedisUploadState(owner, self.engine)
        self.taken(owner, state.claim_assembly("u", lease=LONG, backoff=0, auto_renew=False))
        return Taken(self.claim.fence, self.claim.attempt)

    def look(self) -> Any:
        found = self.uploads.get_session("u")
        return found and (int(found["bytes_received"]), int(found["chunks_received"]), found.copy()["total_size"])

    def missing(self) -> Any:
        return tuple(number for gap in self.uploads.missing("u") for number in gap)

    def expire(self) -> None:
        self.direct.delete(self.engine.keys("upload").key("lock", "u"))


def _receipt(found: Any) -> Receipt:
    counts = found.bytes_received, found.chunks_received, found.total_chunks
    return Receipt(found.outcome, *counts, found.complete, found.completed_now)
