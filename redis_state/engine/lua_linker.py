"""Modules of ``lua/lib``, folded into the text of a script: of each what is used, and no more. Pure.

Redis makes a script's functions anew whenever it runs, and a table to hold them, also of those that it
never calls. So what a script uses of a module becomes local functions in its own text, ``index.add``
as ``index__enter``. They stand on the line of the ``include``, so line numbers in a Redis error are
those of the file.

A module is called what its file is called: ``local index = {}``, then its statements, each beginning at
the start of a line (``function index.add(...)``, ``index.MOST = 8``, locals, includes), then ``return index``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from redis_state.errors import ContractError

_STRING = r"""\[\[.*?\]\] | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*" """
_COMMENT = r"--\[\[.*?\]\] | --[^\n]*"
_TOKEN = re.compile(rf"{_COMMENT} | {_STRING} | \s+", re.VERBOSE | re.DOTALL)
_WORD = re.compile(rf"{_COMMENT} | {_STRING} | (?<![\w.:])\w+(?:\.\w+)?", re.VERBOSE | re.DOTALL)
_INCLUDE = re.compile(r"^([ \t]*)local (\w+) = include\('([\w/]+)'\)[ \t]*$", re.MULTILINE)
_STATEMENT = re.compile(r"^(?=[A-Za-z])(?!end\b)", re.MULTILINE)
_LOCALS = re.compile(r"local (?:function )?(\w+(?:, \w+)*)")

Sources = Callable[[str], str]
Known = set[str]  # members that are defined where we are: "index.add"


def link(code: str, sources: Sources) -> str:
    """Return a script's code with its modules folded in. ``sources`` returns the source of a module by name."""
    known: Known = set()
    words = _words(code)
    tables = {include[2] for include in _INCLUDE.finditer(code)}

    def definitions(include: re.Match[str]) -> str:
        nonlocal known
        indent, table, module = include.groups()
        seen = set(known)
        text = _define(module, {word for word in words if word.startswith(f"{table}.")}, seen, sources, ())
        if not indent:  # else they are seen in this block only
            known = seen
        return indent + text

    linked = _INCLUDE.sub(definitions, code)
    if "include(" in linked:
        raise ContractError("include() stands alone: local x = include('lib/x')")
    return _renamed(linked, tables)


def fold(source: str) -> str:
    """Return Lua source on one line, without comments."""

    def shorter(match: re.Match[str]) -> str:
        token = match[0]
        return " " if token.startswith("--") or token.isspace() else token

    return re.sub(r" +", " ", _TOKEN.sub(shorter, source)).strip()


@dataclass(frozen=True)
class _Statement:
    """A statement at the top level of a module."""

    text: str
    names: frozenset[str]  # what it defines: members as "index.add", and locals
    words: frozenset[str]  # what it may refer to


@dataclass(frozen=True)
class _Module:
    table: str
    includes: dict[str, str]  # table -> module
    statements: tuple[_Statement, ...]

    def reached(self, wanted: set[str], known: Known) -> list[_Statement]:
        """Return the statements that it takes to define some names where others are known, in order."""
        while True:
            found = [statement for statement in self.statements if statement.names & wanted]
            more = set().union(*(statement.words for statement in found)) - known
            if more <= wanted:
                return found
            wanted |= more


def _define(module: str, members: Iterable[str], known: Known, sources: Sources, inside: tuple[str, ...]) -> str:
    """Return definitions of a module's members, after what they need of other modules."""
    if module in inside:
        raise ContractError(f"modules include each other: {' > '.join((*inside, module))}")
    it = _module(module, sources(module))
    wanted = set(members) - known
    statements = it.reached(set(wanted), known)
    if missing := wanted.difference(*(statement.names for statement in statements)):
        raise ContractError(f"{module} defines no {', '.join(sorted(missing))}")
    text = ""
    words = set().union(*(statement.words for statement in statements))
    for table, other in it.includes.items():
        theirs = {word for word in words if word.startswith(f"{table}.")}
        text += _define(other, theirs, known, sources, (*inside, module))
    defined = {name for statement in statements for name in statement.names if "." in name}
    known |= defined
    if not defined:
        return text
    body = " ".join(statement.text for statement in statements)
    return text + _renamed(f"local {', '.join(sorted(defined))} do {fold(body)} end ", {it.table, *it.includes})


@cache
def _module(name: str, source: str) -> _Module:
    table = name.rpartition("/")[2]
    code = _TOKEN.sub(lambda token: "" if token[0].startswith("--") else token[0], source)
    if f"local {table} = {{}}\n" not in code or not code.rstrip().endswith(f"return {table}"):
        raise ContractError(f"{name}: a module begins with `local {table} = {{}}` and ends with `return {table}`")
    includes, statements = {}, []
    for text in _STATEMENT.split(code):
        if include := _INCLUDE.match(text.rstrip()):
            includes[include[2]] = include[3]
        elif text.strip() and not text.startswith((f"local {table} = {{}}", "return ")):
            member = re.match(rf"(?:function )?({table}\.\w+)", text)
            names = _LOCALS.match(text)
            if not member and not names:
                raise ContractError(f"{name}: {text.splitlines()[0]!r} defines nothing, and would be dropped")
            defined = [member[1]] if member else names[1].split(", ")  # type: ignore[index]
            statements.append(_Statement(text, frozenset(defined), frozenset(_words(text))))
    return _Module(table, includes, tuple(statements))


def _words(code: str) -> set[str]:
    """Return the names in some Lua code, and the members: "index.add"."""
    found = {word for word in _WORD.findall(code) if word[0] not in "'\"[-"}
    return found | {word.partition(".")[0] for word in found}


def _renamed(code: str, tables: Iterable[str]) -> str:
    """Return code with the members of some tables as local names."""
    tables = set(tables)

    def rename(match: re.Match[str]) -> str:
        table, dot, member = match[0].partition(".")
        return f"{table}__{member}" if dot and table in tables else match[0]

    return _WORD.sub(rename, code)
