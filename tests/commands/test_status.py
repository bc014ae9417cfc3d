"""``redis-state status``: what a server holds, for people and for scripts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from redis_state import Engine, RecordMapping, ValueMapping, cli
from redis_state.lock import Locks
from redis_state.state import ProgressState, UploadState
from tests.support.servers import Server


def status(server: Server, prefix: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["status", "--url", server.url, "--prefix", prefix, *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def facts(server: Server, prefix: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    _, out, _ = status(server, prefix, capsys, "--json")
    return json.loads(out)  # type: ignore[no-any-return]


def fill(engine: Engine) -> None:
    ProgressState("me", engine).begin("track", 3)
    UploadState("me", engine).create_session({"file_name": "a"})
    RecordMapping("orders", ttl=60, engine=engine).update({"a": {}, "b": {}})
    ValueMapping("orders", ttl=60, engine=engine)["c"] = 1


def test_what_lies_in_each_namespace_is_counted(
    server: Server, engine: Engine, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(engine)
    with Locks("orders", engine).lock("a"):
        found = facts(server, prefix, capsys)["namespaces"]
    assert {name: {title: count for title, count in row.items() if count} for name, row in found.items()} == {
        "orders": {"records": 2, "values": 1, "held": 1},
        "progress": {"records": 1},
        "upload": {"records": 1, "transfers": 1},
    }


def test_the_screen_says_what_the_json_says(
    server: Server, engine: Engine, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(engine)
    code, out, err = status(server, prefix, capsys)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["namespace"] == ["records", "values", "transfers"]
    assert rows["orders"] == ["2", "1", "0"]
    assert rows["server"] == [facts(server, prefix, capsys)["server"]]
    assert out.count("\n") < 25


def test_what_has_expired_and_what_another_prefix_holds_is_not_counted(
    server: Server, engine: Engine, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Engine.from_url(server.url, prefix=f"{prefix}x") as other:
        fill(other)
    gone = ValueMapping("orders", engine=engine, ttl=0.02)
    gone["a"] = 1
    while "a" in gone:
        pass
    time.sleep(0.002)  # an index may tell of it for the rest of the millisecond
    assert facts(server, prefix, capsys)["namespaces"] == {}
    assert "no namespace holds anything" in status(server, prefix, capsys)[1]


def test_a_prefix_of_signs_that_patterns_know_is_found(
    server: Server, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = f"{prefix}[a]*?\\"
    with Engine.from_url(server.url, prefix=odd) as engine:
        RecordMapping("orders", ttl=60, engine=engine)["a"] = {}
    assert facts(server, odd, capsys)["namespaces"]["orders"]["records"] == 1


def test_a_server_says_who_it_is_and_which_scripts_it_keeps(
    server: Server, engine: Engine, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        client.script_flush()
        before = facts(server, prefix, capsys)
        fill(engine)
        after = facts(server, prefix, capsys)
        assert before["scripts"]["loaded"] == 0 < after["scripts"]["loaded"] < after["scripts"]["known"]
        assert after["keys"] == client.dbsize()
        info = client.info()
    assert after["version"].endswith(info.get("valkey_version", info["redis_version"]))
    assert (after["role"], after["memory"]["policy"]) == ("primary", "noeviction")
    assert after["memory"]["used"] > 100_000


def test_a_server_that_evicts_is_a_warning_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(maxmemory="100mb", maxmemory_policy="allkeys-lru") as server:
        code, out, err = status(server, "rs", capsys)
        assert code == 1
        assert "100 MiB, maxmemory-policy allkeys-lru" in out
        assert err.startswith("warning: ")
        assert "noeviction" in err
        code, out, err = status(server, "rs", capsys, "--json")
        assert (code, err) == (1, "")
        assert len(json.loads(out)["warnings"]) == 1


def test_a_server_that_cannot_be_reached_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["status", "--url", "redis://me:hunter2@localhost:1"]
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("redis-state: no answer")
    assert len(said.err.splitlines()) == 1
    assert cli.main([*words, "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["reachable"] is False
    assert "hunter2" not in said.err + told.out + told.err


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Server() as server, server.client() as client:
        client.config_set("requirepass", "hunter2")
        url = server.url.replace("unix://", "unix://:hunter2@")
        monkeypatch.setenv("REDIS_URL", url)
        assert cli.main(["status"]) == 0
        assert cli.main(["status", "--json"]) == 0
        assert cli.main(["status", "--url", server.url]) == 2  # it asks for a password
        said = capsys.readouterr()
    assert "password" in said.err
    assert "hunter2" not in said.out + said.err


def test_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["status", "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for word in ("--url", "--prefix", "--json", "exit code", "REDIS_URL", "130"):
        assert word in told
