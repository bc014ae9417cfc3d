"""Uploads as old code writes them: whole, in place of what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.engine.op import Op, just
from redis_state.engine.registry import script
from redis_state.mapping.entries import milliseconds
from redis_state.mapping.records import Fence, stale_token
from redis_state.mapping.stored import stored_fields
from redis_state.transfer.records import Transfers
from redis_state.transfer.sessions import session_slots

OVERWRITE = script("upload/overwrite")


class Overwritten(Transfers):
    """Uploads that are put back whole, while others count their chunks."""

    __slots__ = ()

    def _put(
        self,
        name: str,
        value: Mapping[str, Any],
        ttl: float | None,
        fence: Fence,
        owner: str | None,
        expected: str,
    ) -> Op[Any]:
        if expected == "absent":
            return super()._put(name, value, ttl, fence, owner, expected)
        token, guard = self._fenced(name, fence)
        call = OVERWRITE(
            **session_slots(self, name),
            guard=guard,
            ttl_ms=milliseconds(self.ttl if ttl is None else ttl),
            owner=self._owner() if owner is None else owner,
            token=token,
            expected=expected,
            fields=stored_fields(name, value),
        )
        return call.meaning(written=int, changed=just(None), stale=stale_token(name, token))
