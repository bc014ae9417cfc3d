"""The worked examples of CONTRIBUTING.md: applied to a copy of the sources, they pass what they say they pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest

from tests.support import ROOT

IN_A_CHECKOUT = all((ROOT / part).exists() for part in ("CONTRIBUTING.md", "redis_state/__init__.py", "lua"))
COPIED = ("redis_state", "lua", "tests", "pyproject.toml")
HEADED = re.compile(r"^`(\S+)`, (?:a new file|before `([^\n]+)`):\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLAIMED = re.compile(r"(\d+) files, (\d+) lines")

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the sources are out of reach")


class Block(NamedTuple):
    """Lines for a file: of a new one where ``before`` is empty, else to stand before the one line that begins so.

    They are indented as that line is; how many empty lines follow is for ``ruff format`` to say.
    """

    file: str
    before: str
    text: str

    def apply(self, tree: Path) -> None:
        file = tree / self.file
        if not self.before:
            assert not file.exists(), f"{self.file} is no new file"
            file.write_text(self.text)
            return
        lines = file.read_text().splitlines(keepends=True)
        (place,) = (number for number, line in enumerate(lines) if line.lstrip().startswith(self.before))
        indentation = lines[place].partition(self.before)[0]
        apart = "\n" if re.match("(async )?def ", self.text) else ""
        lines.insert(place, indent(self.text, indentation) + apart)
        file.write_text("".join(lines))


def section(title: str) -> str:
    return (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def run(tree: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env={**environment, "TEST_SERVERS": "newest", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "files", "chosen", "noticed"),
    [
        (
            "Add a script",
            ("tests/lua/test_lua.py", "tests/lua/test_retries.py", "tests/progress/test_progress.py"),
            "unmark or test_parity or ProgressState",
            ("progress/unmark", "ProgressState.unmark", "test_a_segment_that_is_unmarked"),
        ),
        (
            "Add a state",
            ("tests/state/test_transcript.py",),
            "test_parity or test_transcript or TranscriptState or every_class",
            ("[TranscriptState.add_words]", "both_answer_the_same", "test_words_are_counted"),
        ),
    ],
    ids=["script", "state"],
)
def test_an_example_passes(
    tmp_path: Path, title: str, files: tuple[str, ...], chosen: str, noticed: tuple[str, ...]
) -> None:
    pytest.importorskip("ruff", reason="only an environment for development has ruff")
    blocks = [Block(*found) for found in HEADED.findall(section(title))]
    lines = sum(len(block.text.splitlines()) for block in blocks)
    assert CLAIMED.findall(section(title)) == [(str(len({block.file for block in blocks})), str(lines))]
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for block in blocks:
        block.apply(tmp_path)
    changed = sorted({block.file for block in blocks if block.file.endswith(".py")})
    run(tmp_path, "ruff", "format", "--no-cache", *changed)
    run(tmp_path, "ruff", "check", "--no-cache", *changed)
    both_faces = ("tests/aio/test_parity.py", "tests/state/test_names.py")
    told = run(tmp_path, "pytest", "-vrN", "--tb=short", "-p", "no:cacheprovider", *files, *both_faces, "-k", chosen)
    assert [test for test in noticed if test not in told] == []
