"""What is handed to hiredis: text and bytes only, so that an interrupt in a call raises, and does no more."""

from __future__ import annotations

import enum
import subprocess
import sys
import time
from collections import deque
from typing import Any

import pytest

from redis_state.engine import packing
from redis_state.engine.inflight import ConnectionState, InFlight
from redis_state.engine.op import Op
from redis_state.engine.packing import pack
from redis_state.engine.resolve import RECALL
from redis_state.keys import Keys
from tests.support import ROOT
from tests.support.samples import OTHERS, SAMPLES
from tests.support.servers import Server

SECONDS = 2.0

# Interrupts fall anywhere in here, and each of them raises. A crash of the interpreter is the end of this process.
INTERRUPTED = """
import random, signal, sys, time
{setup}
signal.signal(signal.SIGALRM, signal.default_int_handler)  # what Ctrl-C does
end = time.monotonic() + {seconds}
interrupts = 0
while time.monotonic() < end:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.0004))
        while True:
            {body}
    except KeyboardInterrupt:
        interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
print(interrupts)
"""
PACKING = """
from tests.support.samples import SAMPLES
from collections import deque
from redis_state.engine.inflight import ConnectionState, InFlight
ops = [op for sample in SAMPLES.values() for op in (*sample.before(), sample.call())]
state, callers = ConnectionState(), deque()
def pack_all():
    for op in ops:
        InFlight(op, callers).encode(state, time.monotonic())
"""
CALLING = """
from redis_state import Engine, RecordMapping
mapping = RecordMapping("m", ttl=100, engine=Engine.from_url({url!r}))
"""


class Kind(str, enum.Enum):  # noqa: UP042 - it shows itself as Kind.A
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Shown(float):
    def __repr__(self) -> str:
        return "not a number"


def interrupted(setup: str, body: str) -> int:
    """Run something under interrupts; return how many it met. Fails when the process does not live."""
    code = INTERRUPTED.format(setup=setup, body=body, seconds=SECONDS)
    words = [sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, f"ended with {ran.returncode}: {ran.stderr[-1000:]}"
    return int(ran.stdout)


def sent(ops: list[Op[Any]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return every word that hiredis is given for some ops, also for those whose script the server lacks."""
    words: list[Any] = []
    real = packing.pack_command  # type: ignore[attr-defined]

    def spy(given: tuple[Any, ...]) -> bytes:
        assert type(given) is tuple
        words.extend(given)
        return real(given)

    monkeypatch.setattr(packing, "pack_command", spy)
    state = ConnectionState()
    for op in ops:
        for needs_script in (False, bool(op.script)):
            call = InFlight(op, deque())
            call.needs_script = needs_script
            call.encode(state, time.monotonic())
    return words


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_call_packs_text_and_bytes_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SAMPLES[name]
    words = sent([*sample.before(), sample.call(), *OTHERS], monkeypatch)
    assert {type(word) for word in words} <= {str, bytes}


@pytest.mark.parametrize(
    ("word", "bytes_of_it"),
    [
        ("a", b"a"),
        (b"a", b"a"),
        (Kind.A, b"a"),
        (7, b"7"),
        (-(10**20), b"-100000000000000000000"),
        (Number.ONE, b"1"),
        (1.5, b"1.5"),
        (Shown(1.5), b"1.5"),
    ],
)
def test_a_word_is_packed_as_what_it_stands_for(word: Any, bytes_of_it: bytes) -> None:
    assert pack((word,)) == b"*1\r\n$%d\r\n%b\r\n" % (len(bytes_of_it), bytes_of_it)
    assert bytes_of_it in RECALL(Keys("x"), "a", number=word, void_at=0, kept_ms=0).encode(None)


@pytest.mark.parametrize("word", [None, True, [], object()])
def test_what_is_no_word_is_refused(word: Any) -> None:
    with pytest.raises(TypeError, match="text, bytes or a number"):
        pack((word,))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no setitimer")
def test_interrupts_while_calls_are_packed_do_no_harm() -> None:
    assert interrupted(PACKING, "pack_all()") > 100


@pytest.mark.skipif(sys.platform == "win32", reason="there is no setitimer")
def test_interrupts_while_calls_are_made_do_no_harm(server: Server) -> None:
    assert interrupted(CALLING.format(url=server.url), "mapping.increment('a', 'n')") > 100
