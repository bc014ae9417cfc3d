"""The command line: it helps, and its errors are one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from redis_state import __version__, cli
from redis_state.errors import ConfigError


def redis_state(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "redis_state", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command_and_shows_examples() -> None:
    done = redis_state("--help")
    assert done.returncode == 0
    for name, (_, purpose) in cli.COMMANDS.items():
        assert name in done.stdout
        assert purpose in done.stdout
    assert "redis-state demo --url" in done.stdout


def test_help_of_the_demo_names_every_option_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["demo", "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for word in ("--url", "--workers", "--tracks", "--voices", "--seed", "--no-kill", "--json", "--keep", "130"):
        assert word in told


def test_help_of_the_demo_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@localhost")
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    assert "hunter2" not in capsys.readouterr().out


def test_the_demo_runs_on_the_server_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, told in (("redis://localhost:1", "localhost:1"), ("bogus://here", "REDIS_URL: ")):
        monkeypatch.setenv("REDIS_URL", url)
        done = redis_state("demo")
        assert done.returncode == 2
        assert told in done.stderr


def test_the_version_is_told() -> None:
    done = redis_state("--version")
    assert done.returncode == 0
    assert done.stdout == f"redis-state {__version__}\n"
    assert __version__[0].isdigit()


def test_without_a_command_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("bogus://here", "not a URL of a known scheme"),
        ("redis://localhost:port", "the port is a number"),
        ("redis://localhost/zero", "database"),
        ("embedded://nowhere", "three slashes"),
        ("redis://localhost:1", "localhost:1"),
        ("unix:///nowhere/socket", "/nowhere/socket"),
    ],
)
def test_a_url_that_cannot_work_is_one_clear_line(url: str, told: str) -> None:
    done = redis_state("demo", "--url", url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("redis-state: ")
    assert told in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "0"], "from 1 to 16"),
        (["--tracks", "many"], "'many'"),
        (["--voices", "7"], "from 1 to 6"),
        (["--workers", "1"], "--no-kill"),
        (["--keep", "."], "empty directory"),
        (["--format", "mp3"], "mp3"),
    ],
)
def test_an_option_that_cannot_work_is_refused_before_anything_is_done(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "something").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "redis_state.demo.run", SimpleNamespace(Options=None, run=None))
    with pytest.raises(SystemExit) as end:
        cli.main(["demo", *words])
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def demo_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(options: object) -> int:
        raise error

    from redis_state.demo import run as module

    monkeypatch.setattr(module, "run", run)


def test_an_error_of_several_lines_becomes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo_that_raises(monkeypatch, ConfigError("no server:\n  install one\n  or name one"))
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == "redis-state: no server: install one or name one\n"


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo_that_raises(monkeypatch, KeyboardInterrupt())
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "redis-state: interrupted\n"


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    demo_that_raises(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    words = "demo --seconds 1 --tracks 1 --voices 1 --no-kill --workers 1 --format wav"
    command = f"{sys.executable} -m redis_state {words} | head -n 1"
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert "1 tracks" in done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
