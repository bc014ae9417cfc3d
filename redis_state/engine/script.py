"""A Lua file as a value: its slots, its words, the text that Redis runs, and its digest. Pure.

The file's own prologue is the contract, so no second list of names can drift away from it::

    local lock    = KEYS[1]                  -- a key slot, filled by name: SCRIPT(lock=...)
    local segment = tonumber(ARGV[1])        -- a word slot
    local others  = { unpack(KEYS, 2) }      -- the rest: SCRIPT(others=[...])

The header says what it replies with, what happens when a call is said twice (``once``, ``reads``,
``same``, or the script that is said then in its place), and whether it runs at the memory limit.
``local x = include('lib/x')`` brings in a module: see ``linker``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from operator import itemgetter
from typing import Any

from redis_state.engine.linker import Sources, fold, link
from redis_state.engine.op import Call, Word
from redis_state.errors import ContractError

_SLOT = re.compile(r"^local\s+(\w+)\s*=\s*(?:tonumber\()?(KEYS|ARGV)\[(\d+)\]\)?\s*(?:--.*)?$")
_REST = re.compile(r"^local\s+(\w+)\s*=\s*\{\s*unpack\((KEYS|ARGV),\s*(\d+)\)\s*\}\s*(?:--.*)?$")
_CLASS = re.compile(r"^-- .*Said twice: (?:(once|reads|same)|([a-z_]+/[a-z_]+))\.", re.MULTILINE)
_FULL = re.compile(r"^-- .*When full: (runs|refuses)\b", re.MULTILINE)
_WORD = re.compile(r"^--(?: Replies)?\s+\{'([a-z_]+)'", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """One script of ``lua/``. Call it with its slots by name to get a ``Call``."""

    name: str
    text: str
    sha: str
    kind: str  # "once" | "reads" | "same" | "twin"
    twin: str  # what the engine says in place of a copy, which reads only: the name of a script
    runs_when_full: bool
    slots: tuple[str, ...]  # the names of all of them
    words: Mapping[bytes, str]  # what replies begin with
    said: frozenset[str]
    _fill: Callable[[dict[str, Any]], tuple[Sequence[str], Sequence[Word]]] = field(repr=False)

    def __call__(self, /, **slots: Any) -> Call:
        """Fill the slots: a string for a key, a string, bytes or number for a word, a list for a rest."""
        try:
            keys, args = self._fill(slots)
            fits = len(slots) == len(self.slots)
        except KeyError:
            fits = False
        if not fits:
            raise ContractError(f"{self.name} has the slots {', '.join(self.slots)}; it was given {', '.join(slots)}")
        return Call(self, keys, args)

    def __repr__(self) -> str:
        return f"<Script {self.name} {self.kind}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from redis_state.engine.registry import script

        return script, (self.name,)


def parse(name: str, source: str, sources: Sources) -> Script:
    """Read a script's source. ``sources`` returns the source of a module by name."""
    kind = _CLASS.search(source)
    full = _FULL.search(source)
    if not kind or not full:
        raise ContractError(
            f"{name}: its header must say 'Said twice: once|reads|same|<script>' and 'When full: runs|refuses'"
        )
    once, runs = kind[1] == "once", full[1] == "runs"
    keys, rest_of_keys = _slots(name, source, "KEYS")
    args, rest_of_args = _slots(name, source, "ARGV")
    words = _WORD.findall(source)
    text = _compose(source, sources, once, runs)
    sha = sha1(text.encode()).hexdigest()
    return Script(
        name=name,
        text=text,
        sha=sha,
        kind=kind[1] or "twin",
        twin=kind[2] or "",
        runs_when_full=runs,
        slots=tuple(filter(None, (*keys, rest_of_keys, *args, rest_of_args))),
        words={word.encode(): word for word in words},
        said=frozenset(words),
        _fill=_filler(keys, rest_of_keys, args, rest_of_args),
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


def _compose(source: str, sources: Sources, once: bool, runs_when_full: bool) -> str:
    """Return the text that Redis runs: modules folded in, calls remembered, lines where they were."""
    text = link(_code(source), sources)
    if not once:
        return text
    told = f"local runs_when_full = {str(runs_when_full).lower()}"
    return f"{told} local function body(now_us) {text}end {fold(sources('lib/once'))}\n"


def _code(source: str) -> str:
    """Return the source with its comment lines emptied, so that line numbers stay."""
    return re.sub(r"^[ \t]*--.*$", "", source, flags=re.MULTILINE).rstrip() + "\n"


def _filler(
    keys: tuple[str, ...], rest_of_keys: str | None, args: tuple[str, ...], rest_of_args: str | None
) -> Callable[[dict[str, Any]], tuple[Sequence[str], Sequence[Word]]]:
    """Return the function that puts named slots into order."""
    pick_keys, pick_args = _picker(keys), _picker(args)
    if rest_of_keys is None and rest_of_args is None:
        return lambda slots: (pick_keys(slots), pick_args(slots))

    def fill(slots: dict[str, Any]) -> tuple[Sequence[str], Sequence[Word]]:
        more_keys = slots[rest_of_keys] if rest_of_keys else ()
        more_args = slots[rest_of_args] if rest_of_args else ()
        return (*pick_keys(slots), *more_keys), (*pick_args(slots), *more_args)

    return fill


def _picker(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    if names:
        name = names[0]
        return lambda slots: (slots[name],)
    return lambda _: ()
