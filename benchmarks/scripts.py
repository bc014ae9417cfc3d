"""The scripts that are measured, each also with the same text declared `idempotent` instead of `deduplicated`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis_state.engine.operation import Operation, ScriptOp
from redis_state.engine.registry import lua_directory
from redis_state.engine.script import Script, parse
from redis_state.keys import Keys

KEYS = Keys("bench")

_ADD = """
-- bench/add: the least that a script can write.
--
-- Retry: deduplicated.  Work: O(1).  allow-oom: no.
-- Replies  {'counted', number}
local entry = KEYS[1]  -- hash: the record

redis.call('PEXPIRE', entry, 7200000)
return { 'counted', redis.call('HINCRBY', entry, 'n', 1) }
"""


@dataclass(frozen=True)
class Pair:
    """A script that acts once, and the same text that acts each time it arrives."""

    name: str
    deduplicated: Script
    plain: Script
    fill: Callable[[Operation], ScriptOp[Any]]

    def op(self, which: Script) -> ScriptOp[Any]:
        """Return a call whose reply is a number, or nothing."""
        return self.fill(Operation(which, dict.fromkeys(which.tags, _last)))


def _last(_: object, *rest: bytes | int) -> int | None:
    return int(rest[-1]) if rest else None


def _source(name: str) -> str:
    return (lua_directory() / f"{name}.lua").read_text(encoding="utf-8")


def _pair(name: str, fill: Callable[[Operation], ScriptOp[Any]], source: str = "") -> Pair:
    source = source or _source(name)
    deduplicated = parse(name, source, _source)
    # A deduplicated script is given the time; the plain one has to ask for it, if it needs it.
    asked = "local clock = include('lib/clock')\nlocal now_us = clock.us() " if "now_us" in source else ""
    plain = parse(name, asked + source.replace("Retry: deduplicated", "Retry: idempotent"), _source)
    if (deduplicated.kind, plain.kind) != ("deduplicated", "idempotent"):
        raise ValueError(f"{name} is of class {deduplicated.kind}; only deduplicated scripts are measured so")
    return Pair(name, deduplicated, plain, fill)


def _increment(increment: Operation) -> ScriptOp[Any]:
    return increment(
        KEYS, "counter", companions=[], ttl_ms=7_200_000, owner="bench", token="", field="n", by="1", create=1
    )


def _put(put: Operation) -> ScriptOp[Any]:
    return put(KEYS, "text", ttl_ms=7_200_000, expected="", new=b"x" * 120)


def _add(add: Operation) -> ScriptOp[Any]:
    return add(KEYS, "least")


INCREMENT = _pair("record/increment", _increment)
PUT = _pair("value/put", _put)
ADD = _pair("bench/add", _add, _ADD)
