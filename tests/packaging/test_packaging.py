"""What a user installs: the built distributions, and what importing the package does to a process."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata, resources
from pathlib import Path

import pytest

from tests.support import ROOT

# A copy of the tests may run against the installed wheel alone.
IN_A_CHECKOUT = all((ROOT / part).exists() for part in ("pyproject.toml", "redis_state/__init__.py", "lua"))

checkout = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the sources are out of reach")


def built(source: Path, target: str, into: Path) -> Path:
    """Build one distribution of a source tree; returns the file."""
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (file,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return file


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def expected_from_the_tree() -> set[str]:
    """What the wheel must hold, beside its metadata."""
    python = {str(path.relative_to(ROOT)) for path in (ROOT / "redis_state").rglob("*.py")}
    lua = {"redis_state/" + str(path.relative_to(ROOT)) for path in (ROOT / "lua").rglob("*.lua")}
    assert lua, "there is no Lua in the tree"
    return python | lua | {"redis_state/py.typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked source distribution."""
    archive = built(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    into = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 has none
        tar.extractall(into)
    (tree,) = into.iterdir()
    return tree


@checkout
def test_the_wheel_holds_all_python_and_lua_and_the_typing_marker(wheel: Path) -> None:
    assert expected_from_the_tree() <= contents(wheel)


@checkout
def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in contents(wheel)}
    assert "redis_state" in tops
    assert all(top == "redis_state" or top.endswith(".dist-info") for top in tops), tops
    assert not [name for name in contents(wheel) if "test_" in name.rsplit("/", 1)[-1] or "__pycache__" in name]


@checkout
def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    assert contents(built(sdist, "wheel", tmp_path)) == contents(wheel)


@checkout
def test_the_sdist_can_run_the_tests(sdist: Path) -> None:
    for path in ("pyproject.toml", "Makefile", "requirements-dev.txt", "tests/packaging/test_packaging.py", "LICENSE"):
        assert (sdist / path).is_file(), path


@checkout
def test_pinned_requirements_name_versions_only() -> None:
    lines = [
        line.split(";")[0].strip()
        for line in (ROOT / "requirements-dev.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert lines
    assert [line for line in lines if "==" not in line or "/" in line or line.startswith("-")] == []


@checkout
def test_every_image_in_compose_is_pinned_to_a_patched_version() -> None:
    compose, docs = ((ROOT / name).read_text() for name in ("compose.yaml", "docs/configuration.md"))
    images = re.findall(r"^\s*image:\s*(.+)$", compose, re.MULTILINE)
    assert images
    for image in images:
        found = re.fullmatch(r'"?(?:\$\{\w+:-)?redis:(\d+\.\d+)\.(\d+)(-\w+)?\}?"?', image)
        assert found, f"{image} has no full version"
        patched = re.search(rf"Redis\s[^;]*\b{re.escape(found[1])}\.(\d+)", docs)
        assert patched, f"docs/configuration.md names no patched version of {found[1]}"
        assert int(found[2]) >= int(patched[1])


@checkout
def test_the_licence_travels_with_the_wheel(wheel: Path) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents(wheel))


@pytest.mark.skipif(IN_A_CHECKOUT, reason="the checkout is not an installed wheel")
def test_the_installed_package_brings_its_lua() -> None:
    lua = resources.files("redis_state") / "lua"
    assert lua.is_dir()
    assert [entry.name for entry in lua.iterdir()]


def test_the_command_is_declared() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="redis-state")
    assert command.value == "redis_state.cli:main"


# --- importing ---------------------------------------------------------------------------------------------

WATCH = """
import json, sys, threading

seen = []
watched = ("socket.", "subprocess.", "os.fork", "os.posix_spawn")
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(watched) else None)


def watched_start(thread, start=threading.Thread.start):
    seen.append("thread.start")
    start(thread)


threading.Thread.start = watched_start
for module in sys.argv[1:]:
    __import__(module)
print(json.dumps({"seen": seen, "threads": threading.active_count()}))
"""

PUBLIC = ("redis_state", "redis_state.state", "redis_state.cache", "redis_state.state_manager", "redis_state.aio")


def watched_import(*modules: str, **environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_the_watcher_sees_sockets_and_threads(tmp_path: Path) -> None:
    """The test below can fail."""
    (tmp_path / "eager.py").write_text(
        "import socket, threading\n"
        "socket.socket().close()\n"
        "thread = threading.Thread(target=int)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    report = watched_import("eager", PYTHONPATH=str(tmp_path))
    assert report == {"seen": ["socket.__new__", "thread.start"], "threads": 1}


@pytest.mark.parametrize("module", PUBLIC)
def test_importing_opens_no_socket_and_starts_no_thread(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"there is no {module}")
    # An address where nobody answers: whoever connected on import would be seen, and would fail.
    report = watched_import(module, REDIS_URL="redis://127.0.0.1:1/0")
    assert report == {"seen": [], "threads": 1}


TIMED = """
import sys, time
began = time.perf_counter()
__import__(sys.argv[1])
print(time.perf_counter() - began)
"""


def import_seconds(module: str) -> float:
    done = subprocess.run([sys.executable, "-c", TIMED, module], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.timing
def test_importing_costs_little_more_than_importing_redis() -> None:
    """Side by side, best of several: a busy machine only ever makes an import slower."""
    ours, theirs = [], []
    for _ in range(15):
        theirs.append(import_seconds("redis"))
        ours.append(import_seconds("redis_state"))
        if len(ours) >= 3 and min(ours) < 3 * min(theirs):
            break
    assert min(ours) < 3 * min(theirs)
