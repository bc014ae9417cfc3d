"""A Lua file as a value: its slots, its words, the text that Redis runs, and its digest. Pure.

The file's own prologue is the contract, so no second list of names can drift away from it::

    local lock    = KEYS[1]                  -- a key slot, filled by name
    local segment = tonumber(ARGV[1])        -- a word slot
    local others  = { unpack(KEYS, 2) }      -- the rest: a list

The header lists the replies, how a call may be sent again (``Retry: deduplicated``, ``no-writes``,
``idempotent``, or ``falls back to`` a script of class ``no-writes``), and whether the script runs at the
memory limit (``allow-oom``).
``local x = include('lib/x')`` brings in a module: see ``lua_linker``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha1
from typing import Any

from redis_state.engine.lua_linker import Sources, fold, link
from redis_state.errors import ContractError

_SLOT = re.compile(r"^local\s+(\w+)\s*=\s*(?:tonumber\()?(KEYS|ARGV)\[(\d+)\]\)?\s*(?:--.*)?$")
_REST = re.compile(r"^local\s+(\w+)\s*=\s*\{\s*unpack\((KEYS|ARGV),\s*(\d+)\)\s*\}\s*(?:--.*)?$")
_RETRY = re.compile(
    r"^-- .*Retry: (?:(deduplicated|no-writes|idempotent)|falls back to ([a-z_]+/[a-z_]+))\.", re.MULTILINE
)
_OOM = re.compile(r"^-- .*allow-oom: (yes|no)\b", re.MULTILINE)
_TAG = re.compile(r"^--(?: Replies)?\s+\{'([a-z_]+)'", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """One script of ``lua/``. ``operation`` binds it to the meanings of its replies."""

    name: str
    kind: str  # "deduplicated" | "no-writes" | "idempotent" | "fallback"
    fallback: str  # of kind "fallback": the name of the script that is sent in place of a copy
    allow_oom: bool
    keys: tuple[str, ...]  # the names of the key slots, in order
    rest_of_keys: str | None
    args: tuple[str, ...]
    rest_of_args: str | None
    tags: frozenset[str]  # what replies begin with
    _source: str = field(repr=False)
    _sources: Sources = field(repr=False, compare=False)

    @cached_property
    def text(self) -> str:
        """What Redis runs: modules folded in when it is first asked for, calls remembered, lines where they were."""
        text = link(_code(self._source), self._sources)
        if self.kind != "deduplicated":
            return text
        told = f"local allow_oom = {str(self.allow_oom).lower()}"
        return f"{told} local function body(now_us) {text}end {fold(self._sources('lib/once'))}\n"

    @cached_property
    def sha(self) -> str:
        """The digest of the text, by which EVALSHA calls it."""
        return sha1(self.text.encode()).hexdigest()

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of all slots."""
        return tuple(filter(None, (*self.keys, self.rest_of_keys, *self.args, self.rest_of_args)))

    def __repr__(self) -> str:
        return f"<Script {self.name} {self.kind}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from redis_state.engine.registry import script

        return script, (self.name,)


def parse(name: str, source: str, sources: Sources) -> Script:
    """Read a script's source. ``sources`` returns the source of a module by name."""
    retry = _RETRY.search(source)
    oom = _OOM.search(source)
    if not retry or not oom:
        raise ContractError(
            f"{name}: its header must say 'Retry: deduplicated|no-writes|idempotent|falls back to <script>' "
            "and 'allow-oom: yes|no'"
        )
    keys, rest_of_keys = _slots(name, source, "KEYS")
    args, rest_of_args = _slots(name, source, "ARGV")
    return Script(
        name=name,
        kind=retry[1] or "fallback",
        fallback=retry[2] or "",
        allow_oom=oom[1] == "yes",
        keys=keys,
        rest_of_keys=rest_of_keys,
        args=args,
        rest_of_args=rest_of_args,
        tags=frozenset(_TAG.findall(source)),
        _source=source,
        _sources=sources,
    )


def _slots(name: str, source: str, table: str) -> tuple[tuple[str, ...], str | None]:
    """Return the names of one table's slots in order, and the name of its rest."""
    found: dict[int, str] = {}
    rest: tuple[str, int] | None = None
    for line in source.splitlines():
        if (slot := _SLOT.match(line)) and slot[2] == table:
            found[int(slot[3])] = slot[1]
        elif (tail := _REST.match(line)) and tail[2] == table:
            rest = tail[1], int(tail[3])
    expected = len(found) + 1
    if sorted(found) != list(range(1, expected)) or (rest and rest[1] != expected):
        raise ContractError(f"{name}: {table} slots must be 1, 2, 3, ... without gaps, a rest after the last")
    return tuple(found[n] for n in sorted(found)), rest[0] if rest else None


def _code(source: str) -> str:
    """Return the source with its comment lines emptied, so that line numbers stay."""
    return re.sub(r"^[ \t]*--.*$", "", source, flags=re.MULTILINE).rstrip() + "\n"
