"""One lock, and a record that is written under its fencing tokens.

An owner is one acquisition. Who holds the lock may lose it (``expire``: its lease ends), and writes on: then its token
is refused as soon as there is a newer one. ``newest`` is None where a grant was heard by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from property_tests.models.base import NOTHING, UNKNOWN, YES, Above, Model, Refused

LOST = Refused("LockLost")


@dataclass(frozen=True)
class Lock(Model):
    holder: str | None = None
    newest: int | None = 0  # the greatest token that the server knows, of grants and of writes
    told: int = 0  # the greatest that was ever told

    def acquire(self, said: Any, owner: str) -> Lock | bool:
        """Try once; says the token, or None."""
        if self.holder is not None:
            return said == NOTHING and self
        token = None if said is UNKNOWN else said
        return said == Above(self.told) and Lock(owner, token, max(self.told, token or 0))

    def renew(self, said: Any, owner: str) -> Lock | bool:
        return said == (True if self.holder == owner else LOST) and self

    def release(self, said: Any, owner: str) -> Lock | bool:
        if self.holder != owner:
            return said == LOST and self
        return said == YES and replace(self, holder=None)

    def leave(self, said: Any, owner: str) -> Lock | bool:
        """Free what an acquisition may have brought that had no answer."""
        return said == NOTHING and (replace(self, holder=None) if self.holder == owner else self)

    def write(self, said: Any, token: int) -> Lock | bool:
        """Write the record with this token."""
        if self.newest is None:  # somebody else's, who got it later
            return said == Refused("StaleToken", (Above(self.told),)) and self._learns(said)
        if token < self.newest:
            return said == Refused("StaleToken", (self.newest,)) and self
        return said == YES and replace(self, newest=token)

    def inspect(self, said: Any) -> Lock | bool:
        """Says holder and token, or None."""
        if self.holder is None:
            return said == NOTHING and self
        token = Above(self.told) if self.newest is None else self.newest
        if said is UNKNOWN or said != (self.holder, token):
            return said is UNKNOWN and self
        return Lock(self.holder, said[1], max(self.told, said[1]))

    def expire(self, said: Any) -> Lock | bool:
        return said == NOTHING and replace(self, holder=None)

    def wipe(self, said: Any) -> Lock | bool:
        return said == NOTHING and Lock(told=self.told)

    def _learns(self, said: Any) -> Lock:
        if said is UNKNOWN:
            return self
        (newest,) = said.facts
        return replace(self, newest=newest, told=max(self.told, newest))
