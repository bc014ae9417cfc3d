"""Every op names its keys, all of one partition: what routes a call by them needs to look nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from redis_state.engine.inflight import InFlight
from redis_state.engine.op import Command, Op, ScriptThenRead, Transaction, command
from redis_state.engine.operation import ScriptOp
from redis_state.keys import Keys
from tests.state.test_names import TABLE, plainly, used
from tests.support.servers import Server


def words_of(op: Op[Any]) -> list[Any]:
    if isinstance(op, Command):
        return list(op.words)
    if isinstance(op, Transaction):
        return [word for words in op.commands for word in words]
    if isinstance(op, ScriptThenRead):
        return [*words_of(op.note), *op.words]
    assert isinstance(op, ScriptOp)
    return [*op.keys, *op.args]


def hidden(op: Op[Any], prefix: str) -> list[str]:
    """Return the words of an op that are keys, and not among those that it names."""
    keys = [word for word in words_of(op) if isinstance(word, str) and word.startswith(f"{prefix}:{{")]
    if op.partition is None:
        return keys
    return [key for key in keys if key not in op.keys or not key.startswith(op.partition.head)]


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_no_method_hides_a_key(cls: type, server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, encode = list[Op[Any]](), InFlight.encode

    def seen(call: InFlight, *args: Any) -> bytes:
        sent.append(call.op)
        return encode(call, *args)

    monkeypatch.setattr(InFlight, "encode", seen)
    used(cls, server.url, prefix, plainly)
    assert sent
    for op in sent:
        assert hidden(op, prefix) == [], op
        assert op.partition is None or op.keys, f"{op!r} is said to have keys"


def test_a_hidden_key_is_seen() -> None:
    here, there = Keys("here"), Keys("there")
    assert hidden(command(None, "GET", here.key("value", "a"), read=bytes), "rs") == ["rs:{here}:v:a"]
    words = ("MGET", here.key("value", "a"), there.key("value", "a"))
    assert hidden(command(here, *words, name="a", read=bytes), "rs") == ["rs:{there}:v:a"]
