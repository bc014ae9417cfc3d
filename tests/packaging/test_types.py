"""What type checkers see of the package: ``for_type_checkers.py`` is judged as its comments say."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest

import redis_state
from redis_state import aio, cache, state
from tests.support import ROOT

EXPECTED = Path(__file__).with_name("for_type_checkers.py")
FOR_PLANS = {"keys", "renewal"}  # what operations are made of, and what a lease says to the thread that renews it


class Judged(NamedTuple):
    """The lines with an error, and what is revealed on which line."""

    errors: dict[int, str]
    revealed: dict[int, str]


def expected() -> Judged:
    judged = Judged({}, {})
    for number, line in enumerate(EXPECTED.read_text().splitlines(), 1):
        if found := re.search(r"\S.*  # (error|reveals): (.+)$", line):
            (judged.errors if found[1] == "error" else judged.revealed)[number] = found[2]
    assert judged.errors
    assert judged.revealed
    return judged


def told_by(checker: str, *options: str) -> str:
    pytest.importorskip(checker, reason="only an environment for development has type checkers")
    command = [sys.executable, "-m", checker, *options, str(EXPECTED)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1, told.stdout + told.stderr  # there are errors, and nothing else went wrong
    return told.stdout


def shown(message: str) -> str:
    """Return the type in a message, without modules and without what a TypedDict holds."""
    found = re.search(r' is "(.*)"$', message)
    assert found, message
    return re.sub(r"(\w+\.)+(?=\w)", "", re.sub(r"TypedDict\(([\w.]+), \{.*?\}\)", r"\1", found[1]))


def judged_by_mypy(cache: Path) -> Judged:
    options = ("--strict", "--config-file=", f"--cache-dir={cache}", "--output=json")
    said = [json.loads(line) for line in told_by("mypy", *options).splitlines() if line.startswith("{")]
    assert {one["file"] for one in said} == {str(EXPECTED.relative_to(ROOT))}
    judged = Judged({}, {})
    for one in said:
        if one["severity"] == "error":
            judged.errors.setdefault(one["line"], one["code"])
        elif one["message"].startswith("Revealed type"):
            judged.revealed[one["line"]] = shown(one["message"])
    return judged


def judged_by_pyright(_: Path) -> Judged:
    judged, codes = Judged({}, {}), expected().errors
    for one in json.loads(told_by("pyright", "--outputjson", "--pythonpath", sys.executable))["generalDiagnostics"]:
        line = one["range"]["start"]["line"] + 1
        if one["severity"] == "error":
            judged.errors[line] = codes.get(line, one["message"])  # its codes are others
        elif one["message"].startswith("Type of"):
            judged.revealed[line] = shown(one["message"])
    return judged


@pytest.mark.slow
@pytest.mark.parametrize("judged_by", [judged_by_mypy, judged_by_pyright])
def test_a_type_checker_sees_what_is_wrong(judged_by: Callable[[Path], Any], tmp_path: Path) -> None:
    assert judged_by(tmp_path) == expected()


def classes_in(hint: Any) -> Iterator[type]:
    """Tell the classes of the package that a type is made of."""
    if inspect.isclass(hint) and hint.__module__.startswith("redis_state."):
        yield hint
    for part in get_args(hint):
        yield from classes_in(part)


def test_what_a_public_method_answers_has_a_public_name() -> None:
    homes = [redis_state, aio, cache, state]
    public = {made for home in homes for made in map(home.__dict__.get, home.__all__) if inspect.isclass(made)}
    missing = {}
    for cls in public:
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith("_") and name not in FOR_PLANS and (answer := get_type_hints(method).get("return")):
                missing |= {f"{cls.__name__}.{name}": one for one in classes_in(answer) if one not in public}
    assert missing == {}
