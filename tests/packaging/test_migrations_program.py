"""The program ``python tests/test_redis_migrations.py``: what it prints, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import test_redis_migrations as program


def run_as_program(**environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REDIS_")}
    return subprocess.run(
        [sys.executable, program.__file__],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_the_program_needs_no_server_and_ends_with_its_banner() -> None:
    done = run_as_program()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"\n{program.BANNER}\n")
    assert [line for line in done.stdout.splitlines() if line.startswith("ok ")] == done.stdout.splitlines()[:-3]


def test_without_a_server_the_program_ends_at_once_with_one_line() -> None:
    for url in ("redis://127.0.0.1:1", "unix:///nowhere/socket", "bogus://here"):
        done = run_as_program(REDIS_URL=url)
        assert done.returncode == 1
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1
        assert done.stdout.startswith("FAILED  the server answers: ")
