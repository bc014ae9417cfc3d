"""Runner and checker of parallel programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from property_tests.parallel.checker import Checker
from property_tests.parallel.runner import Runner
from property_tests.servers import KINDS, NEWEST, STRESS


@pytest.fixture(scope="module", params=KINDS if STRESS > 1 else [NEWEST])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Workers, a proxy, and a server of their own: the newest, or one of each kind where more is asked for."""
    with Runner(request.param) as running:
        yield running


@pytest.fixture
def checker(runner: Runner) -> Checker:
    """Checker of what the workers do."""
    return Checker(runner)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "checker" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(120 * max(1.0, STRESS)))
