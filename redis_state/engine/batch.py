"""Several ops at once: their results, and the first error among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from redis_state.engine.op import Op
from redis_state.errors import OutcomeUnknown, ServerUnavailable

if TYPE_CHECKING:
    from redis_state.engine.engine import Engine

T = TypeVar("T")


class Later(Generic[T]):
    """The result of an operation in a batch, once the batch has run."""

    __slots__ = ("_outcome",)

    def __init__(self) -> None:
        self._outcome: Any = RuntimeError("the batch has not run yet: results are there after its `with` block")

    def result(self) -> T:
        """Return the operation's result, or raise its error."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome  # type: ignore[no-any-return]


class BatchBase:
    """Operations that are sent together at the end of a block; none when it raises."""

    def __init__(self) -> None:
        self._ops: list[Op[Any]] = []
        self._later: list[Later[Any]] = []

    def add(self, op: Op[T]) -> Later[T]:
        """Add an operation. Its ``result()`` is there after the block."""
        later: Later[T] = Later()
        self._ops.append(op)
        self._later.append(later)
        return later

    def _settle(self, outcomes: Sequence[Any]) -> None:
        for later, outcome in zip(self._later, outcomes, strict=True):
            later._outcome = outcome
        raise_first(outcomes)


class Batch(BatchBase):
    """A batch of a blocking engine."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: object) -> None:
        if kind is None:
            self._settle(self._engine.run_all(self._ops, return_exceptions=True))


def unanswered(outcomes: Sequence[Any]) -> bool:
    """Tell whether a write had no answer at all before its deadline."""
    return all(isinstance(outcome, ServerUnavailable | OutcomeUnknown) for outcome in outcomes)


def not_sent(ops: Sequence[Op[Any]]) -> list[ServerUnavailable]:
    """Return the outcomes of what comes after such a write: it would wait as long again, and as much in vain."""
    text = "not sent: the write before it had no answer from the server"
    return [ServerUnavailable(text) for _ in ops]


def raise_first(outcomes: Sequence[Any]) -> None:
    """Raise the first error of a batch, with a note of where it stood."""
    for place, error in enumerate(outcomes):
        if isinstance(error, BaseException):
            if len(outcomes) > 1:
                failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
                error.add_note(f"operation {place + 1} of a batch of {len(outcomes)}; {failed} failed in all")
            raise error
