"""The records of transfers, as operations: all of a namespace lie in one slot, and some fields are protected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis_state.engine.op import Op, just
from redis_state.engine.operation import operation
from redis_state.keys import Keys
from redis_state.mapping.generations import GenerationRecords
from redis_state.mapping.record_format import Snapshot, snapshot, stored_fields
from redis_state.mapping.record_operations import Fence, stale_token
from redis_state.transfer.fields import bounded

REMOVE = operation("transfer/remove", removed=just(True), missing=just(False), stale=stale_token)
POP = operation(
    "transfer/remove",
    removed=lambda call, flat: snapshot(call["name"], flat),
    missing=just(None),
    stale=stale_token,
)


class TransferOperations(GenerationRecords):
    """Records that are counted: to remove one gives back what it reserves. They lie in one slot, for one instant.

    ``protected`` are the fields that the scripts count in: applications only read them. ``tracks_dead``: those that
    die are told by name.
    """

    __slots__ = ("protected", "tracks_dead")

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[str] = (),
        *,
        protected: frozenset[str] = frozenset(),
        tracks_dead: bool = True,
    ) -> None:
        super().__init__(one_slot(keys), ttl, owner, companions)
        self.protected = protected
        self.tracks_dead = tracks_dead

    def remove(self, name: str, *, fence: Fence = None) -> Op[bool]:
        return REMOVE(self.keys, name, companions=self._companions, **self._fenced(name, fence))

    def pop(self, name: str) -> Op[Snapshot | None]:
        return POP(self.keys, name, companions=self._companions, token="")

    def _check_write(self, name: str, fields: Mapping[str, Any] | None) -> None:
        if fields is None:
            raise TypeError(f"{name!r}: begun by create_session, and then written field by field: patch, increment")
        wrong = sorted(self.protected.intersection(fields))
        if wrong:
            raise ValueError(f"{name!r}: {', '.join(wrong)}: counted by what arrives, so not to be written")
        bounded(name, stored_fields(name, fields))


def one_slot(keys: Keys) -> Keys:
    """Return keys like these, that all lie in one slot."""
    return Keys(keys.namespace, prefix=keys.prefix)
