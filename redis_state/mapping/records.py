"""Records, as operations: a hash per entry, a field per item. Pure.

A write names the fields it means, so writers of different fields never undo each other; a number is
added to where it lies. ``fence`` is a fencing token, or the holder of a lock that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import random
from typing import Any, NamedTuple, NoReturn, Protocol

from redis_state.codec import decode
from redis_state.engine.op import Op, Plan, Together, Word, command, do, just, pause, raises, reader_about
from redis_state.engine.registry import script
from redis_state.errors import NotApplied, StaleToken
from redis_state.keys import Keys
from redis_state.mapping.entries import Entries, milliseconds
from redis_state.mapping.frozen import thaw
from redis_state.mapping.stored import Snapshot, snapshot, stored_fields, stored_name, stored_number

PUT = script("record/put")
PATCH = script("record/patch")
INCREMENT = script("record/increment")
FILL = script("record/fill")
UNSET = script("record/unset")
REMOVE = script("record/remove")
POP = script("record/pop")
TOUCH = script("record/touch")

MUTATE_TRIES = 200


class Holder(Protocol):
    """Whoever holds a lock: the token of its lease, and the lock's name."""

    @property
    def fence(self) -> int: ...
    @property
    def name(self) -> str: ...


Fence = int | Holder | None


class Write(NamedTuple):
    """What a write is about."""

    name: str
    token: Word
    field: str = ""
    by: float = 0


class Records(Entries[Snapshot]):
    """The records of one namespace. ``companions`` make the keys that live and die with a record."""

    __slots__ = ("_companions", "_owner")

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[Callable[[str], str]] = (),
    ) -> None:
        super().__init__(keys, ttl)
        self._owner = owner
        self._companions = companions

    def entry(self, name: str) -> str:
        return self.keys.record(name)

    def get(self, name: str) -> Op[Snapshot | None]:
        return command("HGETALL", self.entry(name), read=lambda flat: snapshot(name, flat))

    def get_some(self, names: Sequence[str]) -> Op[list[Snapshot | None]]:
        return Together(
            [("HGETALL", self.entry(name)) for name in names], lambda flats: list(map(snapshot, names, flats))
        )

    def put(
        self,
        name: str,
        value: Mapping[str, Any],
        *,
        ttl: float | None = None,
        fence: Fence = None,
        owner: str | None = None,
    ) -> Op[int]:
        """Write an entry whole, in place of what is there. Returns its version."""
        return self._put(name, value, ttl, fence, owner, "")

    def create(
        self, name: str, value: Mapping[str, Any], *, ttl: float | None = None, owner: str | None = None
    ) -> Op[bool]:
        return self._put(name, value, ttl, None, owner, "absent")

    def put_if_version(
        self, name: str, value: Mapping[str, Any], version: int, *, ttl: float | None = None, fence: Fence = None
    ) -> Op[int | None]:
        """Write an entry whole if its version is still this one. Returns the new version, else None."""
        return self._put(name, value, ttl, fence, None, str(version))

    def _put(
        self,
        name: str,
        value: Mapping[str, Any],
        ttl: float | None,
        fence: Fence,
        owner: str | None,
        expected: str,
    ) -> Op[Any]:
        token, guard = self._fenced(name, fence)
        call = PUT(
            **self._slots(name),
            guard=guard,
            ttl_ms=self.ttl_ms if ttl is None else milliseconds(ttl),
            owner=self._owner() if owner is None else owner,
            token=token,
            expected=expected,
            fields=stored_fields(name, value),
        )
        return call.read_by(partial(_CREATED if expected == "absent" else _WRITTEN, Write(name, token)))

    def patch(self, name: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> Op[bool]:
        """Merge fields into an entry that exists. False, and nothing created, when there is none."""
        token, guard = self._fenced(name, fence)
        call = PATCH(
            **self._slots(name),
            guard=guard,
            ttl_ms=0 if ttl is None else milliseconds(ttl),
            token=token,
            fields=stored_fields(name, fields),
        )
        return call.read_by(partial(_PATCHED, Write(name, token)))

    def increment(
        self, name: str, field: str, by: float = 1, *, fence: Fence = None, create: bool = True
    ) -> Op[int | float]:
        """Add to a number. What is missing is created at 0, or a ``KeyError`` unless ``create``."""
        token, guard = self._fenced(name, fence)
        call = INCREMENT(
            **self._slots(name),
            guard=guard,
            ttl_ms=self.ttl_ms,
            owner=self._owner(),
            token=token,
            field=stored_name(field),
            by=stored_number(name, field, by),
            create=int(create),
        )
        return call.read_by(partial(_ADDED, Write(name, token, field, by)))

    def fill(self, name: str, field: str, value: Any) -> Op[tuple[bool, Any]]:
        """Set a field if the entry has none such. Returns whether it did, and the field's value now."""
        (stored, encoded) = stored_fields(name, {field: value})
        call = FILL(**self._slots(name), field=stored, value=encoded)
        return call.meaning(
            filled=just((True, value)), was=lambda raw: (False, decode(raw)), missing=raises(KeyError, name)
        )

    def unset(self, name: str, field: str) -> Op[Any]:
        """Take a field out. Returns what it held; ``KeyError`` when it, or the entry, is not there."""
        call = UNSET(**self._slots(name), field=stored_name(field))
        return call.meaning(was=decode, unset=raises(KeyError, field), missing=raises(KeyError, name))

    def remove(self, name: str, *, fence: Fence = None) -> Op[bool]:
        token, guard = self._fenced(name, fence)
        call = REMOVE(**self._slots(name), guard=guard, token=token)
        return call.meaning(removed=just(True), missing=just(False), stale=stale_token(name, token))

    def pop(self, name: str) -> Op[Snapshot | None]:
        call = POP(**self._slots(name))
        return call.meaning(popped=lambda flat: snapshot(name, flat), missing=just(None))

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        call = TOUCH(**self._slots(name), ttl_ms=0 if ttl is None else milliseconds(ttl))
        return call.meaning(touched=just(True), missing=just(False))

    def owner(self, name: str) -> Op[str | None]:
        """Read which container created the entry."""
        return command("HGET", self.entry(name), "@owner", read=lambda raw: raw.decode() if raw else None)

    def mutate(
        self, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None], *, fence: Fence = None
    ) -> Plan[tuple[dict[str, Any], int]]:
        """Read an entry, change a plain copy of it, and write it back if nobody wrote in between, else again.

        ``change`` alters the copy it is given, or returns a new one; it may be called several times.
        Returns the new content and version; ``KeyError`` when there is no entry.
        """
        for attempt in range(MUTATE_TRIES):
            seen = yield from do(self.get(name))
            if seen is None:
                raise KeyError(name)
            fields = thaw(seen.fields)
            changed = change(fields)
            new = fields if changed is None else dict(changed)
            put = self.put_if_version(name, new, seen.version, ttl=seen.ttl, fence=fence)
            version = yield from do(put)
            if version is not None:
                return new, version
            yield from pause(random() * min(0.05, 0.0005 * 2 ** min(attempt, 10)))
        raise NotApplied(f"{name!r} changed under each of {MUTATE_TRIES} attempts to mutate it; use increment or patch")

    def _slots(self, name: str) -> dict[str, Any]:
        entry, partition = self.keys.of_record(name)
        companions = [companion(name) for companion in self._companions] if self._companions else ()
        return {"entry": entry, "partition": partition, "companions": companions, "name": name}

    def _fenced(self, name: str, fence: Fence) -> tuple[Word, str]:
        """Return the token to send, and the key where the lock's own last token is kept."""
        if fence is None:
            return "", self.keys.fence(name)
        if isinstance(fence, int):
            token, lock = fence, name
        else:
            token, lock = fence.fence, fence.name
        if isinstance(token, bool) or not 0 < token < 2**53:
            raise ValueError(f"fence={token!r}: a token is a whole number from 1 to 2**53")
        same_slot = self.keys.head(lock) == self.keys.head(name)
        return token, self.keys.fence(lock if same_slot else name)


def _stale(write: Write, newest: bytes) -> NoReturn:
    raise StaleToken(write.name, int(write.token), int(newest))


def _missing(write: Write) -> NoReturn:
    raise KeyError(write.name)


def _unset(write: Write) -> NoReturn:
    raise KeyError(write.field)


def _no_number(write: Write, _: bytes) -> NoReturn:
    raise TypeError(f"[{write.name!r}][{write.field!r}] is no number, so nothing can be added to it")


def _inexact(write: Write, old: bytes) -> NoReturn:
    number, by = _short(old.decode()), _short(repr(write.by))
    raise OverflowError(f"[{write.name!r}][{write.field!r}] is {number}: with {by} added it may not be exact")


_WRITTEN = reader_about(
    PUT, {"written": lambda _, version: int(version), "present": just(None), "changed": just(None), "stale": _stale}
)
_CREATED = reader_about(PUT, {"written": just(True), "present": just(False), "changed": just(False), "stale": _stale})
_PATCHED = reader_about(PATCH, {"patched": just(True), "missing": just(False), "stale": _stale})
_ADDED = reader_about(
    INCREMENT,
    {
        "counted": lambda _, number: number if type(number) is int else decode(number),
        "missing": _missing,
        "unset": _unset,
        "no_number": _no_number,
        "too_large": _inexact,
        "stale": _stale,
    },
)


def stale_token(name: str, token: Word) -> Callable[[bytes], Any]:
    """Return the meaning of `stale`: raises ``StaleToken``."""
    return partial(_stale, Write(name, token))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:20]}...{text[-10:]}"
