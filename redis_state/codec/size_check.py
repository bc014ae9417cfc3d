"""Bounds of what stored bytes may become: one byte may become an object of two hundred.

Stored bytes are not trusted, so what could take gigabytes is counted before anything is made of it. What is short, or
has few bytes that could begin a container, costs next to nothing.
"""

from __future__ import annotations

from redis_state.codec.limits import MAX_CONTAINERS, MAX_ITEMS

LIGHT = 24 << 20  # bytes: what is no container takes 24 times its length at most, which makes 600 MB
_CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_FLOAT, _RUN = b"\xcb", 9 * 1024
_STEPS = [1] * 256  # by the first byte of an item: how long it is
_STEPS[0xA0:0xC0] = range(1, 33)  # short texts
_STEPS[0xCA:0xD4] = 5, 9, 2, 3, 5, 9, 2, 3, 5, 9  # numbers
_STEPS[0xD4:0xD9] = 3, 4, 6, 10, 18  # extensions of one length
_STEPS[0xDC:0xE0] = 3, 5, 3, 5  # containers
_LENGTHS = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}  # bytes, texts
_LENGTHS |= {0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}  # extensions, whose kind stands behind the length


def excess(packed: bytes) -> str | None:
    """Name what MessagePack holds too much of; None when it may be read. O(items) of long texts."""
    end = len(packed)
    if end <= MAX_CONTAINERS:
        return None
    if end <= LIGHT and end - len(packed.translate(None, _CONTAINERS)) <= MAX_CONTAINERS:
        return None
    most = MAX_ITEMS if end > LIGHT else end
    items, containers, place = 0, 0, 0
    while place < end and containers <= MAX_CONTAINERS and items <= most:
        head = packed[place]
        items += 1
        if head in _LENGTHS:
            size, more = _LENGTHS[head]
            place += 1 + size + more + int.from_bytes(packed[place + 1 : place + 1 + size])
        elif head == 0xCB and packed[place : place + 27 : 9] == 3 * _FLOAT:  # many in a row, as in a waveform
            heads = packed[place : place + _RUN : 9]
            run = len(heads) - len(heads.lstrip(_FLOAT))
            items += run - 1
            place += 9 * run
        else:
            containers += head in _CONTAINERS
            place += _STEPS[head]
    if containers > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} containers"
    return f"more than {MAX_ITEMS} items" if items > most else None


def excess_json(text: bytes) -> str | None:
    """Name the same of JSON text. Brackets and commas inside strings are counted, too."""
    if len(text) <= MAX_CONTAINERS:
        return None
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS} containers"
    return f"more than {MAX_ITEMS} items" if text.count(b",") >= MAX_ITEMS else None
