"""Results of functions that are given to ``mutate``: checked before they replace an entry. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import random
from typing import Any

MUTATE_TRIES = 200


def pause_after(attempt: int) -> float:
    """Return how many seconds to wait after an attempt under which the entry changed."""
    return random() * min(0.05, 0.0005 * float(2 ** min(attempt, 10)))


def changed_record(name: str, fields: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the record that ``change`` made of ``fields``, in place or anew.

    A function often returns something by accident: ``lambda r: r.pop("errors")``. The record would become that, so
    ``TypeError`` for anything but a mapping, and for a mapping that is, or was, a part of the record.
    """
    inside = parts(fields)
    made = change(fields)
    if made is None or made is fields:
        return fields
    if not isinstance(made, Mapping):
        raise unmeant(name, f"{type(made).__name__!r}")
    if any(made is part for part in (*inside, *parts(fields))):
        raise unmeant(name, "a part of the record")
    return dict(made)


def changed_value(name: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """Return the value that ``change`` made of ``value``: a list, dict or set in place or anew, all else anew."""
    kinds = [kind for kind in (dict, list, set) if isinstance(value, kind)]
    inside = parts(value) if kinds else []
    made = change(value)
    if kinds and (made is None or made is value):
        return value
    if made is None:
        raise TypeError(f"mutate({name!r}): the function returned nothing; return the new value: lambda v: ...")
    if kinds and not isinstance(made, kinds[0]):
        raise unmeant(name, f"{type(made).__name__!r}")
    if kinds and any(made is part for part in (*inside, *parts(value))):
        raise unmeant(name, "a part of the value")
    return made


def unmeant(name: str, what: str) -> TypeError:
    """Return the error for a result that would replace the entry, with the lines to write instead."""
    return TypeError(
        f"mutate({name!r}): the function returned {what}, and the entry would become that; change r in a function "
        f"that returns nothing (def change(r): r.pop(...)), or return a new one (lambda r: {{**r, ...}}, r + [...])"
    )


def parts(value: Any) -> list[Any]:
    """List the lists, dicts and sets inside a value. O(size)."""
    found: list[Any] = []
    known: set[int] = set()
    waiting: list[Any] = [value]
    while waiting:
        outer = waiting.pop()
        for item in outer.values() if isinstance(outer, dict) else outer:
            if isinstance(item, dict | list | set | tuple) and id(item) not in known:
                known.add(id(item))
                found.append(item)
                if not isinstance(item, set):
                    waiting.append(item)
    return found
