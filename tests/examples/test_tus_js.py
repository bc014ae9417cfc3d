"""tus-js-client, the client of browsers and node, against processes of the example server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("requests")
from tests.support.tus_fleet import Fleet

CLIENT = "tus-js-client@4.3.1"
FLOWS = Path(__file__).with_name("tus_flows.cjs")
INSTALLING, RUNNING = 150.0, 150.0  # seconds


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the client where nothing of it stays; return the folder."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("client")
    quietly = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    command = ["npm", "install", *quietly, "--prefix", str(folder), CLIENT]
    try:
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLING)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {CLIENT} within {INSTALLING:.0f} s")
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install {CLIENT}: {installed.stderr[-200:]}")
    shutil.copy(FLOWS, folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_flows_of_tus_js_client(fleet: Fleet, client: Path) -> None:
    command = ["node", FLOWS.name, fleet.url(0), fleet.url(1)]
    ran = subprocess.run(command, cwd=client, capture_output=True, text=True, timeout=RUNNING)
    assert ran.returncode == 0, ran.stderr
    came = json.loads(ran.stdout)
    wrong = [f"{name}: {what}" for name, what in came.items() if what != "well"]
    assert not wrong, "\n".join(wrong)
    assert len(came) > 15
