"""Fencing tokens: the values of ``fence=``, and the key of the lock's last token. Pure."""

from __future__ import annotations

from typing import Protocol

from redis_state.engine.op import Word
from redis_state.keys import Keys


class Holder(Protocol):
    """Holder of a lock: the token of its lease, and the key of the lock's last token."""

    @property
    def fence(self) -> int: ...
    @property
    def fence_key(self) -> str: ...


Fence = int | Holder | None


def fenced(keys: Keys, name: str, fence: int | Holder) -> dict[str, Word]:
    """Return the slots of a token: the token, and the key of its lock's last one. ``ValueError`` for another hash slot.

    A bare token is taken for one of the lock that is named like the record.
    """
    if isinstance(fence, int):
        _check(fence)
        return {"token": fence}
    token, key = fence.fence, fence.fence_key
    _check(token)
    if not key.startswith(keys.of(name).head):
        raise ValueError(
            f"{name!r}: the token of its lock lies at {key}, and would have to lie beside {keys.key('fence', name)} to "
            f"be compared in the step that writes; name the lock {name!r}, in the record's namespace, or pass the bare "
            f"token (fence=held.fence), which is compared with those that came with writes alone"
        )
    return {"token": token, "fence": key}


def _check(token: int) -> None:
    if isinstance(token, bool) or not 0 < token < 2**53:
        raise ValueError(f"fence={token!r}: a token is a whole number from 1 to 2**53")
