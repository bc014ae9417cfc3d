"""The whole cache: its account, counting it again, a new budget, clearing it. Sends nothing."""

from __future__ import annotations

from redis_state.cache.text.budget import totals
from redis_state.cache.text.entry import TextCacheCheck, TextCacheStats, Totals, read_totals
from redis_state.cache.text.writes import TextOperations
from redis_state.engine.op import Op, Plan, do, do_all, just
from redis_state.engine.operation import operation
from redis_state.keys import Partition

TRIES = 10  # to correct a shard that others use meanwhile


class Page:
    """Some entries of a shard, counted again."""

    __slots__ = ("bytes", "entries", "faulty", "packed", "whole")

    def __init__(self, entries: int, counted: int, faulty: list[bytes], packed: bytes, whole: int) -> None:
        self.entries = entries
        self.bytes = counted
        self.faulty = [name.decode("utf-8", "surrogateescape") for name in faulty]
        self.packed = packed
        self.whole = bool(whole)

    @property
    def totals(self) -> Totals | None:
        return read_totals(0, self.packed) if self.packed else None


CHECK = operation("text/check", page=lambda _, *told: Page(*told))
CLEAR = operation("text/clear", cleared=just(None))
REPAIR = operation("text/repair", repaired=just(True), changed=just(False))


def stats(texts: TextOperations) -> Plan[TextCacheStats]:
    """Read the account. One round trip."""
    found = [one for one in (yield from do_all([totals(shard) for shard in texts.keys.parts])) if one is not None]
    budget = sum(one.budget for one in found) if len(found) == len(texts.keys.parts) else texts.budget.size
    return TextCacheStats(
        entries=sum(one.live for one in found),
        bytes=sum(one.bytes for one in found),
        budget=budget,
        hits=sum(one.hits for one in found),
        misses=sum(one.misses for one in found),
        evictions=sum(one.evictions for one in found),
        expirations=sum(one.expirations for one in found),
        refused=sum(one.refused for one in found),
    )


def clear(texts: TextOperations) -> Plan[None]:
    """Remove all entries; the server frees them in the background."""
    yield from do_all([cleared(shard) for shard in texts.keys.parts])


def cleared(shard: Partition) -> Op[None]:
    """Remove all entries of a shard."""
    return CLEAR(shard)


def page(shard: Partition, first: int) -> Op[Page]:
    """Count again some hundreds of entries, in order of use."""
    return CHECK(shard, first=first)


def count_shard(shard: Partition) -> Plan[tuple[TextCacheCheck, list[str], Page]]:
    """Count a shard again. Return what was found, the entries that are not whole, and the first page."""
    first = last = yield from do(page(shard, 0))
    entries, counted, faulty = first.entries, first.bytes, first.faulty
    while last.entries:
        last = yield from do(page(shard, entries))
        entries, counted = entries + last.entries, counted + last.bytes
        faulty = faulty + last.faulty
    said = first.totals
    faults = len(faulty) + (not last.whole) + (said is not None and said.entries != entries)
    return TextCacheCheck(entries, said.bytes if said else 0, counted, faults), faulty, first


def check(texts: TextOperations) -> Plan[TextCacheCheck]:
    """Count all entries again, in bounded steps, and compare."""
    found = []
    for shard in texts.keys.parts:
        checked, _, _ = yield from count_shard(shard)
        found.append(checked)
    return TextCacheCheck(
        entries=sum(one.entries for one in found),
        bytes=sum(one.bytes for one in found),
        counted_bytes=sum(one.counted_bytes for one in found),
        faults=sum(one.faults for one in found),
    )


def repair(texts: TextOperations) -> Plan[TextCacheCheck]:
    """Make the account agree with what is there, and drop what is not whole. Return what a check then finds."""
    for shard in texts.keys.parts:
        yield from _repair_shard(shard, texts)
    return (yield from check(texts))


def _repair_shard(shard: Partition, texts: TextOperations) -> Plan[None]:
    for _ in range(TRIES):
        found, faulty, first = yield from count_shard(shard)
        if not found.drift and not found.faults:
            return
        if faulty:
            yield from do_all([texts.remove(name) for name in faulty])
            continue
        said = first.totals
        if not first.whole or said is None:
            break
        if (yield from do(REPAIR(shard, packed=first.packed, bytes=found.counted_bytes, count=found.entries))):
            return
    else:
        return
    # Something is left that belongs to nothing, and only others can have written it: begin anew.
    yield from do(cleared(shard))
