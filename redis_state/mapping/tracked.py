"""Lists, dicts, sets, tuples and texts that remember where they were read, also what operators make of them.

So ``m[k]["log"] = m[k]["log"] + [line]`` can be written only if the field still holds what was read. ``thaw`` makes
plain copies.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


class TrackedValue:
    """Value that was read from a mapping, or made from one; ``changed``: an operator made it."""

    origin: Any = None
    changed = False

    def __plain__(self) -> Any:
        return thaw(self)

    def __reduce__(self) -> tuple[Any, ...]:
        plain = self.__plain__()
        return type(plain), (plain,)

    def __copy__(self) -> Any:
        return self.__plain__()

    def __deepcopy__(self, memo: object) -> Any:
        return self.__plain__()


class TrackedText(TrackedValue, str):
    def __plain__(self) -> str:
        return str.__str__(self)


class TrackedTuple(TrackedValue, tuple[Any, ...]):
    pass


class TrackedList(TrackedValue, list[Any]):
    pass


class TrackedDict(TrackedValue, dict[Any, Any]):
    pass


class TrackedSet(TrackedValue, set[Any]):
    pass


def _tracking(name: str, base: Any, made: Any, swap: bool) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        here, there = base(self), base(other) if isinstance(other, base) else other
        try:
            result = function(there, here) if swap else function(here, there)
        except TypeError:
            return NotImplemented
        result = made(result)
        result.origin, result.changed = self.origin, True
        return result

    return method


def _untracked(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: function(set(self), *others)


def track_operators(kind: type, base: type, made: type) -> None:
    """Let the operators of ``kind`` return tracked values."""
    names = "or_" if base is dict else "or_ and_ sub xor" if base is set else "add mul"
    for name in names.split():
        dunder = name.strip("_")
        setattr(kind, f"__{dunder}__", _tracking(name, base, made, swap=False))
        setattr(kind, f"__r{dunder}__", _tracking(name, base, made, swap=True))
    for name in ["copy", "union", "intersection", "difference", "symmetric_difference"] if base is set else ():
        setattr(kind, name, _untracked(getattr(set, name)))


for _kind, _base in (
    (TrackedText, str),
    (TrackedTuple, tuple),
    (TrackedList, list),
    (TrackedDict, dict),
    (TrackedSet, set),
):
    track_operators(_kind, _base, _kind)


def thaw(value: Any) -> Any:
    """Return a plain copy: lists, dicts, sets, texts and numbers of the built-in types. O(size)."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if type(value) is tuple or isinstance(value, TrackedTuple):
        return tuple(thaw(item) for item in value)
    if isinstance(value, set):
        return set(value)
    return value.__plain__() if hasattr(type(value), "__plain__") else value
