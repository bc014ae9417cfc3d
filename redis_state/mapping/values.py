"""Opaque values, as operations: a string per entry, encoded whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis_state.codec import decode, encode
from redis_state.engine.op import Call, Op, command, just, reader
from redis_state.engine.registry import script
from redis_state.errors import CorruptValue
from redis_state.mapping.entries import Entries, milliseconds

PUT = script("value/put")
REMOVE = script("value/remove")
POP = script("value/pop")
TOUCH = script("value/touch")

_WRITTEN = reader(PUT, {"written": just(None), "present": just(None)})
_CREATED = reader(PUT, {"written": just(True), "present": just(False)})


class Values(Entries[Any]):
    """The values of one namespace."""

    __slots__ = ()

    def entry(self, name: str) -> str:
        return self.keys.value(name)

    def get(self, name: str) -> Op[Any | None]:
        return command("GET", self.entry(name), read=lambda blob: self._decoded(name, blob))

    def get_some(self, names: Sequence[str]) -> Op[list[Any | None]]:
        return command(
            "MGET",
            *map(self.entry, names),
            read=lambda blobs: [self._decoded(name, blob) for name, blob in zip(names, blobs, strict=True)],
        )

    def put(self, name: str, value: Any, *, ttl: float | None = None) -> Op[None]:
        return self._put(name, value, ttl, "").read_by(_WRITTEN)

    def create(self, name: str, value: Any, *, ttl: float | None = None) -> Op[bool]:
        return self._put(name, value, ttl, "absent").read_by(_CREATED)

    def _put(self, name: str, value: Any, ttl: float | None, expected: str) -> Call:
        if value is None:
            raise TypeError(f"{name!r}: None means that there is no value; store something else")
        return PUT(
            entry=self.entry(name),
            partition=self.keys.index(name),
            name=name,
            ttl_ms=self.ttl_ms if ttl is None else milliseconds(ttl),
            expected=expected,
            value=encode(value, path=repr(name)),
        )

    def remove(self, name: str) -> Op[bool]:
        call = REMOVE(entry=self.entry(name), partition=self.keys.index(name), name=name)
        return call.meaning(removed=just(True), missing=just(False))

    def pop(self, name: str) -> Op[Any | None]:
        call = POP(entry=self.entry(name), partition=self.keys.index(name), name=name)
        return call.meaning(popped=lambda blob: self._decoded(name, blob), missing=just(None))

    def touch(self, name: str, ttl: float | None = None) -> Op[bool]:
        ttl_ms = self.ttl_ms if ttl is None else milliseconds(ttl)
        call = TOUCH(entry=self.entry(name), partition=self.keys.index(name), name=name, ttl_ms=ttl_ms)
        return call.meaning(touched=just(True), missing=just(False))

    @staticmethod
    def _decoded(name: str, blob: bytes | None) -> Any | None:
        if blob is None:
            return None
        try:
            return decode(blob)
        except CorruptValue as error:
            raise CorruptValue(f"{name!r}: {error}") from None
