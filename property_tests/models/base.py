"""What all models are made of."""

from __future__ import annotations

from typing import Any, NamedTuple, Self


class Call(NamedTuple):
    """An operation: a method of the model, and what it is given."""

    verb: str
    args: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"{self.verb}({', '.join(map(repr, self.args))})"


class Refused(NamedTuple):
    """What an operation said that raised: the error's name, and those of its facts that are judged."""

    error: str
    facts: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"{self.error}({', '.join(map(repr, self.facts))})"


class Table(dict[Any, Any]):
    """A dict that is never changed after it was made, so it can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def having(self, key: Any, value: Any) -> Table:
        """Return a copy with this entry."""
        return Table({**self, key: value})

    def without(self, key: Any) -> Table:
        """Return a copy that lacks this entry."""
        return Table({other: value for other, value in self.items() if other != key})


EMPTY = Table()


class _Unknown:
    """What was said, where nobody heard it. It equals everything, so a model takes it for the right answer."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "?"

    def __reduce__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()
NOTHING, YES, NO = None, True, False  # to be compared by ``==``, since what is unknown equals them all


class Above:
    """Equals every whole number above a floor."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, floor: int) -> None:
        self.floor = floor

    def __eq__(self, other: object) -> bool:
        return other is UNKNOWN or (type(other) is int and other > self.floor)

    def __repr__(self) -> str:
        return f"more than {self.floor}"


class Model:
    """A state. Each operation is a method ``verb(said, *args)`` that returns the next one, or something false."""

    def step(self, call: Call, said: Any) -> Self | None:
        """Return the model after a call that said this; None when it could not have said it here."""
        return getattr(self, call.verb)(said, *call.args) or None

    def unknown(self, call: Call) -> list[Self]:
        """Return the models that a call has left behind of which nobody knows whether it happened."""
        happened = self.step(call, UNKNOWN)
        return [self] if happened is None or happened == self else [self, happened]
