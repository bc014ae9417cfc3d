"""The judge is judged: histories that are right, histories that are wrong, and both compared with trying all orders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations, permutations
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from property_tests.models import Call, Claim, Lock, Mapping, Model, Refused, Text
from property_tests.parallel.linearize import Event, linearize


@dataclass(frozen=True)
class Register(Model):
    """A number that is read, written, and added to."""

    number: int = 0

    def read(self, said: Any) -> Register | bool:
        return said == self.number and self

    def write(self, said: Any, number: int) -> Register | bool:
        return said == 0 and Register(number)

    def add(self, said: Any) -> Register | bool:
        return said == self.number + 1 and Register(self.number + 1)


def did(who: str, start: float, end: float, said: Any, verb: str, *args: Any) -> Event:
    return Event(who, Call(verb, args), start, end, said)


def unheard(who: str, start: float, verb: str, *args: Any, end: float = inf) -> Event:
    return Event(who, Call(verb, args), start, end, certain=False)


RIGHT = {
    "nothing happened": (Register(), []),
    "one after the other": (Register(), [did("a", 0, 1, 0, "write", 5), did("b", 2, 3, 5, "read")]),
    "a read that overlaps a write sees the old": (
        Register(),
        [did("a", 0, 9, 0, "write", 5), did("b", 1, 2, 0, "read"), did("b", 3, 4, 5, "read")],
    ),
    "two that overlap, in either order": (Register(), [did("a", 0, 9, 2, "add"), did("b", 1, 8, 1, "add")]),
    "two writes that overlap, the first one last": (
        Register(),
        [did("a", 0, 9, 0, "write", 1), did("b", 1, 8, 0, "write", 2), did("c", 10, 11, 1, "read")],
    ),
    "two writes that overlap, the second one last": (
        Register(),
        [did("a", 0, 9, 0, "write", 1), did("b", 1, 8, 0, "write", 2), did("c", 10, 11, 2, "read")],
    ),
    "what nobody heard of has happened": (Register(), [unheard("a", 0, "add"), did("b", 5, 6, 1, "read")]),
    "what nobody heard of has not happened": (Register(), [unheard("a", 0, "add"), did("b", 5, 6, 0, "read")]),
    "what nobody heard of happens late": (
        Register(),
        [unheard("a", 0, "add"), did("b", 5, 6, 0, "read"), did("b", 7, 8, 1, "read")],
    ),
    "the second one is refused": (
        Lock(),
        [did("a", 0, 5, 7, "acquire", "a"), did("b", 1, 4, None, "acquire", "b"), did("a", 6, 7, True, "release", "a")],
    ),
    "a grant that nobody heard of": (
        Lock(),
        [unheard("a", 0, "acquire", "a"), did("b", 1, 2, None, "acquire", "b"), did("b", 3, 4, ("a", 9), "inspect")],
    ),
    "an old token, after the wipe that forgot the new one": (
        Lock(),
        [
            did("a", 0, 1, 7, "acquire", "a"),
            did("server", 2, 3, None, "expire"),
            did("b", 4, 5, 8, "acquire", "b"),
            did("server", 6, 7, None, "wipe"),
            did("a", 8, 9, True, "write", 7),
        ],
    ),
}

WRONG = {
    "lost update": (Register(), [did("a", 0, 9, 1, "add"), did("b", 1, 8, 1, "add")]),
    "lost update, seen later": (
        Register(),
        [did("a", 0, 1, 1, "add"), did("b", 2, 3, 2, "add"), did("a", 4, 5, 1, "read")],
    ),
    "stale read": (Register(), [did("a", 0, 1, 0, "write", 5), did("b", 2, 3, 0, "read")]),
    "real time is turned round": (
        Register(),
        [did("a", 0, 1, 0, "write", 1), did("b", 2, 3, 0, "write", 2), did("c", 4, 5, 1, "read")],
    ),
    "two readers disagree about the order": (
        Register(),
        [
            did("a", 0, 9, 0, "write", 1),
            did("b", 0, 9, 0, "write", 2),
            *(did("c", 2 * at, 2 * at + 1, said, "read") for at, said in enumerate((1, 2, 1))),
        ],
    ),
    "what nobody heard of happens twice": (Register(), [unheard("a", 0, "add"), did("b", 5, 6, 2, "read")]),
    "what nobody heard of is undone": (
        Register(),
        [unheard("a", 0, "add"), did("b", 5, 6, 1, "read"), did("b", 7, 8, 0, "read")],
    ),
    "what nobody heard of happens before it was asked for": (
        Register(),
        [did("b", 0, 1, 1, "read"), unheard("a", 2, "add")],
    ),
    "what nobody heard of happens after its end": (
        Register(),
        [unheard("a", 0, "add", end=4), did("b", 5, 6, 0, "read"), did("b", 7, 8, 1, "read")],
    ),
    "double grant": (Lock(), [did("a", 0, 9, 7, "acquire", "a"), did("b", 1, 8, 8, "acquire", "b")]),
    "a token that does not rise": (
        Lock(),
        [did("a", 0, 1, 7, "acquire", "a"), did("a", 2, 3, True, "release", "a"), did("b", 4, 5, 7, "acquire", "b")],
    ),
    "a stale writer is let in": (
        Lock(),
        [
            did("a", 0, 1, 7, "acquire", "a"),
            did("server", 2, 3, None, "expire"),
            did("b", 4, 5, 8, "acquire", "b"),
            did("a", 6, 7, True, "write", 7),
        ],
    ),
    "somebody else's lock is released": (
        Lock(),
        [did("a", 0, 1, 7, "acquire", "a"), did("b", 2, 3, True, "release", "b"), did("c", 4, 5, 8, "acquire", "c")],
    ),
    "done twice": (
        Claim("taken", "a", 1, newest=7, told=7),
        [did("a", 0, 9, True, "finish", "a", 7, "x"), did("b", 1, 8, True, "finish", "b", 6, "y")],
    ),
    "a version that falls": (
        Mapping(),
        [did("a", 0, 1, 9, "put", "k", {}), did("a", 2, 3, True, "remove", "k"), did("b", 4, 5, 9, "put", "k", {})],
    ),
    "more bytes than the budget": (
        Text(700),
        [
            did("a", 0, 1, True, "put", "x", "x" * 200),
            did("b", 2, 3, True, "put", "y", "y" * 200),
            did("a", 4, 5, (2, 1054, 1054), "account"),
        ],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_has_an_order(name: str) -> None:
    model, history = RIGHT[name]
    verdict = linearize(history, model)
    assert verdict.legal
    assert all(event in verdict.order for event in history if event.certain)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_has_none(name: str) -> None:
    model, history = WRONG[name]
    assert not linearize(history, model).legal


def test_a_wrong_history_is_told_up_to_where_it_went_wrong() -> None:
    history = [did("a", 0, 1, 1, "add"), did("b", 2, 3, 2, "add"), did("a", 4, 5, 1, "read"), did("b", 6, 7, 3, "add")]
    verdict = linearize(history, Register())
    assert (verdict.legal, verdict.order, verdict.model) == (False, tuple(history[:2]), Register(2))


def test_a_refusal_is_an_answer() -> None:
    history = [did("a", 0, 1, 7, "acquire", "a"), did("b", 2, 3, Refused("LockLost"), "release", "b")]
    assert linearize(history, Lock()).legal


times = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted)
calls = st.sampled_from([Call("read"), Call("add"), Call("write", (1,)), Call("write", (2,))])
events = st.builds(
    lambda call, when, said, certain: Event("a", call, *when, *((said,) if certain else (None, False))),
    calls,
    times,
    st.integers(0, 3),
    st.integers(0, 4).map(bool),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=5))
def test_the_search_finds_what_trying_all_orders_finds(history: list[Event]) -> None:
    assert linearize(history, Register()).legal == any(explains(order) for order in orders(history))


def orders(history: list[Event]) -> Any:
    """All orders of those that must have happened, and any of those that may have."""
    sure = [event for event in history if event.certain]
    may = [event for event in history if not event.certain]
    subsets = chain.from_iterable(combinations(may, size) for size in range(len(may) + 1))
    return chain.from_iterable(permutations([*sure, *some]) for some in subsets)


def explains(order: tuple[Event, ...]) -> bool:
    if any(second.end < first.start for at, first in enumerate(order) for second in order[at + 1 :]):
        return False
    models: list[Model] = [Register()]
    for event in order:
        models = [following for model in models for following in event.after(model)]
    return bool(models)
