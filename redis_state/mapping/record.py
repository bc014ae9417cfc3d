"""``Record``: an entry as it was read, whose writes go through to Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis_state.mapping.frozen import Origin, TrackedFloat, TrackedInt, freeze, thaw, track
from redis_state.mapping.stored import Snapshot

if TYPE_CHECKING:
    from redis_state.mapping.dicts import RecordMapping

_MISSING: Any = object()


class Record(dict[str, Any]):
    """An entry as it was read, whose writes go through to Redis and are then seen here.

    ``record["n"] += 1`` adds to what Redis holds; ``record["n"] = 5`` overwrites it. ``m[k]["n"] = m[k]["n"] + 1``
    adds, too. A number that is put back after the record wrote the field, or unchanged, overwrites: so
    it can be restored. Nested lists, dicts and sets come out frozen. ``dict(record)`` is a plain copy.
    A write to an entry that is gone raises ``KeyError``.
    """

    __slots__ = ("_key", "_mapping", "version")

    def __init__(self, mapping: RecordMapping, key: str, seen: Snapshot) -> None:
        super().__init__(seen.fields)
        self._mapping = mapping
        self._key = key
        self.version = seen.version

    def _seen(self, field: str, value: Any) -> Any:
        kind = type(value)
        if kind is int or kind is float:
            return track(value, Origin(self, self._key, field, value))
        if kind is str or kind is bool or value is None:
            return value
        return freeze(value, Origin(self, self._key, field, value))

    def __getitem__(self, field: str) -> Any:
        return self._seen(field, super().__getitem__(field))

    def get(self, field: str, default: Any = None) -> Any:
        return self[field] if field in self else default  # noqa: SIM401  (dict.get would skip __getitem__)

    def items(self) -> Any:
        return {field: self[field] for field in self}.items()

    def values(self) -> Any:
        return {field: self[field] for field in self}.values()

    def __setitem__(self, field: str, value: Any) -> None:
        if isinstance(value, TrackedInt | TrackedFloat) and self._goes_on(value, field):
            if value.delta is None:
                raise value.origin.advice("this change")
            self._add(field, value.delta)
            value.origin.spent = True
        else:
            self._patch({field: value})

    def _goes_on(self, number: TrackedInt | TrackedFloat, field: str) -> bool:
        """Tell whether a number is this field's own, with something done to it that Redis has not heard of."""
        origin = number.origin
        if origin.field != field or origin.key != self._key or origin.spent:
            return False
        if origin.record is self:
            return bool(super().get(field, _MISSING) == origin.seen)
        return origin.record._mapping is self._mapping and (number.delta is None or number != origin.seen)

    def _add(self, field: str, by: float) -> None:
        mapping = self._mapping
        super().__setitem__(field, mapping.engine.run(mapping.entries.increment(self._key, field, by, create=False)))

    def _patch(self, fields: Mapping[str, Any]) -> None:
        plain = {field: thaw(value) for field, value in fields.items()}
        if not self._mapping.patch(self._key, plain):
            raise KeyError(self._key)
        super().update(plain)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Set several fields, all or none."""
        self._patch(dict(other, **more))

    def __ior__(self, other: Any) -> Record:  # type: ignore[override,misc]
        self._patch(dict(other))
        return self

    def setdefault(self, field: str, default: Any = None) -> Any:
        """Return the field; set it first if the entry has none such. Of many callers one sets it."""
        mapping = self._mapping
        _, value = mapping.engine.run(mapping.entries.fill(self._key, field, default))
        super().__setitem__(field, thaw(value))
        return self[field]

    def __delitem__(self, field: str) -> None:
        self.pop(field)

    def pop(self, field: str, default: Any = _MISSING) -> Any:
        """Take a field out of the entry. Of many callers one gets it."""
        mapping = self._mapping
        try:
            value = mapping.engine.run(mapping.entries.unset(self._key, field))
        except KeyError:
            super().pop(field, None)
            if default is _MISSING:
                raise
            return default
        super().pop(field, None)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last field out of the entry."""
        for field in reversed(self):
            return field, self.pop(field)
        raise KeyError("popitem(): the record has no fields")

    def clear(self) -> None:
        """Take all fields out of the entry, which stays."""
        self._mapping.mutate(self._key, lambda _: {})
        super().clear()

    def refresh(self) -> Record:
        """Read the entry again, into this object; ``KeyError`` when it is gone."""
        mapping = self._mapping
        seen = mapping.engine.run(mapping.entries.get(self._key))
        if seen is None:
            raise KeyError(self._key)
        super().clear()
        super().update(seen.fields)
        self.version = seen.version
        return self

    def copy(self) -> dict[str, Any]:
        """Return a plain copy."""
        return {field: thaw(value) for field, value in super().items()}

    def __plain__(self) -> dict[str, Any]:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.copy()

    def __repr__(self) -> str:
        return dict.__repr__(self)
