"""What is missing of an upload, and what its chunks were accepted with: read in steps of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from redis_state.engine.op import Op, Plan, command, do, do_all
from redis_state.errors import UnknownSession
from redis_state.transfer.records import Transfers

PAGE = 16_384  # bytes of the bitmap: 131,072 chunks
PAGES_AT_ONCE = 16

_GAP = re.compile(b"0+")


def missing(records: Transfers, name: str) -> Plan[list[range]]:
    """List the chunks that have not arrived, as ranges of numbers."""
    look = command("HMGET", records.keys.record(name), *_Facts._fields[:-1], "@version", read=_read_facts)
    facts = yield from do(look)
    facts.check(name)
    if facts.whole:
        return []
    total, chunk, received = facts.total_size, facts.chunk_size, facts.bytes_received
    if not chunk:
        raise ValueError(f"{name!r} has no chunk_size, so it has no numbered chunks; it goes on at byte {received}")
    needed = None if total is None else -(-total // chunk)
    if received and not facts.chunks_received:  # filled by offsets
        return [] if needed is None else [range(received // chunk, needed)]
    bitmap = records.keys.bitmap(name)
    count = needed if needed is not None else 8 * (yield from do(command("STRLEN", bitmap, read=int)))
    pages: list[bytes] = []
    starts = range(0, (count + 7) // 8, PAGE)
    for at in range(0, len(starts), PAGES_AT_ONCE):
        reads: list[Op[Any]] = [
            command("GETRANGE", bitmap, start, start + PAGE - 1, read=bytes)
            for start in starts[at : at + PAGES_AT_ONCE]
        ]
        *found, facts = yield from do_all([*reads, look])
        facts.check(name)
        if facts.whole:  # since: and then the bitmap may have been deleted
            return []
        pages += [page.ljust(PAGE, b"\0") for page in found]
    return list(gaps(b"".join(pages), count, needed is not None))


def gaps(bitmap: bytes, count: int, known: bool) -> Iterator[range]:
    """Find the runs of zeros among the first bits. Unless the end is ``known``, those behind the last one are none."""
    if not count:
        return
    bits = f"{int.from_bytes(bitmap):0{8 * len(bitmap)}b}"[:count].encode()
    if not known:
        bits = bits.rstrip(b"0")
    for gap in _GAP.finditer(bits):
        yield range(*gap.span())


def checksums(records: Transfers, name: str) -> Plan[dict[int, str]]:
    """Read the checksums of the accepted chunks that carry one. O(n), some 500 a round trip."""
    found: dict[int, str] = {}
    cursor = b"0"
    while True:
        words = ("HSCAN", records.keys.checksums(name), cursor, "COUNT", 500)
        cursor, flat = yield from do(command(*words, read=tuple))
        found.update(zip(map(int, flat[::2]), (text.decode() for text in flat[1::2]), strict=True))
        if cursor == b"0":
            return found


class _Facts(NamedTuple):
    """What a session says of its size; None for what is no number, since applications write these fields, too."""

    total_size: int | None
    chunk_size: int | None
    bytes_received: int | None
    chunks_received: int | None
    exists: bool

    @property
    def whole(self) -> bool:
        """Whether all bytes have arrived."""
        return self.total_size is not None and (self.bytes_received or 0) >= self.total_size

    def check(self, name: str) -> None:
        if not self.exists:
            raise UnknownSession(name)


def _read_facts(raw: list[bytes | None]) -> _Facts:
    total, chunk, received, count, version = raw
    return _Facts(_number(total), _number(chunk), _number(received), _number(count), version is not None)


def _number(raw: bytes | None) -> int | None:
    """Return a stored number, whole; None for what is none."""
    try:
        return int(float(raw or b""))
    except (ValueError, OverflowError):
        return None
