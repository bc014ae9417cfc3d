"""Generations of a name: a late write about one entry does not count in the next entry of that name.

A run, an upload or a download can be begun anew under the name of an earlier one. Each object remembers the generation
that it saw last and sends it with what it counts; the script compares. An object that never saw one sends none, and
writes to whatever is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis_state.engine.op import Op, command
from redis_state.keys import Keys, text_of
from redis_state.mapping.record_format import Snapshot, snapshot
from redis_state.mapping.record_operations import RecordOperations

KEPT = 4096  # names that are remembered at least: the most recently used


class Generations:
    """Generations by name, of the most recently used names. Safe for several threads, and for signal handlers."""

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def of(self, name: str) -> int | str:
        """Return the generation as it is sent: an empty text when none is remembered."""
        found = self._young.get(name)
        return self._old.get(name, "") if found is None else found

    def saw(self, name: str, number: int) -> None:
        """Remember a generation. When there are too many names, the least recently used are forgotten."""
        if len(self._young) >= KEPT:
            self._old, self._young = self._young, {}
        self._young[name] = number

    def forget(self, name: str) -> None:
        """Forget a name: the next write goes to whatever is there."""
        self._old.pop(name, None)
        self._young.pop(name, None)


class GenerationRecords(RecordOperations):
    """Operations on records that may be begun anew. A read notes the generation that later writes are about."""

    __slots__ = ("generations",)

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[str] = (),
    ) -> None:
        super().__init__(keys, ttl, owner, companions)
        self.generations = Generations()

    def get(self, name: str) -> Op[Snapshot | None]:
        name = text_of(name)

        def read(flat: Sequence[bytes]) -> Snapshot | None:
            self.sees(name, dict(zip(flat[::2], flat[1::2], strict=True)).get(b"@generation"))
            return snapshot(name, flat)

        return command(self.keys, "HGETALL", self.entry(name), name=name, read=read)

    def sees(self, name: str, generation: bytes | int | None) -> None:
        """Note the generation that is there now; an entry that an application has put itself has none."""
        number = int(generation or 0)
        if not number:
            self.generations.forget(name)
        elif self.generations.of(name) != number:
            self.generations.saw(name, number)

    def heard(self, name: str, generation: bytes | int) -> None:
        """Note the generation that a reply was about, unless a later one was seen since the call was made."""
        number, known = int(generation or 0), self.generations.of(name)
        if number != known and (not number or number >= int(known or 0)):
            self.sees(name, number)
