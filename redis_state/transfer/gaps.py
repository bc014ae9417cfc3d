"""What is missing of an upload, and what its chunks were accepted with: read in steps of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from redis_state.engine.op import Plan, command, do, do_all
from redis_state.errors import UnknownSession
from redis_state.transfer.records import Transfers

PAGE = 16_384  # bytes of the bitmap: 131,072 chunks
PAGES_AT_ONCE = 16

_GAP = re.compile(b"0+")


def missing(records: Transfers, name: str) -> Plan[list[range]]:
    """List the chunks that have not arrived, as ranges of numbers."""
    fields = ("total_size", "chunk_size", "bytes_received", "chunks_received", "@version")
    facts: list[bytes | None] = yield from do(command("HMGET", records.keys.record(name), *fields, read=list))
    if facts[4] is None:
        raise UnknownSession(name)
    total, chunk, received, count = (_number(raw) for raw in facts[:4])
    if total is not None and (received or 0) >= total:
        return []
    if not chunk:
        raise ValueError(f"{name!r} has no chunk_size, so it has no numbered chunks; it goes on at byte {received}")
    needed = None if total is None else -(-total // chunk)
    if received and not count:  # filled by offsets
        return [] if needed is None else [range(received // chunk, needed)]
    bitmap = records.keys.bitmap(name)
    if needed is None:
        needed = 8 * (yield from do(command("STRLEN", bitmap, read=int)))
        known = False
    else:
        known = True
    pages: list[bytes] = []
    starts = range(0, (needed + 7) // 8, PAGE)
    for at in range(0, len(starts), PAGES_AT_ONCE):
        reads = [
            command("GETRANGE", bitmap, start, start + PAGE - 1, read=bytes)
            for start in starts[at : at + PAGES_AT_ONCE]
        ]
        pages += [page.ljust(PAGE, b"\0") for page in (yield from do_all(reads))]
    return list(gaps(b"".join(pages), needed, known))


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


def _number(raw: bytes | None) -> int | None:
    """Return a stored number, whole; None for what is none, since applications write these fields, too."""
    try:
        return int(float(raw or b""))
    except (ValueError, OverflowError):
        return None
