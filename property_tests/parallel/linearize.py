"""Whether what several processes saw can be explained by operations that happened one at a time.

A history is linearizable when its operations can be put in an order, each at some instant between its start and its
end, in which a model says all that was said. The search is the one of Wing and Gong, with Lowe's memory: two orders of
the same operations that lead to the same model need not both be tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

from property_tests.models import UNKNOWN, Call, Model


class Event(NamedTuple):
    """An operation that somebody did. Times are seconds of one clock.

    One that is not ``certain`` happened between its start and its end, or never; nobody heard what it said.
    """

    who: str
    call: Call
    start: float
    end: float = inf
    said: Any = UNKNOWN
    certain: bool = True

    def after(self, model: Model) -> Sequence[Model]:
        """Return the models that it leads to from this one; none where it cannot have happened."""
        if self.certain:
            following = model.step(self.call, self.said)
            return () if following is None else (following,)
        return model.unknown(self.call)

    def __str__(self) -> str:
        return f"{self.who}: {self.call!r} -> {self.said!r}"


class Verdict(NamedTuple):
    """Whether there is such an order, and that order; else the longest that was found, and where it ended."""

    legal: bool
    order: tuple[Event, ...]
    model: Model


def linearize(history: Sequence[Event], model: Model) -> Verdict:
    """Look for an order of the operations in which the model says what was said."""
    wanted = _mask(place for place, event in enumerate(history) if event.certain)
    earlier = [
        _mask(place for place, other in enumerate(history) if other.certain and other.end < event.start)
        for event in history
    ]
    later = [_mask(place for place, other in enumerate(history) if event.end < other.start) for event in history]
    tried: set[tuple[int, Model]] = set()
    best: tuple[int, ...] = ()
    best_model = model
    open_ends: list[tuple[int, Model, tuple[int, ...]]] = [(0, model, ())]
    while open_ends:
        done, model, order = open_ends.pop()
        if (done, model) in tried:
            continue
        tried.add((done, model))
        if len(order) > len(best):
            best, best_model = order, model
        if done & wanted == wanted:
            return Verdict(True, tuple(history[place] for place in order), model)
        for place, event in enumerate(history):
            possible = not done >> place & 1 and not earlier[place] & ~done and not later[place] & done
            if possible:
                open_ends += [(done | 1 << place, following, (*order, place)) for following in event.after(model)]
    return Verdict(False, tuple(history[place] for place in best), best_model)


def _mask(places: Iterator[int]) -> int:
    return sum(1 << place for place in places)
