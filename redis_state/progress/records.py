"""The records of runs, and what one object has seen of them.

Whatever an application writes there, the count stays from 0 to the total: what goes beyond is cut, as ``advance`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis_state.codec import decode
from redis_state.durations import ttl_ms
from redis_state.engine.op import Op, just
from redis_state.engine.operation import Operation, operation, raises
from redis_state.keys import Keys
from redis_state.mapping.generations import GenerationRecords, Generations
from redis_state.mapping.record_format import stored_fields
from redis_state.mapping.record_operations import ADDED, PATCHED, Fence

COUNT, TOTAL = "processed_segments", "total_segments"
BOUND = frozenset({COUNT, TOTAL})

PATCH = operation("progress/patch", **PATCHED, was=just(True))
FILL = operation(
    "progress/patch",
    patched=lambda call, _: (True, call.about),
    was=lambda _, raw: (False, decode(raw)),
    missing=raises(KeyError),
    stale=raises(KeyError),  # never, without a token
)
INCREMENT = operation("progress/increment", **ADDED)


class RunOperations(GenerationRecords):
    """Operations on the records of runs. ``completions``: the completion that this object was given, by run."""

    __slots__ = ("completions",)

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[str] = (),
    ) -> None:
        super().__init__(keys, ttl, owner, companions)
        self.completions = Generations()

    def sees(self, name: str, generation: bytes | int | None) -> None:
        if self.generations.of(name) != int(generation or 0):
            self.completions.forget(name)
        super().sees(name, generation)

    # --- what applications write ------------------------------------------------------------------

    def patch(self, name: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> Op[bool]:
        if BOUND.isdisjoint(fields):
            return super().patch(name, fields, ttl=ttl, fence=fence)
        return PATCH(
            self.keys,
            name,
            companions=self._companions,
            **self._fenced(name, fence),
            ttl_ms=0 if ttl is None else ttl_ms(ttl),
            absent=0,
            fields=stored_fields(name, fields),
        )

    def fill(self, name: str, field: str, value: Any) -> Op[tuple[bool, Any]]:
        if field not in BOUND:
            return super().fill(name, field, value)
        fields = stored_fields(name, {field: value})
        return FILL(self.keys, name, value, companions=self._companions, token="", ttl_ms=0, absent=1, fields=fields)

    def increment(
        self, name: str, field: str, by: float = 1, *, fence: Fence = None, create: bool = True
    ) -> Op[int | float]:
        if field not in BOUND:
            return super().increment(name, field, by, fence=fence, create=create)
        return self._add(INCREMENT, name, field, by, fence, create)

    def _put(self, put: Operation, name: str, value: Mapping[str, Any], *rest: Any) -> Op[Any]:
        return super()._put(put, name, _within(value), *rest)


def _within(value: Any) -> Any:
    """Return an entry whose count is from 0 to its total, where both are numbers."""
    known = dict(value) if isinstance(value, Mapping) else {}
    count: Any = known.get(COUNT)
    total: Any = known.get(TOTAL)
    if not (_is_number(count) and _is_number(total)) or 0 <= count <= total:
        return value
    return {**known, COUNT: max(0, min(count, total))}


def _is_number(value: Any) -> bool:
    """Tell whether it is a number, neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0
