"""Operations: what is bound at import, what a call fills, and what a reply means."""

from __future__ import annotations

from typing import Any

import pytest

from redis_state.engine.op import just
from redis_state.engine.operation import Operation, ScriptOp, operation, raises
from redis_state.engine.registry import _source
from redis_state.engine.script import Script, parse
from redis_state.errors import ContractError, UnknownSession
from redis_state.keys import Keys
from redis_state.progress import operations as progress
from redis_state.progress.records import RunOperations

HEADER = """-- some/name: do it.
--
-- Retry: no-writes.  Work: O(1).  allow-oom: yes.
-- Replies  {'done', n}
--          {'none'}
"""
PROLOGUE = """local entry     = KEYS[1]
local partition = KEYS[2]
local more      = { unpack(KEYS, 3) }
local name      = ARGV[1]
local count     = tonumber(ARGV[2])
local fields    = { unpack(ARGV, 3) }
"""
KEYS = Keys("things", prefix="t")


def parsed(prologue: str = PROLOGUE) -> Script:
    return parse("some/name", HEADER + prologue, _source)


def bound(**meanings: Any) -> Operation:
    return Operation(parsed(), {"done": lambda call, n: (call["count"], call.about, n), "none": just(None), **meanings})


def test_keys_are_filled_from_the_table_and_arguments_by_name() -> None:
    op = bound()(KEYS, "a", fields=["f", 1], count=3, more=("bitmap", "news"))
    assert list(op.keys) == ["t:{things}:r:a", KEYS.key("partition", "a"), "t:{things}:b:a", "t:{things}:n:a"]
    assert list(op.args) == ["a", 3, "f", 1]
    assert op.partition is KEYS.of("a")


def test_a_key_that_is_given_is_another_one() -> None:
    op = bound()(KEYS, "a", entry="t:{things}:r:other", fields=[], count=3, more=())
    assert list(op.keys) == ["t:{things}:r:other", KEYS.key("partition", "a")]


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_call_is_about_one_partition_or_the_one_of_its_name(partitions: int) -> None:
    keys = Keys("things", partitions=partitions)
    count = operation("index/count", entries=just(0))
    assert [count(part).keys for part in keys.parts] == [[index] for index in keys.all("partition")]
    assert count(keys, "a").keys == [keys.key("partition", "a")]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"count": 1, "fields": []},
        {"count": 1, "more": ()},
        {"count": 1, "fields": [], "other": ()},
        {"count": 1, "fields": [], "more": (), "other": 1},
    ],
)
def test_missing_and_unknown_slots_are_refused_with_both_lists(given: dict[str, Any]) -> None:
    told = ", ".join(given) or "none"
    with pytest.raises(ContractError, match=f"takes more, count, fields; it was given {told}$"):
        bound()(KEYS, "a", **given)


def test_a_key_slot_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(ContractError, match=r"keys\.SLOTS has no unheard$"):
        Operation(parsed("local unheard = KEYS[1]"), {"done": just(1), "none": just(2)})


def test_a_meaning_for_a_tag_that_is_never_said_is_refused() -> None:
    with pytest.raises(ContractError, match="never replies with maybe$"):
        bound(maybe=just(3))


def test_a_tag_without_a_meaning_is_refused() -> None:
    with pytest.raises(ContractError, match="no meaning is given for none$"):
        Operation(parsed(), {"done": just(1)})


def test_a_reply_is_read_by_its_tag_and_by_what_the_call_is_about() -> None:
    call = bound(none=raises(UnknownSession))(KEYS, "a", "it", count=3, fields=[], more=())
    assert call.read([b"done", 41]) == (3, "it", 41)
    with pytest.raises(UnknownSession, match="'a'"):
        call.read([b"none"])


@pytest.mark.parametrize("reply", [None, [], [b"other"], b"done", 3, [3]])
def test_a_reply_that_the_text_does_not_say_is_refused(reply: object) -> None:
    with pytest.raises(ContractError, match="its text does not say"):
        bound()(KEYS, "a", count=3, fields=[], more=()).read(reply)


def test_meanings_are_bound_once() -> None:
    runs = RunOperations(KEYS, 60.0)
    one, other = (progress.mark(runs, name, 1) for name in "ab")
    assert isinstance(one, ScriptOp)
    assert isinstance(other, ScriptOp)
    assert one.meanings is other.meanings
