"""The least that a user of the server must be allowed: the list of the docs, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import redis_state
from redis_state import AsyncEngine, Engine, RecordMapping, cache
from redis_state.engine.op import command
from redis_state.engine.registry import all_scripts, lua_directory
from tests.state.test_names import TABLE, plainly, used
from tests.support import ROOT
from tests.support.raw import raw
from tests.support.samples import SAMPLES
from tests.support.servers import Server

PAGE = (ROOT / "docs" / "configuration.md").read_text()
ALLOWED = re.search(r"^  \+evalsha [^`]*", PAGE, re.MULTILINE)
WORDS = ALLOWED[0].split() if ALLOWED else []
TO_SEND = {"evalsha", "eval", "script|load", "multi", "exec"}
TO_LOOK = {
    "info",
    "command|info",
    "role",
    "ping",
    "select",
    "wait",
}  # named beside the list, with what they are good for


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[str]:
    """The URL of a user who may do what the docs say, with the keys of these tests."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", f"~{prefix}:*", "~t:*", *WORDS)
        yield server.url.replace("unix://", "unix://app:pw@")
        client.execute_command("ACL", "DELUSER", "app")


def test_the_docs_name_each_command_that_is_used_and_no_other() -> None:
    lua = {
        word.lower()
        for file in lua_directory().rglob("*.lua")
        for word in re.findall(r"redis\.call\('(\w+)'", file.read_text())
    }
    named = {word.removeprefix("+") for word in WORDS}
    assert lua <= named
    package = Path(redis_state.__file__).parent
    code = "".join(file.read_text() for file in package.rglob("*.py") if "demo" not in file.parts)
    plain = {word for word in named - lua - TO_SEND if f'"{word.upper()}"' in code}
    assert named == lua | TO_SEND | plain
    assert all(f"`+{word}`" in PAGE for word in TO_LOOK)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_script_runs_for_such_a_user(app: str, name: str) -> None:
    sample = SAMPLES[name]
    with Engine.from_url(app, prefix="t") as engine:
        for op in (*sample.before(), sample.call()):
            engine.run(raw(op) if op.script else op)
        assert engine.status().scripts_loaded <= len(all_scripts())


@pytest.mark.parametrize("cls", TABLE, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_method_answers_such_a_user_as_any_other(app: str, server: Server, prefix: str, cls: type) -> None:
    told = used(cls, app, f"{prefix}:app", plainly)
    assert told == used(cls, server.url, f"{prefix}:any", plainly)
    assert not [answer for answer in told if "ServerRefused" in answer]


def test_such_a_user_keeps_texts_and_computes_once(app: str, prefix: str) -> None:
    with Engine.from_url(app, prefix=prefix) as engine:
        texts, loads = cache.RedisTextCache(engine=engine), list[int]()
        for _ in range(5):
            assert texts.get_or_load("k", lambda: (loads.append(1), "text")[1]) == "text"
        assert len(loads) == 1
        assert RecordMapping("r", ttl=60, engine=engine).setdefault("a", {"n": 1}) == {"n": 1}


async def test_the_asyncio_engine_connects_as_such_a_user(app: str, prefix: str) -> None:
    async with AsyncEngine.from_url(app, prefix=prefix) as engine:
        assert await engine.run(command(None, "EXISTS", f"{prefix}:a", read=int)) == 0
