"""The scripts that are measured, and their twins: the same text, declared `same` instead of `once`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis_state import Op
from redis_state.engine.op import Call
from redis_state.engine.registry import home, script
from redis_state.engine.script import Script, parse

COUNT = script("index/count")

_ADD = """
-- bench/add: the least that a script can write.
--
-- Said twice: once.  Work: O(1).  When full: refuses.
-- Replies  {'counted', number}
local entry = KEYS[1]

redis.call('PEXPIRE', entry, 7200000)
return { 'counted', redis.call('HINCRBY', entry, 'n', 1) }
"""


@dataclass(frozen=True)
class Twin:
    """A script that acts once, and its twin that acts each time it is said."""

    name: str
    once: Script
    same: Script
    fill: Callable[[Script], Call]

    def op(self, which: Script) -> Op[Any]:
        """Return a call whose reply is a number, or nothing."""
        return self.fill(which).meaning(**dict.fromkeys(which.said, _last))


def _last(*rest: bytes | int) -> int | None:
    return int(rest[-1]) if rest else None


def _source(name: str) -> str:
    return (home() / f"{name}.lua").read_text(encoding="utf-8")


def _twin(name: str, fill: Callable[[Script], Call], source: str = "") -> Twin:
    source = source or _source(name)
    once = parse(name, source, _source)
    # What acts once is given the time; its twin has to ask for it, if it needs it.
    asked = "local clock = include('lib/clock')\nlocal now_us = clock.us() " if "now_us" in source else ""
    same = parse(name, asked + source.replace("Said twice: once", "Said twice: same"), _source)
    if (once.kind, same.kind) != ("once", "same"):
        raise ValueError(f"{name} is of class {once.kind}; a twin needs one of class once")
    return Twin(name, once, same, fill)


def _increment(script: Script) -> Call:
    return script(
        entry="rs:{bench}:r:counter",
        partition="rs:{bench}:i",
        guard="rs:{bench}:f:counter",
        companions=[],
        name="counter",
        ttl_ms=7_200_000,
        owner="bench",
        token="",
        field="n",
        by="1",
        create=1,
    )


def _put(script: Script) -> Call:
    return script(
        entry="rs:{bench}:v:text",
        partition="rs:{bench}:i",
        name="text",
        ttl_ms=7_200_000,
        expected="",
        value=b"x" * 120,
    )


def _add(script: Script) -> Call:
    return script(entry="rs:{bench}:r:least")


INCREMENT = _twin("record/increment", _increment)
PUT = _twin("value/put", _put)
ADD = _twin("bench/add", _add, _ADD)
