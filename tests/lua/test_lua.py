"""The laws of lua/, checked on the text of every script; no server is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redis_state.engine.inflight import RECORD_KEPT_MS
from redis_state.engine.lua_linker import fold, link
from redis_state.engine.registry import all_scripts, lua_directory, script
from redis_state.engine.script import parse
from redis_state.errors import ContractError
from redis_state.keys import SLOTS

NAMES = [found.name for found in all_scripts()]
MODULES = sorted(
    file.relative_to(lua_directory()).with_suffix("").as_posix() for file in (lua_directory() / "lib").glob("*.lua")
)
PROLOGUE = re.compile(r"^local \w+\s*= .*\b(KEYS|ARGV)\b")
HEADER = """-- some/name: do it.
--
-- Retry: {kind}.  Work: O(1).  allow-oom: {oom}.
-- Replies  {{'done', n}}
--          {{'none'}}
"""


def source(name: str) -> str:
    return (lua_directory() / f"{name}.lua").read_text()


def code(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")]


def replies(text: str) -> set[str]:
    return set(re.findall(r"(?:return|local \w+ =) \{ '([a-z_]+)'", "\n".join(code(text))))


def included(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        more = set(re.findall(r"include\('([\w/]+)'\)", "\n".join(code(source(waiting.pop())))))
        waiting += more - found
        found |= more
    return found


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_a_file_opens_with_one_sentence_that_names_it(name: str) -> None:
    assert re.match(rf"-- {re.escape(name)}: \S.*[.]$", source(name).splitlines()[0])


def test_the_readme_lists_every_module() -> None:
    rows = [line for line in (lua_directory() / "README.md").read_text().splitlines() if line.startswith("| ")][2:]
    assert {f"lib/{name}" for row in rows for name in re.findall(r"`(\w+)`", row)} == set(MODULES)


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_a_file_holds_one_thing(name: str) -> None:
    assert len(source(name).splitlines()) <= 60


def test_what_lives_as_long_as_the_record_of_a_call_says_the_same_time() -> None:
    kept = re.compile(r"^local KEPT_MS\s*= '?(\d+)", re.MULTILINE)
    said = {kept.findall(source(name))[0] for name in ("lib/once", "call/recall")}
    assert len(said) == 1
    assert int(said.pop()) - 360_000 == RECORD_KEPT_MS


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_the_caller_must_know(name: str) -> None:
    line = r"^-- Retry: (deduplicated|no-writes|idempotent|falls back to \w+/\w+)\.  Work: .+\.  allow-oom: (yes|no)\.$"
    assert re.search(line, source(name), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_slots_are_named_once_and_used_by_name_only(name: str) -> None:
    lines = code(source(name))
    prologue = [line for line in lines if PROLOGUE.match(line)]
    body = [line for line in lines if not PROLOGUE.match(line)]
    assert lines[: len(prologue)] == prologue, "the prologue comes first"
    assert not [line for line in body if re.search(r"\b(KEYS|ARGV)\b", line)]
    for line in prologue:
        slot = line.split()[1]
        assert re.search(rf"\b{slot}\b", "\n".join(body)), f"{slot} is never used"


@pytest.mark.parametrize("name", NAMES)
def test_a_key_slot_says_what_the_table_of_keys_says(name: str) -> None:
    slots = re.findall(r"^local (\w+)\s*= KEYS\[\d+\]\s+-- (.+)$", source(name), re.MULTILINE)
    assert tuple(slot for slot, _ in slots) == script(name).keys
    assert dict(slots) == {slot: SLOTS[slot].holds for slot in script(name).keys}


def test_every_slot_of_the_table_is_one_of_a_script() -> None:
    assert {slot for name in NAMES for slot in script(name).keys} == set(SLOTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_said_and_every_said_word_is_in_the_header(name: str) -> None:
    texts = [source(name), *map(source, included(name))]
    quoted = {word for text in texts for word in re.findall(r"'([a-z_]+)'", "\n".join(code(text)))}
    assert replies(source(name)) <= script(name).tags <= quoted
    assert script(name).tags


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_a_module_is_brought_in_by_a_local(name: str) -> None:
    # Folded in, it begins with a bracket: at the start of a line Lua 5.1 could take that for a call.
    assert not [line for line in code(source(name)) if line.lstrip().startswith("include")]


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_no_error_is_swallowed(name: str) -> None:
    assert "pcall" not in "\n".join(code(source(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_only_reads_calls_nothing_that_writes(name: str) -> None:
    if script(name).kind == "no-writes":
        calls = set(re.findall(r"redis\.call\('(\w+)'", script(name).text))
        assert calls <= {
            "GET",
            "HGET",
            "HGETALL",
            "HMGET",
            "TIME",
            "ZCOUNT",
            "ZSCAN",
            "ZRANGEBYSCORE",
            "ZSCORE",
            "EXISTS",
            "PTTL",
            "ZCARD",
            "HLEN",
            "HSTRLEN",
            "ZRANGE",
            "GETRANGE",
            "BITCOUNT",
            "BITPOS",
            "STRLEN",
            "LLEN",
            "MGET",
        }


@pytest.mark.parametrize("name", [name for name in NAMES if script(name).kind == "fallback"])
def test_a_fallback_takes_and_answers_the_same_and_only_reads(name: str) -> None:
    one, fallback = script(name), script(script(name).fallback)
    assert (fallback.kind, fallback.slots, fallback.tags) == ("no-writes", one.slots, one.tags)
    assert fallback.allow_oom


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_called_from_one_place(name: str) -> None:
    package = Path(script.__wrapped__.__code__.co_filename).parent.parent
    bound = re.compile(rf'^\w+ = \w+\(\s*"{name}"', re.MULTILINE)
    uses = [file for file in package.rglob("*.py") if bound.search(file.read_text())]
    assert len(uses) == 1, uses


def test_folding_keeps_strings_and_drops_comments() -> None:
    lua = 'local a = \'it -- is\'  -- not this\nlocal b = "x\\"--y" --[[ nor\nthis ]]\nreturn a'
    assert fold(lua) == 'local a = \'it -- is\' local b = "x\\"--y" return a'


def test_lines_of_the_text_are_lines_of_the_file() -> None:
    for found in all_scripts():
        lines = found.text.splitlines()
        for number, line in enumerate(source(found.name).splitlines()):
            if line.startswith("return") and "include" not in line:
                assert lines[number].replace("__", ".").endswith(line)


def test_modules_that_include_each_other_are_refused() -> None:
    loop = {
        one: f"local {other[-1]} = include('{other}')\nlocal {one[-1]} = {{}}\n"
        f"function {one[-1]}.go() return {other[-1]}.go() end\nreturn {one[-1]}\n"
        for one, other in (("lib/a", "lib/b"), ("lib/b", "lib/a"))
    }
    with pytest.raises(ContractError, match=r"lib/a > lib/b > lib/a"):
        link("local a = include('lib/a')\nreturn a.go()\n", loop.__getitem__)


MODULES_OF_THREE = {
    "lib/low": """
-- lib/low: what others stand on.
local low = {}
local unused = redis.call('TIME')
local used = 'low.text is not renamed -- nor is this'
function low.text() return used end
function low.other() return unused end
return low
""",
    "lib/high": """
local low = include('lib/low')
local high = {}
high.MOST = 8
local function twice(text)
  return text .. text
end
function high.say(high_time) -- low.other() in a comment asks for nothing
  return twice(low.text()), high_time.low
end
function high.more() return high.say({}) end
return high
""",
}


def linked(lua: str) -> str:
    return link(lua, MODULES_OF_THREE.__getitem__)


def test_a_module_is_folded_in_as_far_as_it_is_used() -> None:
    text = linked("local high = include('lib/high')\nreturn high.more(), { high = 1 }, x.high\n")
    assert text.splitlines()[1] == "return high__more(), { high = 1 }, x.high"
    assert text.splitlines()[0] == (
        "local low__text do local used = 'low.text is not renamed -- nor is this' "
        "function low__text() return used end end "
        "local high__more, high__say do local function twice(text) return text .. text end "
        "function high__say(high_time) return twice(low__text()), high_time.low end "
        "function high__more() return high__say({}) end end "
    )


def test_what_is_known_is_not_defined_again_and_what_a_block_defines_ends_with_it() -> None:
    two = "local low = include('lib/low')\nlocal high = include('lib/high')\nreturn low.text() .. high.say({})\n"
    assert linked(two).count("function low__text") == 1
    block = "if x then\n  local low = include('lib/low')\n  low.text()\nend\n"
    assert linked(block + "local high = include('lib/high')\nhigh.say(1)\n").count("function low__text") == 2


@pytest.mark.parametrize(
    ("lua", "said"),
    [
        ("local low = include('lib/low')\nlow.texts()\n", r"lib/low defines no low\.texts"),
        ("local text = include('lib/low').text()\n", r"include\(\) stands alone"),
    ],
)
def test_what_cannot_be_linked_is_refused(lua: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        linked(lua)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("return function() end\n", "begins with `local low = {}`"),
        ("local low = {}\nlow.text = 1\nprint(low)\nreturn low\n", "'print\\(low\\)' defines nothing"),
    ],
)
def test_a_module_that_is_none_is_refused(module: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        link("local low = include('lib/low')\nlow.text()\n", {"lib/low": module}.__getitem__)


@pytest.mark.parametrize(
    "prologue",
    ["local a = KEYS[2]", "local a = KEYS[1]\nlocal b = { unpack(KEYS, 3) }", "local a = ARGV[1]\nlocal b = ARGV[3]"],
)
def test_a_prologue_with_gaps_is_refused(prologue: str) -> None:
    with pytest.raises(ContractError, match="without gaps"):
        parse("some/name", HEADER.format(kind="no-writes", oom="yes") + prologue, source)


def test_a_header_without_its_class_is_refused() -> None:
    with pytest.raises(ContractError, match="Retry"):
        parse("some/name", "-- some/name: do it.\nreturn { 'done' }", source)
