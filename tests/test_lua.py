"""The laws of lua/, checked on the text of every script; no server is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redis_state.engine.linker import fold, link
from redis_state.engine.op import Op, just, raises
from redis_state.engine.registry import all_scripts, home, script
from redis_state.engine.script import parse
from redis_state.errors import ContractError, UnknownSession

NAMES = [found.name for found in all_scripts()]
MODULES = sorted(file.relative_to(home()).with_suffix("").as_posix() for file in (home() / "lib").glob("*.lua"))
PROLOGUE = re.compile(r"^local \w+\s*= .*\b(KEYS|ARGV)\b")
HEADER = """-- some/name: do it.
--
-- Said twice: {kind}.  Work: O(1).  When full: {full}.
-- Replies  {{'done', n}}
--          {{'none'}}
"""


def source(name: str) -> str:
    return (home() / f"{name}.lua").read_text()


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


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_a_file_holds_one_thing(name: str) -> None:
    assert len(source(name).splitlines()) <= 60


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_the_caller_must_know(name: str) -> None:
    line = r"^-- Said twice: (once|reads|same|[a-z_]+/[a-z_]+)\.  Work: .+\.  When full: (runs|refuses)\.$"
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
def test_every_word_is_said_and_every_said_word_is_in_the_header(name: str) -> None:
    texts = [source(name), *map(source, included(name))]
    quoted = {word for text in texts for word in re.findall(r"'([a-z_]+)'", "\n".join(code(text)))}
    assert replies(source(name)) <= script(name).said <= quoted
    assert script(name).said


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_a_module_is_brought_in_by_a_local(name: str) -> None:
    # Folded in, it begins with a bracket: at the start of a line Lua 5.1 could take that for a call.
    assert not [line for line in code(source(name)) if line.lstrip().startswith("include")]


@pytest.mark.parametrize("name", NAMES + MODULES)
def test_no_error_is_swallowed(name: str) -> None:
    assert "pcall" not in "\n".join(code(source(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_only_reads_calls_nothing_that_writes(name: str) -> None:
    if script(name).kind == "reads":
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


@pytest.mark.parametrize("name", [name for name in NAMES if script(name).kind == "twin"])
def test_a_twin_takes_and_answers_the_same_and_only_reads(name: str) -> None:
    one, twin = script(name), script(script(name).twin)
    assert (twin.kind, twin.slots, twin.said) == ("reads", one.slots, one.said)
    assert twin.runs_when_full


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_called_from_one_place(name: str) -> None:
    package = Path(script.__wrapped__.__code__.co_filename).parent.parent
    uses = [file for file in package.rglob("*.py") if f'script("{name}")' in file.read_text()]
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
        parse("some/name", HEADER.format(kind="reads", full="runs") + prologue, source)


def test_a_header_without_its_class_is_refused() -> None:
    with pytest.raises(ContractError, match="Said twice"):
        parse("some/name", "-- some/name: do it.\nreturn { 'done' }", source)


def test_slots_are_filled_by_name_into_their_places() -> None:
    lua = "local a = KEYS[1]\nlocal b = { unpack(KEYS, 2) }\nlocal c = ARGV[1]\nlocal d = tonumber(ARGV[2])\n"
    parsed = parse("some/name", HEADER.format(kind="reads", full="runs") + lua, source)
    call = parsed(d=4, b=["k2", "k3"], a="k1", c="x")
    assert (list(call.keys), list(call.args)) == (["k1", "k2", "k3"], ["x", 4])


@pytest.mark.parametrize("slots", [{"a": "k"}, {"a": "k", "c": 1, "e": 2}, {"a": "k", "e": 2}, {}])
def test_missing_and_unknown_slots_are_refused_with_both_lists(slots: dict[str, object]) -> None:
    lua = "local a = KEYS[1]\nlocal c = ARGV[1]\n"
    parsed = parse("some/name", HEADER.format(kind="reads", full="runs") + lua, source)
    with pytest.raises(ContractError, match="has the slots a, c; it was given"):
        parsed(**slots)


def made(**meanings: object) -> Op[object]:
    lua = HEADER.format(kind="reads", full="runs") + "local a = KEYS[1]\nreturn { 'done', 1 }"
    return parse("some/name", lua, source)(a="rs:{x}:r:1").meaning(**meanings)  # type: ignore[arg-type]


def test_a_meaning_for_a_word_that_is_never_said_is_refused() -> None:
    with pytest.raises(ContractError, match="never replies with maybe"):
        made(done=just(1), none=just(2), maybe=just(3))


def test_a_word_without_a_meaning_is_refused() -> None:
    with pytest.raises(ContractError, match="no meaning is given for none"):
        made(done=just(1))


def test_a_reply_is_read_by_its_word() -> None:
    op = made(done=lambda n: n + 1, none=raises(UnknownSession, "k"))
    assert op.read([b"done", 41]) == 42
    with pytest.raises(UnknownSession):
        op.read([b"none"])


@pytest.mark.parametrize("reply", [None, [], [b"other"], b"done", 3, [3]])
def test_a_reply_that_the_text_does_not_say_is_refused(reply: object) -> None:
    with pytest.raises(ContractError, match="its text does not say"):
        made(done=just(1), none=just(2)).read(reply)
