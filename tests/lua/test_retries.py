"""Every script, sent again: back to back, and again after other calls of other callers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import redis

from redis_state.engine.inflight import Caller, ConnectionState, InFlight
from redis_state.engine.op import Op
from redis_state.engine.registry import _source, all_scripts, script
from redis_state.engine.script import Script, parse
from tests.support.raw import raw
from tests.support.samples import OTHERS, SAMPLES, Sample
from tests.support.servers import Server, available

ENDS = """
local time, left = redis.call('TIME'), redis.call('PTTL', KEYS[1])
return time[1] * 1000 + math.floor(time[2] / 1000) + left"""
SCRIPTS = [found.name for found in all_scripts()]
CALLS = sorted({*SCRIPTS, *SAMPLES})


def _script(call: str) -> Script:
    return script(call.partition(" ")[0])


@pytest.fixture(scope="module", params=[*available()])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


@pytest.fixture
def line(server: Server) -> Iterator[redis.Redis]:
    with server.client(decode_responses=False) as client:
        client.flushall()
        for found in all_scripts():
            client.script_load(found.text)
        yield client


def state_of(line: redis.Redis) -> ConnectionState:
    """Return what a connection knows that has just learned the server's time."""
    seconds, micros = line.time()  # type: ignore[misc]
    state = ConnectionState()
    state.clock = seconds + micros / 1e6 - time.monotonic()
    return state


class Copies:
    """A call as bytes, so that it can arrive as often as a network likes."""

    def __init__(self, line: redis.Redis, op: Op[Any]) -> None:
        self._line = line
        self._bytes = InFlight(op, deque()).encode(state_of(line), time.monotonic() + 10)

    def arrive(self) -> Any:
        connection = self._line.connection_pool.get_connection()
        try:
            connection.send_packed_command([self._bytes])
            return connection.read_response()
        finally:
            self._line.connection_pool.release(connection)


def run(line: redis.Redis, *ops: Op[Any]) -> None:
    for op in ops:
        Copies(line, op).arrive()


class State(NamedTuple):
    """What a server holds: the content of each key, and when it expires, by the server's clock in ms."""

    now: int
    keys: dict[bytes, tuple[Any, int]]


def expiry(line: redis.Redis, key: bytes) -> int:
    """Return when a key expires. An old server is asked three times, since it may be held up between clock and TTL."""
    try:
        ends: int = line.execute_command("PEXPIRETIME", key)
    except redis.ResponseError:
        ends = sorted(line.eval(ENDS, 1, key) for _ in range(3))[1]  # type: ignore[type-var, assignment]
    return ends


def state(line: redis.Redis) -> State:
    found: dict[bytes, tuple[Any, int]] = {}
    for key in line.keys("*"):  # type: ignore[union-attr]
        kind = line.type(key)
        content: Any
        if kind == b"hash":
            content = sorted(line.hgetall(key).items())  # type: ignore[union-attr]
        elif kind == b"zset":
            content = line.zrange(key, 0, -1, withscores=True)
        elif kind == b"stream":
            content = line.xrange(key)
        elif kind == b"list":
            content = line.lrange(key, 0, -1)
        else:
            content = line.get(key)
        found[key] = content, expiry(line, key)
    seconds, micros = line.time()  # type: ignore[misc]
    return State(seconds * 1000 + micros // 1000, found)


def changed(before: State, after: State) -> dict[bytes, Any]:
    """Return what is different, of all that lives a second longer than the later look."""
    then, now = (
        {key: held for key, held in seen.keys.items() if held[1] > after.now + 1000} for seen in (before, after)
    )
    return {
        key: (then.get(key), now.get(key))
        for key in then.keys() | now.keys()
        if key not in then or key not in now or then[key][0] != now[key][0] or abs(then[key][1] - now[key][1]) > 2
    }


def send_again(line: redis.Redis, sample: Sample, op: Op[Any]) -> None:
    """Fail when a copy of a call changes anything, or is answered in another way."""
    kind = op.script.kind if op.script else "no-writes"
    run(line, *sample.before())
    time.sleep(0.002)  # leases of a millisecond are over
    untouched = state(line)
    copies = Copies(line, op)
    first = copies.arrive()
    once = state(line)
    assert bool(changed(untouched, once)) == (kind != "no-writes"), (
        "the sample must change something, unless it only reads"
    )
    if op.script and kind == "fallback":  # the engine sends no copy of it, but its fallback
        copies = Copies(line, op.fallback or op)
    again = copies.arrive()
    assert not changed(once, state(line)), "a second copy changed something"
    assert kind == "no-writes" or again == first, "a second copy was answered in another way"
    time.sleep(0.05)
    run(line, *OTHERS)
    later = state(line)
    late = copies.arrive()
    assert not changed(later, state(line)), "a late copy changed something"
    assert kind != "deduplicated" or late == first, "a late copy was answered in another way"


@pytest.mark.parametrize("name", CALLS)
def test_a_copy_changes_nothing_however_late(line: redis.Redis, name: str) -> None:
    assert name in SAMPLES, f"tests/support/samples.py needs a line for {name}"
    send_again(line, SAMPLES[name], SAMPLES[name].call())


@pytest.mark.parametrize("name", [name for name in CALLS if _script(name).kind == "deduplicated"])
@pytest.mark.parametrize("kind", ["idempotent", "no-writes"])
def test_a_wrong_class_is_noticed(line: redis.Redis, name: str, kind: str) -> None:
    op = SAMPLES[name].call()
    told = "local clock = include('lib/clock')\nlocal now_us = clock.us() "  # given to deduplicated scripts
    lied = parse(name, told + _source(_script(name).name).replace("Retry: deduplicated", f"Retry: {kind}"), _source)
    line.script_load(lied.text)
    with pytest.raises(AssertionError):
        send_again(line, SAMPLES[name], raw(op, lied))


@pytest.mark.parametrize("ends", [-0.01, 400.0])
def test_a_copy_after_its_time_or_long_before_it_is_void(line: redis.Redis, ends: float) -> None:
    seconds = line.time()[0]  # type: ignore[index]
    payload = InFlight(SAMPLES["record/put"].call(), deque()).encode(state_of(line), time.monotonic() + ends)
    connection = line.connection_pool.get_connection()
    connection.send_packed_command([payload])
    word, now = connection.read_response()
    assert word == b"void"
    assert abs(now / 1000 - seconds) < 5
    assert [key.partition(b"}:")[2][:2] for key in state(line).keys] == [b"c:"]  # that it was is on record, alone
    line.connection_pool.release(connection)


def test_a_copy_of_an_older_call_is_superseded(line: redis.Redis) -> None:
    callers = deque([caller := Caller()])
    put, increment = SAMPLES["record/put"].call(), SAMPLES["record/increment"].call()
    old = InFlight(put, callers).encode(state_of(line), time.monotonic() + 10)
    callers.append(caller)
    new = InFlight(increment, callers).encode(state_of(line), time.monotonic() + 10)
    connection = line.connection_pool.get_connection()
    answers = []
    for payload in (old, new, old):
        connection.send_packed_command([payload])
        answers.append(connection.read_response())
    assert [answer[0] for answer in answers] == [b"written", b"counted", b"superseded"]
    line.connection_pool.release(connection)


def test_every_key_that_a_script_writes_gets_a_ttl(line: redis.Redis) -> None:
    for name in CALLS:
        line.flushdb()
        run(line, *SAMPLES[name].before(), SAMPLES[name].call(), *OTHERS)
        forever = [key for key in line.keys("*") if line.pttl(key) < 0]  # type: ignore[union-attr,operator]
        assert not forever, (name, forever)


@pytest.mark.parametrize("name", CALLS)
def test_a_full_server_runs_what_frees_and_refuses_what_grows(line: redis.Redis, name: str) -> None:
    run(line, *SAMPLES[name].before())
    time.sleep(0.002)
    copies = Copies(line, SAMPLES[name].call())
    before = state(line)
    line.config_set("maxmemory", 1)
    try:
        if _script(name).allow_oom:
            copies.arrive()
        else:
            with pytest.raises(redis.ResponseError, match="OOM|used memory"):
                copies.arrive()
            assert not changed(before, state(line)), "refused, and yet it changed something"
    finally:
        line.config_set("maxmemory", 0)
