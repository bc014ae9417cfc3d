"""``Record``: an entry as it was read, whose writes go through to Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis_state.engine.binding import Binding
from redis_state.mapping.record_format import Snapshot
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.snapshots import Origin, read
from redis_state.mapping.tracked import TrackedValue, thaw
from redis_state.mapping.write_back import MISSING, NUMBERS, is_pending_in, mark_written, merge_function


class Record(dict[str, Any]):
    """An entry as it was read, whose writes go through to Redis and are then seen here.

    ``record["n"] += 1`` adds to what Redis holds; ``record["n"] = 5`` overwrites it. ``m[k]["n"] = m[k]["n"] + 1``
    adds, too. A list, dict, set, tuple or text that an operator made of the field's own (``record["log"] + [line]``)
    is written only if the field still holds what was read, else ``NotApplied``. What is put back after the record
    wrote the field, or unchanged, overwrites: so it can be restored. Nested lists, dicts and sets come out frozen.
    ``dict(record)`` is a plain copy. A write to an entry that is gone raises ``KeyError``.

    ``version`` is the one that was read, and one more for each write of this object: as long as nothing else writes
    the entry, it is the entry's own.
    """

    __slots__ = ("_bound", "_key", "version")

    def __init__(self, bound: Binding[RecordOperations], key: str, seen: Snapshot) -> None:
        super().__init__(seen.fields)
        self._bound = bound
        self._key = key
        self.version = seen.version

    def _seen(self, field: str, value: Any) -> Any:
        if value is None or value is True or value is False:
            return value
        return read(value, Origin(self, self._key, field, value))

    def __getitem__(self, field: str) -> Any:
        return self._seen(field, super().__getitem__(field))

    def get(self, field: str, default: Any = None) -> Any:
        return self[field] if field in self else default  # noqa: SIM401  (dict.get would skip __getitem__)

    def items(self) -> Any:
        return {field: self[field] for field in self}.items()

    def values(self) -> Any:
        return {field: self[field] for field in self}.values()

    def __setitem__(self, field: str, value: Any) -> None:
        if isinstance(value, NUMBERS) and self._is_pending(value, field):
            if value.delta is None:
                raise value.origin.advice("this change")
            self._add(field, value.delta)
            value.origin.written = True
        else:
            self._patch({field: value})

    def _is_pending(self, value: Any, field: str) -> bool:
        """Tell whether a value was made from this field, and has not been written yet."""
        if not isinstance(value, (*NUMBERS, TrackedValue)):
            return False
        if value.origin.record is self and isinstance(value, NUMBERS):
            origin = value.origin
            return origin.field == field and not origin.written and bool(super().get(field, MISSING) == origin.seen)
        return is_pending_in(value, self._bound, self._key, field)

    def _add(self, field: str, by: float) -> None:
        engine, entries = self._bound.here()
        super().__setitem__(field, engine.run(entries.increment(self._key, field, by, create=False)))
        self.version += 1

    def _patch(self, fields: Mapping[str, Any]) -> None:
        engine, entries = self._bound.here()
        pending = {field for field, value in fields.items() if self._is_pending(value, field)}
        if pending:
            written, _ = engine.follow(entries.mutate(self._key, merge_function(fields, pending)))
            mark_written(fields, pending)
            super().update({field: written[field] for field in fields})
        else:
            plain = {field: thaw(value) for field, value in fields.items()}
            if not engine.run(entries.patch(self._key, plain)):
                raise KeyError(self._key)
            super().update(plain)
        self.version += 1

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Set several fields, all or none."""
        self._patch(dict(other, **more))

    def __ior__(self, other: Any) -> Record:  # type: ignore[override,misc]
        self._patch(dict(other))
        return self

    def setdefault(self, field: str, default: Any = None) -> Any:
        """Return the field; set it first if the entry has none such. Of many callers one sets it."""
        engine, entries = self._bound.here()
        filled, value = engine.run(entries.fill(self._key, field, default))
        self.version += filled
        super().__setitem__(field, thaw(value))
        return self[field]

    def __delitem__(self, field: str) -> None:
        self.pop(field)

    def pop(self, field: str, default: Any = MISSING) -> Any:
        """Take a field out of the entry. Of many callers one gets it."""
        engine, entries = self._bound.here()
        try:
            value = engine.run(entries.unset(self._key, field))
        except KeyError:
            super().pop(field, None)
            if default is MISSING:
                raise
            return default
        super().pop(field, None)
        self.version += 1
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last field out of the entry."""
        for field in reversed(self):
            return field, self.pop(field)
        raise KeyError("popitem(): the record has no fields")

    def clear(self) -> None:
        """Take all fields out of the entry, which stays."""
        engine, entries = self._bound.here()
        engine.follow(entries.mutate(self._key, lambda _: {}))
        super().clear()
        self.version += 1

    def refresh(self) -> Record:
        """Read the entry again, into this object; ``KeyError`` when it is gone."""
        engine, entries = self._bound.here()
        seen = engine.run(entries.get(self._key))
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

    @classmethod
    def fromkeys(cls, *_: object) -> Any:
        """Refuse: a record belongs to a mapping."""
        raise TypeError("a record is made by its mapping; write m[key] = dict.fromkeys(fields, value)")

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return self.copy()

    def __repr__(self) -> str:
        return dict.__repr__(self)
