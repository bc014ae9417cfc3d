"""The house rules: short files, short functions, and words that name the actor."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import redis_state
from redis_state.engine.registry import lua_directory
from tests.support import ROOT

LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 50
VAGUE = re.compile(r"\b(somebody|nobody|whoever|anybody|everybody)\b", re.IGNORECASE)
MOST_VAGUE = 9  # in all of the package and its scripts: say caller, holder, waiter, server
PACKAGE = Path(redis_state.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
AROUND = sorted(file for folder in ("property_tests", "benchmarks", "tests") for file in (ROOT / folder).rglob("*.py"))
# Files that are longer still. None joins them.
LONGER = frozenset(
    {
        "tests/cache/test_text_cache.py",
        "tests/claim/test_claim.py",
        "tests/codec/test_codec.py",
        "tests/demo/test_demo.py",
        "tests/engine/test_embedded.py",
        "tests/engine/test_embedded_places.py",
        "tests/engine/test_engine.py",
        "tests/engine/test_exactly_once.py",
        "tests/engine/test_server_changes.py",
        "tests/lock/test_lock.py",
        "tests/lock/test_lock_blocks.py",
        "tests/lock/test_lock_faults.py",
        "tests/lock/test_lock_processes.py",
        "tests/lock/test_lock_waits.py",
        "tests/lua/test_kept.py",
        "tests/mapping/test_mapping.py",
        "tests/mapping/test_record.py",
        "tests/progress/test_progress.py",
        "tests/single_flight/test_single_flight.py",
        "tests/single_flight/test_single_flight_results.py",
        "tests/state/test_generations.py",
        "tests/state/test_names.py",
        "tests/support/proxy.py",
        "tests/support/test_proxy.py",
        "tests/test_config.py",
        "tests/transfer/test_upload.py",
        "tests/transfer/test_upload_life.py",
    }
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_and_functions_are_short(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("file", AROUND, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_around_the_package_are_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST_FILE or str(file.relative_to(ROOT)) in LONGER


def test_sentences_name_the_actor() -> None:
    texts = [*FILES, *lua_directory().rglob("*.lua")]
    vague = [f"{file.name}: {line}" for file in texts for line in file.read_text().splitlines() if VAGUE.search(line)]
    assert len(vague) <= MOST_VAGUE, "\n".join(vague)


def test_nothing_is_imported_where_a_signal_handler_may_be() -> None:
    """A handler that interrupts an import and needs the same module finds half of it; that has crashed Python 3.11."""
    inside = {
        f"{file.relative_to(PACKAGE)}: {node.name}"
        for file in FILES
        if file.parent.name not in {"commands", "demo"}  # programs of their own
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(part, ast.Import | ast.ImportFrom) for part in ast.walk(node))
    }
    assert inside == {
        "engine/_supervisor.py: find_prctl",  # a program of its own
        "engine/_supervisor.py: ask_to_end",
        "engine/script.py: __reduce__",  # of a module that is there when a script is
    }
