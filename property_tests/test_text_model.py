"""The text cache beside a plain Python model of it: after every step both hold the same, within the same budget."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from redis_state import Engine
from redis_state.cache import RedisTextCache
from redis_state.engine.op import command
from redis_state.errors import EntryTooLarge

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from servers import Server, available

BUDGET = 20_000
SOON = 0.004  # seconds
NAMES = st.sampled_from(["a", "b", "c", "d", "e", "longer-name-☃", "f" * 100])
SIZES = st.sampled_from([0, 10, 300, 3000, 4096, 5000, 9000, 19_000, 30_000])
MTIMES = st.sampled_from([None, 1_700_000_000_000_000_001, 1_700_000_000_000_000_002, -7])
SWEPT = 8  # expired entries that any put removes


@dataclass
class Modelled:
    content: str
    mtime: int | None
    bytes: int
    over: bool = False
    used: int = 0


def accounted(name: str, content: str) -> int:
    """What lib/size says, for an allocator that rounds nothing."""
    return len(content.encode()) + 8 + 10 + 4 * len(name.encode()) + 305


class Model:
    """Entries in order of use, the least recently used first."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, Modelled] = OrderedDict()
        self.budget = BUDGET

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries.values())

    def put(self, name: str, content: str, mtime: int | None, over: bool) -> bool:
        entry = Modelled(content, mtime, accounted(name, content), over)
        old = self.entries.get(name)
        if old and not old.over and old.mtime is not None and mtime is not None and mtime < old.mtime:
            return False
        if entry.bytes > self.budget:
            raise EntryTooLarge(name, entry.bytes, self.budget)
        self.entries.pop(name, None)
        for expired in [key for key, other in self.entries.items() if other.over][:SWEPT]:
            del self.entries[expired]
        self.make_room(self.budget - entry.bytes)
        self.entries[name] = entry
        return True

    def make_room(self, limit: int) -> None:
        for expired in [key for key, other in self.entries.items() if other.over]:
            del self.entries[expired]
        while self.bytes > limit:
            self.entries.popitem(last=False)

    def get(self, name: str, mtime: int | None) -> Modelled | None:
        entry = self.entries.get(name)
        if entry is None:
            return None
        if entry.over or (mtime is not None and mtime != entry.mtime):
            del self.entries[name]
            return None
        self.entries.move_to_end(name)
        entry.used += 1
        return entry


class TextCache(RuleBasedStateMachine):
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.cache = RedisTextCache(engine=self.engine, budget=BUDGET)
        self.model = Model()
        self.cache.cache.entries._allocator = "libc"
        self.keys = self.cache.cache.entries.shards[0]

    def teardown(self) -> None:
        client = _raw(self.engine)
        client("UNLINK", *self.keys)

    @rule(name=NAMES, size=SIZES, mtime=MTIMES, letter=st.sampled_from("xyü"))
    def put(self, name: str, size: int, mtime: int | None, letter: str) -> None:
        content = letter * size
        assert self._both(
            lambda: self.cache.put(name, content, file_mtime_ns=mtime),
            lambda: self.model.put(name, content, mtime, over=False),
        )

    @precondition(lambda self: sum(entry.over for entry in self.model.entries.values()) < SWEPT - 1)
    @rule(name=NAMES, size=SIZES)
    def put_for_a_moment(self, name: str, size: int) -> None:
        content = "z" * size
        assert self._both(
            lambda: self.cache.put(name, content, ttl=SOON), lambda: self.model.put(name, content, None, over=True)
        )
        time.sleep(SOON + 0.002)

    @rule(name=NAMES, mtime=MTIMES)
    def get(self, name: str, mtime: int | None) -> None:
        found, expected = self.cache.get(name, file_mtime_ns=mtime), self.model.get(name, mtime)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert (found.content, found.file_mtime_ns) == (expected.content, expected.mtime)
            assert found.access_count == expected.used

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        entry = self.model.entries.pop(name, None)
        assert self.cache.drop(name) == (entry is not None and not entry.over)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.entries.clear()

    @rule(budget=st.sampled_from([BUDGET, BUDGET // 2, BUDGET * 2]))
    def resize(self, budget: int) -> None:
        self.cache.resize(budget)
        self.model.budget = budget
        for expired in [name for name, entry in self.model.entries.items() if entry.over][:SWEPT]:
            del self.model.entries[expired]
        if self.model.bytes > budget:
            self.model.make_room(budget)

    def _both(self, real: Any, modelled: Any) -> bool:
        """Do the same to both; tell whether both answered the same, an error included."""
        answers = []
        for act in (real, modelled):
            try:
                answers.append(act())
            except EntryTooLarge as error:
                answers.append((error.size, error.budget))
        return bool(answers[0] == answers[1])

    @invariant()
    def both_hold_the_same_in_the_same_order(self) -> None:
        order = [name.decode() for name in _raw(self.engine)("ZRANGE", self.keys.uses, 0, -1)]
        assert order == list(self.model.entries)

    @invariant()
    def the_budget_holds_and_the_account_is_right(self) -> None:
        said, found = self.cache.stats(), self.cache.check()
        assert said.bytes == self.model.bytes == found.counted_bytes <= said.budget
        assert (found.drift, found.faults, found.entries) == (0, 0, len(self.model.entries))
        assert said.entries == sum(not entry.over for entry in self.model.entries.values())


def _raw(engine: Engine) -> Any:
    return lambda *words: engine.run(command(*words, read=lambda reply: reply))


@pytest.mark.parametrize("kind", sorted(available()))
def test_the_cache_does_what_the_model_does(kind: str) -> None:
    with Server(available()[kind]) as server, Engine.from_url(server.url) as engine:
        on_this_server = type("TextCache", (TextCache,), {"engine": engine})
        run_machine(on_this_server, settings=settings(max_examples=50, stateful_step_count=40, deadline=None))
