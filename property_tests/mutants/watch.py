"""A plugin for pytest: which test failed, why, and after how many examples. For the tests of one copy of the tree."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.statistics import collector

import redis_state
from redis_state.engine.registry import lua_directory

REPORT = "MUTANT_REPORT"  # the variable that names the file to write
CRASHES = (
    "Error compiling script",
    ": attempt to ",
    "global variable",
    "SyntaxError",
    "NameError",
    "UnboundLocalError",
)

_examples = pytest.StashKey[int]()


def pytest_configure() -> None:
    """Draw examples until one fails, and no further: nobody reads the smallest one."""
    here = Path.cwd().resolve()
    for used in (Path(redis_state.__file__).resolve(), lua_directory()):
        if not used.is_relative_to(here):
            raise pytest.UsageError(f"{used} would be tested, which is not the copy in {here}")
    settings.register_profile(
        "mutants", database=None, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
    )
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep to one kind of server, the newest: what is wrong in a mutant is wrong on all."""
    from property_tests.servers import KINDS, NEWEST

    others = set(KINDS) - {NEWEST}
    items[:] = [item for item in items if others.isdisjoint(_words(item))]


def pytest_collection_finish() -> None:
    """Keep the checker of parallel programs from looking for a smaller program."""
    if checker := sys.modules.get("property_tests.parallel.checker"):
        checker.SHRINKING = 0.0  # type: ignore[attr-defined]


def _words(item: pytest.Item) -> list[str]:
    spec = getattr(item, "callspec", None)
    return [value for value in spec.params.values() if isinstance(value, str)] if spec else []


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Count the examples of Hypothesis, up to the first that fails. A test without it is one example."""
    seen = 0

    def note(statistics: dict[str, Any]) -> None:
        nonlocal seen
        for phase in ("reuse-phase", "generate-phase"):
            for case in statistics.get(phase, {}).get("test-cases", ()):
                seen += 1
                if case["status"] == "interesting":
                    return

    with collector.with_value(note):
        try:
            return (yield)
        finally:
            pyfuncitem.stash[_examples] = max(1, seen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo is not None:
        said = call.excinfo.exconly()
        facts = {
            "test": item.nodeid,
            "examples": item.stash.get(_examples, 1),
            "error": said.splitlines()[0] if said else "",
            "crash": next((word for word in CRASHES if word in str(report.longrepr)), ""),
        }
        Path(os.environ[REPORT]).write_text(json.dumps(facts), encoding="utf-8")
    return report
