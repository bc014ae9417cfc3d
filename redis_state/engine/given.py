"""What a constructor is given: names, and an engine."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeVar

from redis_state.engine.base import EngineBase
from redis_state.engine.engine import Engine

E = TypeVar("E")


def given(owner: object, kind: type[EngineBase], *arguments: Any) -> tuple[Any, ...]:
    """Return a constructor's arguments in their order, the engine last. None stands for the default engine.

    An engine is told by its type, so it may be given in any place: ``ProgressState(engine)``. ``TypeError`` in the
    name of the owner for one of another kind.
    """
    *names, engine = arguments
    for place, one in enumerate(names):
        if isinstance(one, EngineBase):
            *names, engine = *names[:place], *names[place + 1 :], engine, one
            break
    if engine is not None:
        checked_engine(owner, engine, kind)
    return (*names, engine)


def takes_engine(owner: object, engine: Any) -> None:
    """Refuse what is no blocking engine, in the name of the class that was given it; None is the default one."""
    if engine is not None:
        checked_engine(owner, engine, Engine)


def checked_engine(owner: object, engine: Any, kind: type[E]) -> E:
    """Return an engine of the kind that its owner needs; ``TypeError`` for anything else, naming what to write."""
    if isinstance(engine, kind):
        return engine
    name = type(owner).__name__
    if isinstance(engine, str) and "://" in engine:
        raise TypeError(
            f"{name}: engine is an {kind.__name__}, not a URL: {kind.__name__}.from_url(...) makes one of it"
        )
    if isinstance(engine, EngineBase):
        how, other = ("blocking", "an AsyncEngine") if kind is Engine else ("awaited", "an Engine")
        there = _twin(type(owner), kind)
        raise TypeError(f"{name} is {how}; for {other} use {there}")
    raise TypeError(f"{name}: engine is an {kind.__name__}, not {type(engine).__name__}")


def _twin(owner: type, kind: type) -> str:
    """Return the name of what takes the other kind of engine in place of this class, or of its nearest public base."""
    homes = ["redis_state.aio"] if kind is Engine else ["redis_state", "redis_state.state", "redis_state.cache"]
    for base in owner.__mro__:
        short = base.__name__.removeprefix("Redis")
        for home in homes:
            for name in (short, f"Redis{short}"):
                if name in getattr(import_module(home), "__all__", ()):
                    return f"{home}.{name}"
    return "the class of that name in " + homes[0]
