"""Chunks that have not arrived of an upload, and checksums of those that have: read in steps of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from redis_state.engine.op import Op, Plan, command, do, do_all
from redis_state.engine.pages import scan
from redis_state.errors import UnknownSession
from redis_state.keys import text_of
from redis_state.mapping.record_format import whole_number
from redis_state.transfer.records import TransferOperations

PAGE = 16_384  # bytes of the bitmap: 131,072 chunks
PAGES_AT_ONCE = 16

_ZEROS = re.compile(b"0+")


def missing_chunks(records: TransferOperations, name: str) -> Plan[list[range]]:
    """List the chunks that have not arrived, as ranges of numbers: what arrives then is of the upload seen here."""
    name = text_of(name)
    fields = (*_Facts._fields[:-2], "@version", "@generation")
    look = command(records.keys, "HMGET", records.keys.key("entry", name), *fields, name=name, read=_read_facts)
    facts = yield from do(look)
    records.sees(name, facts.generation)
    facts.check(name)
    if facts.whole:
        return []
    total, chunk, received = facts.total_size, facts.chunk_size, facts.bytes_received
    if not chunk:
        raise ValueError(f"{name!r} has no chunk_size, so it has no numbered chunks; it goes on at byte {received}")
    needed = None if total is None else -(-total // chunk)
    if received and not facts.chunks_received:  # filled by offsets
        return [] if needed is None else [range(received // chunk, needed)]
    bitmap = records.keys.key("bitmap", name)
    length = command(records.keys, "STRLEN", bitmap, name=name, read=int)
    count = needed if needed is not None else 8 * (yield from do(length))
    pages: list[bytes] = []
    starts = range(0, (count + 7) // 8, PAGE)
    for at in range(0, len(starts), PAGES_AT_ONCE):
        reads: list[Op[Any]] = [
            command(records.keys, "GETRANGE", bitmap, start, start + PAGE - 1, name=name, read=bytes)
            for start in starts[at : at + PAGES_AT_ONCE]
        ]
        *found, facts = yield from do_all([*reads, look])
        facts.check(name)
        if facts.whole:  # since: and then the bitmap may have been deleted
            return []
        pages += [page.ljust(PAGE, b"\0") for page in found]
    return list(missing_runs(b"".join(pages), count, needed is not None))


def missing_runs(bitmap: bytes, count: int, known: bool) -> Iterator[range]:
    """Find the runs of zeros among the first bits. Unless the end is ``known``, those behind the last one are none."""
    if not count:
        return
    bits = f"{int.from_bytes(bitmap):0{8 * len(bitmap)}b}"[:count].encode()
    if not known:
        bits = bits.rstrip(b"0")
    for run in _ZEROS.finditer(bits):
        yield range(*run.span())


def checksums(records: TransferOperations, name: str) -> Plan[dict[int, str]]:
    """Read the checksums of the accepted chunks that carry one. O(n), some 500 a round trip."""
    flat = yield from scan(records.keys.of(name), "HSCAN", records.keys.key("checksums", name))
    return dict(zip(map(int, flat[::2]), (text.decode() for text in flat[1::2]), strict=True))


class _Facts(NamedTuple):
    """Sizes and counts of a session; None where the field holds no number."""

    total_size: int | None
    chunk_size: int | None
    bytes_received: int | None
    chunks_received: int | None
    exists: bool
    generation: int

    @property
    def whole(self) -> bool:
        """Whether all bytes have arrived."""
        return self.total_size is not None and (self.bytes_received or 0) >= self.total_size

    def check(self, name: str) -> None:
        if not self.exists:
            raise UnknownSession(name)


def _read_facts(raw: list[bytes | None]) -> _Facts:
    total, chunk, received, count, version, generation = raw
    numbers = whole_number(total), whole_number(chunk), whole_number(received), whole_number(count)
    return _Facts(*numbers, version is not None, int(generation or 0))
