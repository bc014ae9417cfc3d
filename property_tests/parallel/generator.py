"""Programs, and how they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from property_tests.models import Call

PAUSES = (0.0, 0.0, 0.0, 0.0001, 0.0003, 0.001)  # seconds
LONG_PAUSES = (0.0, 0.0, 0.001, 0.003)  # so that a fault finds something under way
LOSSES = ("lose replies", "slow", "hold")
MOMENTS = ("cut", "kill", "stop", "forget", "freeze", "mute", "crash")
WIPES = ("flush", "lose data")


class Step(NamedTuple):
    """An operation, and the pause before it in seconds."""

    call: Call
    pause: float = 0.0

    def __repr__(self) -> str:
        return f"{self.call!r} after {1000 * self.pause:g} ms" if self.pause else repr(self.call)


class Fault(NamedTuple):
    """Something that goes wrong: what, how many ms after the start, and to which branch.

    ::

        lose replies    the server runs some calls, and their replies are lost
        slow            each reply comes 2 ms late
        hold            two requests are held back on their way, and delivered after all their copies
        cut             every connection is cut
        kill            a worker is killed; another one goes on with its next step
        stop            a worker stands still for a while
        forget          the server forgets all scripts
        freeze          the server stands still for a while
        mute            no reply comes for longer than a call is tried
        crash           the server is killed, and started again with its data
        flush           all data is lost, by FLUSHALL
        lose data       all data is lost: the server is killed, and started again with none
    """

    what: str
    at: int = 0
    who: int = 0


@dataclass(frozen=True)
class Program:
    """Steps that the first worker does alone, then branches that run side by side, one worker each."""

    before: tuple[Step, ...]
    branches: tuple[tuple[Step, ...], ...]
    faults: tuple[Fault, ...] = ()

    @property
    def harmless(self) -> bool:
        """Whether every call has one copy."""
        return not self.faults

    def has(self, what: str) -> bool:
        """Whether there is such a fault."""
        return any(fault.what == what for fault in self.faults)


def a_call(verb: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """Make calls of an operation; an argument that is None at the end is left out."""
    return st.tuples(*args).map(lambda given: Call(verb, given[: -1 if given and given[-1] is None else None]))


def often(times: int, calls: st.SearchStrategy[Call]) -> list[st.SearchStrategy[Call]]:
    """Return alternatives for ``one_of`` that count as so many; it would take what is the same for one."""
    return [calls.map(lambda call: call) for _ in range(times)]


def programs(
    calls: st.SearchStrategy[Call], openings: Sequence[Sequence[Call]] = ((),), *, longest: int = 4
) -> st.SearchStrategy[Program]:
    """Make programs of these operations, without faults, that begin with one of the openings."""
    return _of(calls, PAUSES, openings, longest, st.just(()))


def faulty_programs(
    calls: st.SearchStrategy[Call], openings: Sequence[Sequence[Call]] = ((),), *, longest: int = 4
) -> st.SearchStrategy[Program]:
    """Make programs with one to three faults."""
    kinds = [*LOSSES, *LOSSES, *MOMENTS, *WIPES]
    fault = st.builds(Fault, st.sampled_from(kinds), st.integers(0, 8), st.integers(0, 3))
    faults = st.lists(fault, min_size=1, max_size=3, unique_by=lambda fault: fault.what).map(tuple)
    return _of(calls, LONG_PAUSES, openings, longest, faults.filter(_decidable))


def _decidable(faults: tuple[Fault, ...]) -> bool:
    """Tell whether each call acts once: not where its memory is lost before the last copy of it comes."""
    kinds = {fault.what for fault in faults}
    return not ("hold" in kinds and kinds & set(WIPES))


def _of(
    calls: st.SearchStrategy[Call],
    pauses: Sequence[float],
    openings: Sequence[Sequence[Call]],
    longest: int,
    faults: st.SearchStrategy[tuple[Fault, ...]],
) -> st.SearchStrategy[Program]:
    steps = st.builds(Step, calls, st.sampled_from(pauses))
    opening = st.sampled_from(openings).map(lambda calls: tuple(map(Step, calls)))
    before = st.tuples(opening, st.lists(steps, max_size=3).map(tuple)).map(lambda both: both[0] + both[1])
    branch = st.lists(steps, min_size=1, max_size=longest).map(tuple)
    branches = st.lists(branch, min_size=2, max_size=4).map(tuple)
    return st.builds(Program, before, branches, faults)
