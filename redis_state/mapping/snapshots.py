"""Values as they were read: numbers that remember what was added to them, and frozen lists, dicts and sets.

Assigning to a field is atomic; changing a list inside a snapshot would change nothing in Redis. So code written for a
plain dict either does the right thing across containers, or gets an error with the line to write instead.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any, NoReturn, TypeVar

from redis_state.errors import NotApplied
from redis_state.mapping.tracked import (
    TrackedDict,
    TrackedList,
    TrackedSet,
    TrackedText,
    TrackedTuple,
    TrackedValue,
    track_operators,
)
from redis_state.mapping.tracked import thaw as thaw

T = TypeVar("T")


class Origin:
    """Source of a value: the record and the field, named in errors and compared when the value is written back."""

    __slots__ = ("field", "key", "record", "seen", "written")

    def __init__(self, record: Any, key: str, field: str, seen: Any) -> None:
        self.record = record
        self.key = key
        self.field = field
        self.seen = seen
        self.written = False  # what was added has been sent; sent once more, it would count twice

    def advice(self, did: str) -> TypeError:
        """Return the error for a change that would be lost, with the line to write instead."""
        what = f"m[{self.key!r}][{self.field!r}]"
        return TypeError(
            f"{what} is a snapshot, so {did} would be lost; write "
            f"m.mutate({self.key!r}, lambda r: ...), changing r[{self.field!r}] there"
        )

    def overtaken(self) -> NotApplied:
        """Return the error for a write whose source has changed since it was read."""
        what = f"m[{self.key!r}][{self.field!r}]" if self.record is not None else f"m[{self.key!r}]"
        return NotApplied(
            f"{what} was changed elsewhere since it was read, so nothing was written; "
            f"m.mutate({self.key!r}, ...) reads, changes and writes in one step"
        )


class ValueOrigin(Origin):
    """Source of a value: an entry of a ``ValueMapping``."""

    __slots__ = ("bound",)

    def __init__(self, bound: Any, key: str, seen: Any) -> None:
        super().__init__(None, key, "", seen)
        self.bound = bound

    def advice(self, did: str) -> TypeError:
        """Return the error for a change that would be lost, with the line to write instead."""
        return TypeError(
            f"m[{self.key!r}] is a snapshot, so {did} would be lost; write "
            f"m.mutate({self.key!r}, lambda v: ...), changing v there"
        )


class _TrackedNumber:
    """A number that knows which field it came from, and what was added to it since; None: more than added."""

    origin: Origin
    delta: int | float | None

    def __plain__(self) -> Any:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        plain = self.__plain__()
        return type(plain), (plain,)

    def __deepcopy__(self, memo: object) -> Any:
        return self.__plain__()


class TrackedInt(_TrackedNumber, int):
    def __plain__(self) -> int:
        return int(self)


class TrackedFloat(_TrackedNumber, float):
    def __plain__(self) -> float:
        return float(self)


def track(value: float, origin: Origin, delta: float | None = 0) -> Any:
    """Return the number with its origin."""
    tracked: Any = TrackedInt(value) if isinstance(value, int) else TrackedFloat(value)
    tracked.origin, tracked.delta = origin, delta
    return tracked


def _arithmetic(name: str, sign: int | None, swap: bool) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def method(self: Any, other: Any, *modulo: Any) -> Any:
        if isinstance(other, int):
            there: Any = int(other)
        elif isinstance(other, float):
            there = float(other)
        else:
            return NotImplemented
        here = self.__plain__()
        if modulo:
            return pow(there, here, *modulo) if swap else pow(here, there, *modulo)
        result = function(there, here) if swap else function(here, there)
        if type(result) is not int and type(result) is not float:
            return result
        adds = sign is not None and self.delta is not None
        return track(result, self.origin, self.delta + sign * there if adds else None)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift"):
    _dunder = _name.strip("_")
    _sign = {"add": 1, "sub": -1}.get(_name)
    for _type in (TrackedInt, TrackedFloat):
        if hasattr(_type, f"__{_dunder}__"):
            setattr(_type, f"__{_dunder}__", _arithmetic(_name, _sign, swap=False))
            setattr(_type, f"__i{_dunder}__", _arithmetic(_name, _sign, swap=False))
            setattr(_type, f"__r{_dunder}__", _arithmetic(_name, 1 if _name == "add" else None, swap=True))


class _Frozen(TrackedValue):
    """A container out of a snapshot. ``copy`` makes a plain one to work on."""

    def copy(self) -> Any:
        """Return a plain copy, of all that is inside, too."""
        return self.__plain__()


class FrozenList(_Frozen, list[Any]):
    pass


class FrozenDict(_Frozen, dict[Any, Any]):
    pass


class FrozenSet(_Frozen, set[Any]):
    pass


for _kind, _base, _made in (
    (FrozenList, list, TrackedList),
    (FrozenDict, dict, TrackedDict),
    (FrozenSet, set, TrackedSet),
):
    track_operators(_kind, _base, _made)


def _refusal(name: str) -> Callable[..., NoReturn]:
    def method(self: Any, *_: Any, **__: Any) -> NoReturn:
        raise self.origin.advice(f"{name}()" if not name.startswith("__") else "changing it")

    return method


for _container, _names in (
    (FrozenList, "append extend insert remove pop clear sort reverse __setitem__ __delitem__ __iadd__ __imul__"),
    (FrozenDict, "update setdefault pop popitem clear __setitem__ __delitem__ __ior__"),
    (FrozenSet, "add remove discard pop clear update __ior__ __iand__ __isub__ __ixor__"),
    (FrozenSet, "difference_update intersection_update symmetric_difference_update"),
):
    for _name in _names.split():
        setattr(_container, _name, _refusal(_name))


def freeze(value: Any, origin: Origin) -> Any:
    """Return a frozen copy of nested containers; other values as they are. O(size)."""
    frozen: Any
    kind = type(value)
    if kind is list:
        frozen = FrozenList([freeze(item, origin) for item in value])
    elif kind is dict:
        frozen = FrozenDict({key: freeze(item, origin) for key, item in value.items()})
    elif kind is set:
        frozen = FrozenSet(value)
    elif kind is tuple:
        return tuple(freeze(item, origin) for item in value)
    else:
        return value
    frozen.origin = origin
    return frozen


def read(value: Any, origin: Origin) -> Any:
    """Return a value as a mapping hands it out: it remembers its origin, or refuses to be changed. O(size)."""
    kind = type(value)
    if kind is int or kind is float:
        return track(value, origin)
    if kind is bool or value is None:
        return value
    if kind is str or kind is tuple:
        seen: Any = TrackedText(value) if kind is str else TrackedTuple(freeze(value, origin))
        seen.origin = origin
        return seen
    return freeze(value, origin)


def told_instead(line: str) -> Callable[[type[T]], type[T]]:
    """Let a frozen dataclass refuse an assignment with the line to write in its place."""

    def dress(made: type[T]) -> type[T]:
        def refuse(self: object, name: str, *_: object) -> NoReturn:
            raise FrozenInstanceError(f"{made.__name__}.{name} was read, so changing it would be lost; write {line}")

        made.__setattr__ = refuse  # type: ignore[method-assign]  # dataclass makes them, and takes none from the class
        made.__delattr__ = refuse  # type: ignore[method-assign]
        return made

    return dress
