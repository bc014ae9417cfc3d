"""The budget of the text cache: how many bytes it may take, what the server says of that, and how room is made.

Sends nothing; what takes round trips is a plan.
"""

from __future__ import annotations

import warnings

from redis_state.cache.text.entry import Totals, read_totals
from redis_state.clock import monotonic
from redis_state.config import checked_budget
from redis_state.engine.op import Op, Plan, command, do, just
from redis_state.engine.operation import operation
from redis_state.engine.server_check import Memory, enforce, read_memory, too_small
from redis_state.errors import ServerRefused
from redis_state.events import UNHEARD, Events, TextsEvicted
from redis_state.keys import Keys, Partition

BUDGET = 8 << 30  # bytes

SWEEP = operation("text/sweep", swept=just(True), more=just(False))
STATS = operation("text/stats", totals=lambda _, *counts: read_totals(*counts), empty=just(None))


class Budget:
    """The budget of one namespace, as far as this process knows it, and the server that keeps it.

    The budget is kept with the data, and the first container's counts. ``share`` is that of each shard in bytes: the
    one asked for, until a put has told the one that counts.
    """

    __slots__ = ("_asked", "_events", "_parts", "_server", "_unsafe", "allocator", "share")

    def __init__(
        self,
        keys: Keys,
        size: int | None = None,
        unsafe: str = "warn",
        server: str = "",
        events: Events = UNHEARD,
    ) -> None:
        self._parts = keys.parts
        self._asked = size is not None
        self._unsafe = unsafe
        self._server = server
        self._events = events
        self.share = checked_budget("budget", BUDGET if size is None else size) // len(keys.parts)
        self.allocator = ""  # of the server's memory; '' until it was asked

    @property
    def size(self) -> int:
        """The budget of all shards in bytes."""
        return self.share * len(self._parts)

    def probe(self) -> Plan[None]:
        """Ask the server how its memory is set up, and whether the budget fits. One that refuses to say is well."""
        try:
            memory = yield from do(command(None, "INFO", "memory", read=read_memory))
        except ServerRefused:
            memory = Memory()
        enforce(too_small(memory, self._server, self.size), self._unsafe)
        self.allocator = memory.allocator

    def agree(self, share: int) -> None:
        """Take over the share that the data says. Warns once when this process asked for another budget."""
        if share == self.share:
            return
        if self._asked:
            size = share * len(self._parts)
            text = f"the text cache's budget is {size} bytes, as said elsewhere, not {self.size}"
            warnings.warn(f"{text}; resize() changes it for all", RuntimeWarning, stacklevel=3)
        self.share = share

    def resize(self, size: int) -> Plan[None]:
        """Change the budget for all containers, and evict what is beyond it."""
        checked_budget("budget", size)
        share = size // len(self._parts)
        for shard in self._parts:
            yield from self.sweep(shard, share, budget=share)
        self.share = share

    def make_room(self, shard: Partition, size: int) -> Plan[bool]:
        """Evict ``size`` bytes, for a server at its memory limit. False when nothing is left to evict."""
        before = yield from do(totals(shard))
        if before is None or not before.entries:
            return False
        yield from self.sweep(shard, max(0, before.bytes - size))
        return True

    def sweep(self, shard: Partition, limit: int, *, budget: int = 0) -> Plan[None]:
        """Evict until a shard has ``limit`` bytes at most, in steps that each block the server briefly.

        What was used least recently goes first. ``budget``: the shard's new one.
        """
        began = monotonic()
        while not (yield from do(swept(shard, budget, limit))):
            pass
        if self._events.hooks:
            self._events.tell(TextsEvicted(shard.namespace, limit, monotonic() - began))


def totals(shard: Partition) -> Op[Totals | None]:
    """Read the account of a shard; None when nothing was ever put."""
    return STATS(shard)


def swept(shard: Partition, budget: int, limit: int) -> Op[bool]:
    """Evict some hundreds of entries at the most; tell whether the shard is down to ``limit``."""
    return SWEEP(shard, budget=budget, limit=limit)
