"""What comes out of a record: numbers that remember what was added to them, and frozen lists, dicts and sets.

Assigning to a field is atomic; changing a list inside a snapshot would change nothing in Redis. So
code written for a plain dict either does the right thing across containers, or hears why not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn


class Origin:
    """Where a snapshot's value came from: it is named in errors, and numbers are matched by it."""

    __slots__ = ("field", "key", "record", "seen", "spent")

    def __init__(self, record: Any, key: str, field: str, seen: Any) -> None:
        self.record = record
        self.key = key
        self.field = field
        self.seen = seen
        self.spent = False  # what was added has been sent; sent once more, it would count twice

    def advice(self, did: str) -> TypeError:
        """Return the error for a change that would be lost, with the line to write instead."""
        what = f"m[{self.key!r}][{self.field!r}]"
        return TypeError(
            f"{what} is a snapshot, so {did} would be lost; write "
            f"m.mutate({self.key!r}, lambda r: ...), changing r[{self.field!r}] there"
        )


class _Tracked:
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


class TrackedInt(_Tracked, int):
    def __plain__(self) -> int:
        return int(self)


class TrackedFloat(_Tracked, float):
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


class _Frozen:
    """A container out of a snapshot. ``thaw`` makes a plain copy."""

    origin: Origin

    def __plain__(self) -> Any:
        return thaw(self)

    def __reduce__(self) -> tuple[Any, ...]:
        plain = self.__plain__()
        return type(plain), (plain,)

    def __copy__(self) -> Any:
        return self.__plain__()

    def __deepcopy__(self, memo: object) -> Any:
        return self.__plain__()


class FrozenList(_Frozen, list[Any]):
    pass


class FrozenDict(_Frozen, dict[Any, Any]):
    pass


class FrozenSet(_Frozen, set[Any]):
    pass


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


def thaw(value: Any) -> Any:
    """Return a plain copy: lists, dicts, sets and numbers of the built-in types. O(size)."""
    if isinstance(value, _Tracked):
        return value.__plain__()
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if type(value) is tuple:
        return tuple(thaw(item) for item in value)
    if isinstance(value, set):
        return set(value)
    return value
