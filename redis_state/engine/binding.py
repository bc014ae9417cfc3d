"""An engine, and what is made for its keys: one pair, which is read and replaced as one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from redis_state.engine.default import default_engine
from redis_state.engine.engine import Engine
from redis_state.engine.op import Op, Plan

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E", covariant=True)


class Binding(Generic[E]):
    """The engine that was given, or the default one, whichever that is now, and what ``make`` makes for it.

    A binding to the default engine can be pickled if ``make`` can: it is then one to the default engine of the
    process it comes to.
    """

    __slots__ = ("_default", "_given", "_made", "_make", "_pair")

    def __init__(
        self, engine: Engine | None, make: Callable[[Engine], E], default: Callable[[], Engine] = default_engine
    ) -> None:
        self._given = engine
        self._make = make
        self._default = default
        self._made: weakref.WeakKeyDictionary[Engine, E] = weakref.WeakKeyDictionary()
        self._pair: tuple[Engine | None, E | None] = (None, None)

    def here(self) -> tuple[Engine, E]:
        """Return the engine in use, and what is made for it: each engine has one such, in all threads."""
        engine = self._given or self._default()
        pair: Any = self._pair
        if pair[0] is not engine:
            found = self._made.get(engine)
            if found is None:
                found = self._made.setdefault(engine, self._make(engine))
            pair = self._pair = engine, found
        return pair  # type: ignore[no-any-return]

    def run(self, build: Callable[Concatenate[E, P], Op[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Build an operation, and run it."""
        engine, made = self.here()
        return engine.run(build(made, *args, **kwargs))

    def follow(self, build: Callable[Concatenate[E, P], Plan[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Build a plan, and follow it."""
        engine, made = self.here()
        return engine.follow(build(made, *args, **kwargs))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._given is not None:
            raise TypeError(
                "it was given an engine, which stays in its process: only what is on the default engine can be pickled"
            )
        return Binding, (None, self._make, self._default)
