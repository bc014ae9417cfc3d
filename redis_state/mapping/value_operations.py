"""Opaque values, as operations: a string per entry, encoded whole. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from redis_state.codec import decode, encode
from redis_state.durations import ttl_ms
from redis_state.engine.op import Op, Plan, command, do, do_all, just, pause
from redis_state.engine.operation import Operation, ScriptOp, operation
from redis_state.errors import CorruptValue, NotApplied
from redis_state.mapping.mutation import MUTATE_TRIES, changed_value, pause_after
from redis_state.mapping.operations import PAGE_OF_VALUES, EntryOperations
from redis_state.mapping.record_format import plain_number, short
from redis_state.mapping.snapshots import thaw


def _no_number(call: ScriptOp[Any]) -> NoReturn:
    raise TypeError(f"{call['name']!r} is no number, so nothing can be added to it")


def _inexact(call: ScriptOp[Any], old: bytes) -> NoReturn:
    raise OverflowError(f"{call['name']!r} is {short(old.decode())}: the sum may not be exact")


def decoded(name: str, blob: bytes | None) -> Any | None:
    """Return a value as it was stored; None for none."""
    if blob is None:
        return None
    try:
        value = decode(blob)
    except CorruptValue as error:
        raise CorruptValue(f"{name!r}: {error}") from None
    if value is None:
        raise CorruptValue(f"{name!r}: not a stored value ({blob!r}): None is never stored")
    return value


def _decoded(call: ScriptOp[Any], blob: bytes) -> Any:
    return decoded(call["name"], blob)


WRITE = operation("value/put", written=just(None), present=just(None), was=just(None))
CREATE = operation("value/put", written=just(True), present=just(False), was=just(False))
DEFAULT = operation("value/put", written=lambda call: call.about, present=just(None), was=_decoded)
REMOVE = operation("value/remove", removed=just(True), missing=just(False))
POP = operation("value/pop", popped=_decoded, missing=just(None))
TOUCH = operation("value/touch", touched=just(True), missing=just(False))
SWAP = operation("value/swap", written=just(True), changed=just(False))
INCREMENT = operation(
    "value/increment",
    counted=lambda _, number: number if type(number) is int else decode(number),
    no_number=_no_number,
    too_large=_inexact,
)


class ValueOperations(EntryOperations[Any]):
    """Operations on the values of one namespace."""

    __slots__ = ()

    index_slot = "values"

    def entry(self, name: str) -> str:
        return self.keys.key("value", name)

    def get(self, name: str) -> Op[Any | None]:
        part = self.keys.of(name)
        return command(part, "GET", part.key("value", name), read=lambda blob: decoded(name, blob))

    def get_some(self, names: Sequence[str]) -> Op[list[Any | None]]:
        return command(
            self.keys,
            "MGET",
            *map(self.entry, names),
            name=names[0],
            read=lambda blobs: [decoded(name, blob) for name, blob in zip(names, blobs, strict=True)],
        )

    def put(self, name: str, value: Any, *, ttl: float | None = None) -> Op[None]:
        return self._put(WRITE, name, value, ttl, "")

    def create(self, name: str, value: Any, *, ttl: float | None = None) -> Op[bool]:
        return self._put(CREATE, name, value, ttl, "absent")

    def create_or_get(self, name: str, value: Any) -> Op[Any]:
        return self._put(DEFAULT, name, value, None, "default", thaw(value))

    def _put(
        self, put: Operation, name: str, value: Any, ttl: float | None, expected: str, about: Any = None
    ) -> Op[Any]:
        if value is None:
            raise TypeError(f"{name!r}: None means that there is no value; store something else")
        return put(
            self.keys,
            name,
            about,
            ttl_ms=self.ttl_ms if ttl is None else ttl_ms(ttl),
            expected=expected,
            new=encode(value, path=repr(name)),
        )

    def increment(self, name: str, by: float = 1, *, start: float = 0) -> Op[int | float]:
        """Add to a number. What is missing counts as ``start``."""
        where = repr(name)
        return INCREMENT(
            self.keys, name, ttl_ms=self.ttl_ms, start=plain_number(where, start), by=plain_number(where, by)
        )

    def mutate(self, name: str, change: Callable[[Any], Any]) -> Plan[Any]:
        """Read a value, change it, and write it back if it is still there, else again. Returns the new one."""
        for attempt in range(MUTATE_TRIES):
            seen: bytes | None = yield from do(
                command(self.keys, "GET", self.entry(name), name=name, read=lambda blob: blob)
            )
            if seen is None:
                raise KeyError(name)
            new = changed_value(name, decoded(name, seen), change)
            if (yield from do(self._swap(name, seen, new))):
                return new
            yield from pause(pause_after(attempt))
        raise NotApplied(f"{name!r} changed under each of {MUTATE_TRIES} attempts to mutate it; use increment")

    def _swap(self, name: str, seen: bytes, new: Any) -> Op[bool]:
        if new is None:
            raise TypeError(f"{name!r}: None means that there is no value; store something else")
        return SWAP(self.keys, name, ttl_ms=self.ttl_ms, expected=seen, new=encode(new, path=repr(name)))

    def remove_many(self, names: Iterable[str]) -> Plan[int]:
        """Remove several entries, 500 a round trip. Returns how many there were."""
        removals = [self.remove(name) for name in dict.fromkeys(names)]
        removed = 0
        for start in range(0, len(removals), PAGE_OF_VALUES):
            removed += sum((yield from do_all(removals[start : start + PAGE_OF_VALUES])))
        return removed

    def remove(self, name: str) -> Op[bool]:
        return REMOVE(self.keys, name)

    def pop(self, name: str) -> Op[Any | None]:
        return POP(self.keys, name)

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        return TOUCH(self.keys, name, ttl_ms=self.ttl_ms if ttl is None else ttl_ms(ttl))
