"""Work that must run once: a lock, a record of how it goes, and a fence between its takers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from property_tests.models.base import NO, NOTHING, UNKNOWN, YES, Above, Model, Refused


class Taken(NamedTuple):
    """What taking says: the token, which attempt it is, and the notes that the last taker left."""

    token: Any
    attempt: int
    left: Any = None


@dataclass(frozen=True)
class Claim(Model):
    """``newest`` is the greatest token that the server knows; None where a grant was heard by nobody."""

    state: str | None = None  # of the record: taken, done, failed, released; None: there is none
    holder: str | None = None  # of the lock
    attempts: int = 0
    notes: Any = None  # what takers wrote into the record
    result: Any = None
    newest: int | None = 0
    told: int = 0  # the greatest token that was ever told

    def take(self, said: Any, owner: str, most: int = 3) -> Claim | bool:
        if self.state == "done":
            return said == Refused("AlreadyDone", (self.result,)) and self
        if self.holder is not None:
            return said == Refused("AlreadyClaimed", (self.holder,)) and self
        if self.attempts >= most:
            return said == Refused("AttemptsExhausted", (self.attempts,)) and self
        if said != Taken(Above(self.told), self.attempts + 1, self.notes):
            return False
        token = None if said is UNKNOWN else said.token
        told = max(self.told, token or 0)
        return replace(
            self, state="taken", holder=owner, attempts=self.attempts + 1, result=None, newest=token, told=told
        )

    def update(self, said: Any, token: int, notes: Any) -> Claim | bool:
        """Write notes into the record; False when there is none."""
        if self.state is None:
            return said == NO and self
        if self._stale(token):
            return self._refuses(said)
        return said == YES and replace(self, notes=notes, newest=token)

    def finish(self, said: Any, owner: str, token: int, result: Any) -> Claim | bool:
        return self._refuses(said) if self._stale(token) else said == YES and self._ended("done", owner, token, result)

    def fail(self, said: Any, owner: str, token: int) -> Claim | bool:
        """What is done stays done."""
        if self._stale(token):
            return self._refuses(said)
        if self.state == "done":
            return said == Refused("AlreadyDone", (self.result,)) and self
        return said == YES and self._ended("failed", owner, token)

    def release(self, said: Any, owner: str, token: int) -> Claim | bool:
        """Hand back what was begun: its attempt is not counted. What was not, or has ended, is as it was."""
        if self._stale(token):
            return self._refuses(said)
        if self.state == "done":
            return said == Refused("AlreadyDone", (self.result,)) and self
        if self.state != "taken":
            return said == YES and (replace(self, holder=None) if self.holder == owner else self)
        released = self._ended("released", owner, token)
        return said == YES and replace(released, attempts=max(0, self.attempts - 1))

    def reopen(self, said: Any) -> Claim | bool:
        """Allow as many attempts again, of work that is neither done nor held."""
        if self.state in (None, "done") or self.holder is not None:
            return said == NO and self
        return said == YES and replace(self, attempts=0)

    def look(self, said: Any) -> Claim | bool:
        """Says what the record says: how it goes, and the notes; None when there is none."""
        return said == (None if self.state is None else (self.state, self.notes)) and self

    def leave(self, said: Any, owner: str) -> Claim | bool:
        """Free the lock that a take may have brought that had no answer."""
        return said == NOTHING and (replace(self, holder=None) if self.holder == owner else self)

    def abandon(self, said: Any, owner: str) -> Claim | bool:
        """Give up a take that may have had no answer: it was not begun, so its attempt is not counted."""
        begun = self.holder == owner and self.state == "taken"
        after = replace(self, state="released", attempts=max(0, self.attempts - 1)) if begun else self
        return said == NOTHING and (replace(after, holder=None) if self.holder == owner else after)

    def expire(self, said: Any) -> Claim | bool:
        """The lease ends."""
        return said == NOTHING and replace(self, holder=None)

    def wipe(self, said: Any) -> Claim | bool:
        return said == NOTHING and Claim(told=self.told)

    def _stale(self, token: int) -> bool:
        return self.newest is None or token < self.newest

    def _refuses(self, said: Any) -> Claim | bool:
        newest = Above(self.told) if self.newest is None else self.newest
        if said is UNKNOWN or said != Refused("StaleToken", (newest,)):
            return said is UNKNOWN and self
        return replace(self, newest=said.facts[0], told=max(self.told, said.facts[0]))

    def _ended(self, state: str, owner: str, token: int, result: Any = None) -> Claim:
        holder = None if self.holder == owner else self.holder
        return replace(self, state=state, holder=holder, result=result, newest=token)
