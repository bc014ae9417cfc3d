"""Write-back of values that were made from a field: ``m[k]["n"] = m[k]["n"] + 1``, ``m[k]["log"] = m[k]["log"] + [x]``.

A number adds what was added to it; any other value is written only if the field still holds what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis_state.mapping.snapshots import TrackedFloat, TrackedInt
from redis_state.mapping.tracked import TrackedValue, thaw

MISSING: Any = object()
NUMBERS = (TrackedInt, TrackedFloat)


def is_pending(value: Any, key: str, field: str) -> bool:
    """Tell whether a value was made from this field, and has not been written yet."""
    if isinstance(value, NUMBERS):
        moved = value.delta is None or value != value.origin.seen
    else:
        moved = isinstance(value, TrackedValue) and value.changed
    return moved and value.origin.key == key and value.origin.field == field and not value.origin.written


def is_pending_in(value: Any, bound: Any, key: str, field: str) -> bool:
    """Tell the same of a field of a record that was read through this binding."""
    if not isinstance(value, (*NUMBERS, TrackedValue)) or not is_pending(value, key, field):
        return False
    return value.origin.record is not None and value.origin.record._bound is bound


def reapplied(value: Any, current: Any) -> Any:
    """Return what to write where ``current`` is now (or MISSING). Raise when the value would undo what others wrote."""
    if isinstance(value, NUMBERS):
        if value.delta is None:
            raise value.origin.advice("this change")
        return value.__plain__() if current is MISSING else current + value.delta
    if current != value.origin.seen:
        raise value.origin.overtaken()
    return thaw(value)


def merge_function(
    fields: Mapping[str, Any], pending: set[str], *, whole: bool = False
) -> Callable[[dict[str, Any]], Any]:
    """Return the function for ``mutate`` that writes ``fields``, the pending ones onto what is there."""

    def change(current: dict[str, Any]) -> dict[str, Any]:
        new = {
            field: reapplied(value, current.get(field, MISSING)) if field in pending else thaw(value)
            for field, value in fields.items()
        }
        return new if whole else {**current, **new}

    return change


def mark_written(fields: Mapping[str, Any], pending: set[str]) -> None:
    """Note that these values were written: put back once more, they overwrite."""
    for field in pending:
        fields[field].origin.written = True
