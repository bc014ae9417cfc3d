"""What the application relies on, line by line, from two containers.

Part of the test suite, and a program of its own: ``python tests/test_redis_migrations.py`` checks the
server that ``REDIS_URL`` or ``REDIS_HOST`` names, or else an embedded one. Each container is a process.
It ends with ``ALL TESTS PASSED!`` and exit code 0, or names what failed and ends with exit code 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if find_spec("redis_state") is None:  # run from a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PATIENCE = 60.0  # seconds for one answer

PRELUDE = """
import json, os, sys, time, traceback
from redis_state import redis_client
from redis_state.state import progress_state
from redis_state.state.progress import RedisProgressState
from redis_state.state_manager import RedisStateManager

track_id = "track-" + os.environ["RUN"]
manager = RedisStateManager("migrations-" + os.environ["RUN"])
me = os.environ["CONTAINER_ID"]

for line in sys.stdin:
    answer, wrong = [], None
    try:
        exec(json.loads(line), {**globals(), "answer": answer.append})
    except Exception:
        wrong = traceback.format_exc()
    print(json.dumps([answer, wrong]), flush=True)
"""

# name of the check: what the containers run, one after the other
STEPS: dict[str, list[str]] = {
    "the server answers": ["assert redis_client.ping() is True"] * 2,
    "a session is created once": [
        "assert manager.create_session('s', {'user': 'ann', 'step': 1}, ttl=3600) is True",
        "assert manager.create_session('s', {'user': 'bob'}) is False",
    ],
    "a session is read from any container": ["assert manager.get_session('s') == {'user': 'ann', 'step': 1}"] * 2,
    "a session is updated from any container": [
        "assert manager.update_session('s', {'step': 2}) is True",
        "assert manager.get_session('s') == {'user': 'ann', 'step': 2}",
        "assert manager.update_session('none', {'step': 2}) is False; assert manager.get_session('none') is None",
    ],
    "a session has an owner": ["assert manager.owner('s') == 'container-1'; assert manager.container_id == me"] * 2,
    "a session is deleted for all": [
        "assert manager.delete_session('s') is True",
        "assert manager.get_session('s') is None; assert manager.delete_session('s') is False",
    ],
    "progress is a dict that all share": [
        "progress_state.segment_progress[track_id] = {'total_segments': 100, 'processed_segments': 50}",
        (
            "data = progress_state.segment_progress.get(track_id)\n"
            "assert data == {'total_segments': 100, 'processed_segments': 50}\n"
            "assert track_id in progress_state.segment_progress\n"
            "assert progress_state.segment_progress.get('none') is None"
        ),
    ],
    "progress lives two hours after each write": [
        "assert 7000 < progress_state.segment_progress.ttl(track_id) <= 7200",
    ],
    "progress is counted in place": [
        "progress_state.segment_progress[track_id]['processed_segments'] += 1",
        "progress_state.segment_progress[track_id]['processed_segments'] += 1",
        "assert progress_state.segment_progress[track_id]['processed_segments'] == 52",
    ],
    "each segment counts once, wherever it was made": [
        (
            "container1 = RedisProgressState(container_id='container-1'); container1.begin(track_id + ':v', 3)\n"
            "container1.mark(track_id + ':v', 0); container1.mark(track_id + ':v', 1)"
        ),
        (
            "container2 = RedisProgressState(container_id='container-2')\n"
            "assert container2.mark(track_id + ':v', 1).processed == 2\n"
            "assert container2.mark(track_id + ':v', 2).completed_now\n"
            "assert container2.confirm_completion(track_id + ':v') is True"
        ),
        "assert not progress_state.mark(track_id + ':v', 2).completed_now",
    ],
    "progress is deleted for all": [
        "del progress_state.segment_progress[track_id]; del progress_state.segment_progress[track_id + ':v']",
        "assert track_id not in progress_state.segment_progress",
    ],
}

# Both containers run these at once.
RACES: dict[str, tuple[str, Callable[[list[int]], bool]]] = {
    "no increment is lost": (
        (
            "m = progress_state.segment_progress; m.setdefault(track_id, {'n': 0})\n"
            "for _ in range(200): m[track_id]['n'] += 1\n"
            "deadline = time.monotonic() + 30\n"
            "while m[track_id]['n'] < 400 and time.monotonic() < deadline: time.sleep(0.01)\n"
            "answer(m[track_id]['n'])"
        ),
        lambda answers: answers == [400, 400],
    ),
    "one of two creates": (
        "answer(sum(manager.create_session('race-%d' % n, {'by': me}) for n in range(100)))",
        lambda answers: sum(answers) == 100,
    ),
    "one of two hears of the completion": (
        (
            "progress_state.begin(track_id + ':race', 100)\n"
            "answer(sum(progress_state.mark(track_id + ':race', n).completed_now for n in range(100)))"
        ),
        lambda answers: sum(answers) == 1,
    ),
}


class Failed(AssertionError):
    """A check that does not hold."""


class Container:
    """A process with the application's objects, that runs what it is told."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ, "CONTAINER_ID": name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def tell(self, program: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer says it
            self._process.stdin.write(json.dumps(program) + "\n")
            self._process.stdin.flush()

    def answer(self, program: str) -> Any:
        try:
            line = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed(f"{program}\nno answer in {PATIENCE:.0f} s") from None
        if not line:
            raise Failed(f"{program}\nthe container ended with exit code {self._process.wait()}")
        said, wrong = json.loads(line)
        if wrong:
            raise Failed(f"{program}\n{wrong.strip()}")
        return said[0] if said else None

    def close(self) -> None:
        """Let it end by itself, so that an embedded server hears of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


@contextlib.contextmanager
def two_containers(**environ: str) -> Iterator[list[Container]]:
    run = {**environ, "RUN": uuid.uuid4().hex[:8]}
    containers = [Container(f"container-{number}", run) for number in (1, 2)]
    try:
        yield containers
    finally:
        for container in containers:
            container.close()


def check_steps(containers: list[Container], programs: list[str]) -> None:
    for turn, program in enumerate(programs):
        containers[turn % 2].tell(program)
        containers[turn % 2].answer(program)


def check_race(containers: list[Container], program: str, holds: Callable[[list[int]], bool]) -> None:
    for container in containers:
        container.tell(program)
    answers = [container.answer(program) for container in containers]
    if not holds(answers):
        raise Failed(f"{program}\nthe two containers answered {answers}")


def checks() -> dict[str, Callable[[list[Container]], None]]:
    """Return every check by its name, in the order in which they follow from each other."""
    found: dict[str, Callable[[list[Container]], None]] = {}
    for name, programs in STEPS.items():
        found[name] = lambda containers, programs=programs: check_steps(containers, programs)  # type: ignore[misc]
    for name, race in RACES.items():
        found[name] = lambda containers, race=race: check_race(containers, *race)  # type: ignore[misc]
    return found


def main() -> int:
    environ = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        if not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_HOST")):
            environ["REDIS_URL"] = f"embedded://{directory}"
        with two_containers(**environ) as containers:
            for name, check in checks().items():
                began = time.monotonic()
                try:
                    check(containers)
                except Failed as error:
                    failed.append(name)
                    print(f"FAILED  {name}\n{error}", flush=True)
                else:
                    print(f"ok      {name} ({time.monotonic() - began:.1f} s)", flush=True)
    if failed:
        print(f"{len(failed)} FAILED: {'; '.join(failed)}")
        return 1
    print("ALL TESTS PASSED!")
    return 0


# --- as tests -----------------------------------------------------------------------------------------


def test_two_containers_share_what_the_application_keeps(server: Any, prefix: str) -> None:
    with two_containers(REDIS_URL=server.url, REDIS_STATE_PREFIX=prefix) as containers:
        for check in checks().values():
            check(containers)


def run_as_program(**environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REDIS_")}
    return subprocess.run(
        [sys.executable, __file__], env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=110
    )


def test_the_program_needs_no_server_and_ends_with_its_banner() -> None:
    done = run_as_program()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ALL TESTS PASSED!"


def test_the_program_names_what_failed() -> None:
    done = run_as_program(REDIS_URL="unix:///nowhere/socket", REDIS_STATE_DEADLINE="0.05")
    assert done.returncode == 1
    assert "FAILED  the server answers" in done.stdout
    assert f"{len(checks())} FAILED: the server answers; " in done.stdout.splitlines()[-1]
    assert "ALL TESTS PASSED!" not in done.stdout


if __name__ == "__main__":
    sys.exit(main())
