"""Records, as operations: a hash per entry, a field per item. Pure.

A write names the fields it means, so writers of different fields never undo each other; a number is
added to where it lies. ``fence`` is a fencing token, or the holder of a lock that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from redis_state.codec import decode
from redis_state.durations import ttl_ms
from redis_state.engine.op import Op, Plan, Transaction, Word, command, do, do_all, just, pause
from redis_state.engine.operation import Meaning, Operation, ScriptOp, operation, raises
from redis_state.errors import NotApplied, StaleToken
from redis_state.keys import Keys
from redis_state.mapping.fences import Fence as Fence
from redis_state.mapping.fences import fenced
from redis_state.mapping.mutation import MUTATE_TRIES, changed_record, pause_after
from redis_state.mapping.operations import EntryOperations
from redis_state.mapping.record_format import (
    Snapshot,
    own_name,
    short,
    snapshot,
    stored_fields,
    stored_name,
    stored_number,
)
from redis_state.mapping.snapshots import thaw


def stale_token(call: ScriptOp[Any], newest: bytes) -> NoReturn:
    """Raise ``StaleToken``: the call carried a token, and a newer one was seen."""
    raise StaleToken(call["name"], int(call["token"] or 0), int(newest))


def _unset(call: ScriptOp[Any]) -> NoReturn:
    raise KeyError(own_name(call["field"]))


def _no_number(call: ScriptOp[Any], _: bytes) -> NoReturn:
    raise TypeError(f"[{call['name']!r}][{own_name(call['field'])!r}] is no number, so nothing can be added to it")


def _inexact(call: ScriptOp[Any], old: bytes) -> NoReturn:
    name, field = call["name"], own_name(call["field"])
    raise OverflowError(
        f"[{name!r}][{field!r}] is {short(old.decode())}: with {short(call['by'])} added it may not be exact"
    )


_REFUSED: dict[str, Meaning] = {"present": just(None), "was": just(None), "changed": just(None), "stale": stale_token}
PATCHED: dict[str, Meaning] = {"patched": just(True), "missing": just(False), "stale": stale_token}
ADDED: dict[str, Meaning] = {
    "counted": lambda _, number: number if type(number) is int else decode(number),
    "missing": raises(KeyError),
    "unset": _unset,
    "no_number": _no_number,
    "too_large": _inexact,
    "stale": stale_token,
}

WRITE = operation("record/put", **{**_REFUSED, "written": lambda _, version: int(version)})
CREATE = operation("record/put", **{**_REFUSED, "written": just(True), "present": just(False)})
DEFAULT = operation(
    "record/put",
    **{
        **_REFUSED,
        "written": lambda call, version: call.about._replace(version=int(version)),
        "was": lambda call, flat: snapshot(call["name"], flat),
    },
)
PATCH = operation("record/patch", **PATCHED)
INCREMENT = operation("record/increment", **ADDED)
FILL = operation(
    "record/fill",
    filled=lambda call: (True, call.about),
    was=lambda _, raw: (False, decode(raw)),
    missing=raises(KeyError),
)
UNSET = operation("record/unset", was=lambda _, raw: decode(raw), unset=_unset, missing=raises(KeyError))
REMOVE = operation("record/remove", removed=just(True), missing=just(False), stale=stale_token)
POP = operation("record/pop", popped=lambda call, flat: snapshot(call["name"], flat), missing=just(None))
TOUCH = operation("record/touch", touched=just(True), missing=just(False))


class RecordOperations(EntryOperations[Snapshot]):
    """Operations on the records of one namespace. ``companions``: slots of keys that live and die with a record."""

    __slots__ = ("_companions", "_owner")

    protected: frozenset[str] = frozenset()  # fields that scripts count in: see ``_check_write``

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[str] = (),
    ) -> None:
        super().__init__(keys, ttl)
        self._owner = owner
        self._companions = companions

    def entry(self, name: str) -> str:
        return self.keys.key("entry", name)

    def get(self, name: str) -> Op[Snapshot | None]:
        part = self.keys.of(name)
        return command(part, "HGETALL", part.key("entry", name), read=lambda flat: snapshot(name, flat))

    def get_some(self, names: Sequence[str]) -> Op[list[Snapshot | None]]:
        part = self.keys.of(names[0])
        words = [("HGETALL", part.key("entry", name)) for name in names]
        return Transaction(part, words, lambda flats: list(map(snapshot, names, flats)))

    def put(
        self,
        name: str,
        value: Mapping[str, Any],
        *,
        ttl: float | None = None,
        fence: Fence = None,
        owner: str | None = None,
    ) -> Op[int]:
        """Write an entry whole, in place of what is there. Returns its version.

        What a claim or a download keeps with it stays, until the entry is deleted.
        """
        return self._put(WRITE, name, value, ttl, fence, owner, "")

    def create(
        self, name: str, value: Mapping[str, Any], *, ttl: float | None = None, owner: str | None = None
    ) -> Op[bool]:
        return self._put(CREATE, name, value, ttl, None, owner, "absent")

    def create_or_get(self, name: str, value: Mapping[str, Any]) -> Op[Snapshot]:
        return self._put(DEFAULT, name, value, None, None, None, "default")

    def put_if_version(
        self, name: str, value: Mapping[str, Any], version: int, *, ttl: float | None = None, fence: Fence = None
    ) -> Op[int | None]:
        """Write an entry whole if its version is still this one. Returns the new version, else None.

        It goes on with the entry: owner, ``ttl`` unless given, and what belongs to it stay.
        """
        return self._put(WRITE, name, value, ttl, fence, None, str(version))

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
        if self.protected:
            self._check_write(name, None)
        by = self._owner() if owner is None else owner
        begins = expected in ("", "absent", "default")
        fields = stored_fields(name, value)
        return put(
            self.keys,
            name,
            Snapshot(thaw(dict(value)), 0, self.ttl, by) if put is DEFAULT else None,
            companions=self._companions,
            **self._fenced(name, fence),
            ttl_ms=ttl_ms(ttl) if ttl is not None else self.ttl_ms if begins else 0,
            owner=by,
            expected=expected,
            fields=fields,
        )

    def patch(self, name: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> Op[bool]:
        """Merge fields into an entry that exists. False, and nothing created, when there is none."""
        if self.protected:
            self._check_write(name, fields)
        return PATCH(
            self.keys,
            name,
            companions=self._companions,
            **self._fenced(name, fence),
            ttl_ms=0 if ttl is None else ttl_ms(ttl),
            fields=stored_fields(name, fields),
        )

    def increment(
        self, name: str, field: str, by: float = 1, *, fence: Fence = None, create: bool = True
    ) -> Op[int | float]:
        """Add to a number. What is missing is created at 0, or a ``KeyError`` unless ``create``."""
        return self._add(INCREMENT, name, field, by, fence, create)

    def _add(
        self, increment: Operation, name: str, field: str, by: float, fence: Fence, create: bool
    ) -> Op[int | float]:
        if self.protected:
            self._check_write(name, {field: by})
        return increment(
            self.keys,
            name,
            companions=self._companions,
            **self._fenced(name, fence),
            ttl_ms=self.ttl_ms,
            owner=self._owner(),
            field=stored_name(field),
            by=stored_number(name, field, by),
            create=int(create),
        )

    def fill(self, name: str, field: str, value: Any) -> Op[tuple[bool, Any]]:
        """Set a field if the entry has none such. Returns whether it did, and the field's value now."""
        if self.protected:
            self._check_write(name, {field: value})
        (stored, encoded) = stored_fields(name, {field: value})
        return FILL(self.keys, name, value, companions=self._companions, field=stored, value=encoded)

    def unset(self, name: str, field: str) -> Op[Any]:
        """Take a field out. Returns what it held; ``KeyError`` when it, or the entry, is not there."""
        if self.protected:
            self._check_write(name, {field: None})
        return UNSET(self.keys, name, companions=self._companions, field=stored_name(field))

    def remove(self, name: str, *, fence: Fence = None) -> Op[bool]:
        return REMOVE(self.keys, name, companions=self._companions, **self._fenced(name, fence))

    def pop(self, name: str) -> Op[Snapshot | None]:
        return POP(self.keys, name, companions=self._companions)

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        return TOUCH(self.keys, name, companions=self._companions, ttl_ms=0 if ttl is None else ttl_ms(ttl))

    def owner(self, name: str) -> Op[str | None]:
        """Read which container created the entry."""
        return command(
            self.keys, "HGET", self.entry(name), "@owner", name=name, read=lambda raw: raw.decode() if raw else None
        )

    def owned_by(self, container_id: str) -> Plan[list[str]]:
        """List the entries that a container created."""
        names = yield from self.names()
        owners = yield from do_all([self.owner(name) for name in names])
        return [name for name, owner in zip(names, owners, strict=True) if owner == container_id]

    def mutate(
        self, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None], *, fence: Fence = None
    ) -> Plan[tuple[dict[str, Any], int]]:
        """Read an entry, change a plain copy of it, and write it back if no other writer came in between, else again.

        ``change`` alters the copy it is given, or returns a new mapping; it may be called several times.
        ``TypeError`` when it returns anything else: the record would become that.
        Returns the new content and version; ``KeyError`` when there is no entry.
        """
        for attempt in range(MUTATE_TRIES):
            seen = yield from do(self.get(name))
            if seen is None:
                raise KeyError(name)
            new = changed_record(name, thaw(seen.fields), change)
            put = self.put_if_version(name, new, seen.version, ttl=seen.ttl, fence=fence)
            version = yield from do(put)
            if version is not None:
                return new, version
            yield from pause(pause_after(attempt))
        raise NotApplied(f"{name!r} changed under each of {MUTATE_TRIES} attempts to mutate it; use increment or patch")

    def _check_write(self, name: str, fields: Mapping[str, Any] | None) -> None:
        """Raise unless an application may write these fields; None: it writes the record whole."""
        raise NotImplementedError

    def _fenced(self, name: str, fence: Fence) -> dict[str, Word]:
        """Return the token to send, and the key of its lock's last token where that is not the one of the name."""
        return {"token": ""} if fence is None else fenced(self.keys, name, fence)
