"""Show that each fault of the proxy does what it says, and that the proxy changes nothing else."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hiredis
import psutil
import pytest
import redis
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import ROOT
from tests.support.proxy import Frames, Proxy, arguments
from tests.support.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
PATIENCE = 20.0
LATE = [("before", "1"), ("late", "1"), ("other", "1"), ("late", "10"), ("late", "100")]


class Wire:
    """Be a client that writes and reads when the test says so."""

    def __init__(self, proxy: Proxy) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(proxy.socket_path)
        self._replies = hiredis.Reader(notEnoughData=self)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *requests: Sequence[str]) -> None:
        """Write requests all at once."""
        self.write(b"".join(pack(request) for request in requests))

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def add(self, *keys: str) -> None:
        """Write one addition to each key, all at once."""
        self.send(*(("EVAL", ADD, "1", key, "1") for key in keys))

    def read(self) -> Any:
        """Wait for the next reply."""
        while (reply := self._replies.gets()) is self:
            self._replies.feed(self._receive())
        return reply

    def ended(self) -> bool:
        """Wait for the end of the connection, or for anything else."""
        try:
            return self._replies.gets() is self and self._socket.recv(1) == b""
        except ConnectionResetError:  # the proxy closed before it had read everything
            return True

    def silent(self) -> bool:
        """Tell whether the connection is open and has nothing to read."""
        return self._replies.gets() is self and not select.select([self._socket], [], [], 0.05)[0]

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise EOFError
        return data


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(name="direct")
def _direct(server: Server) -> Iterator[redis.Redis]:
    """Bypass the proxy, on an empty server."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture(name="proxy")
def _proxy(server: Server, direct: redis.Redis) -> Iterator[Proxy]:
    with Proxy(server.socket_path) as running:
        yield running


@pytest.fixture(name="client")
def _client(proxy: Proxy) -> Iterator[redis.Redis]:
    with connect(proxy.url) as client:
        yield client


@pytest.fixture(name="line")
def _line(proxy: Proxy) -> Iterator[Wire]:
    with Wire(proxy) as line:
        yield line


def connect(url: str, **options: Any) -> redis.Redis:
    return redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=PATIENCE, decode_responses=True, **options
    )


def add(client: redis.Redis, key: str = "n", by: int = 1) -> int:
    return int(client.eval(ADD, 1, key, by))


def pack(words: Sequence[str | bytes]) -> bytes:
    raw = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


def clients(direct: redis.Redis) -> int:
    return int(direct.info("clients")["connected_clients"])


def outcomes(client: redis.Redis, calls: int) -> list[bool]:
    answered = []
    for _ in range(calls):
        try:
            add(client)
            answered.append(True)
        except redis.ConnectionError:
            answered.append(False)
    return answered


# --- framing ---------------------------------------------------------------------------------------------------------

FRAMES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":12\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n$1\r\n",
    b"*0\r\n",
    b"*2\r\n*2\r\n:1\r\n$3\r\na\r\n\r\n*1\r\n$-1\r\n",
    b"%2\r\n+a\r\n*1\r\n:1\r\n$1\r\nb\r\n%0\r\n",
    b"~2\r\n#t\r\n_\r\n",
    b",1.5\r\n",
    b"(123456789012345678901234567890\r\n",
    b"=7\r\ntxt:a\r\n\r\n",
    b"!5\r\nERR x\r\n",
    b"|1\r\n+ttl\r\n:9\r\n*1\r\n|1\r\n+a\r\n:1\r\n:3\r\n",
    b">2\r\n+message\r\n$2\r\nhi\r\n",
    b"PING inline\r\n",
]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def reassembled(pieces: Sequence[bytes]) -> list[bytes]:
    frames = Frames()
    whole = [frame for piece in pieces for frame in frames.feed(piece)]
    assert not frames.partial
    return whole


def test_frames_are_whole_wherever_the_stream_is_cut() -> None:
    stream = b"".join(FRAMES)
    for places in itertools.combinations(range(1, len(stream)), 2):
        assert reassembled(cut(stream, places)) == FRAMES, places
    assert reassembled(cut(stream, range(1, len(stream)))) == FRAMES


def test_no_frame_is_whole_before_its_last_byte() -> None:
    for frame in FRAMES:
        frames = Frames()
        assert frames.feed(frame[:-1]) == []
        assert frames.partial
        assert frames.feed(frame[-1:]) == [frame]


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=5), max_size=6), st.data())
def test_requests_come_back_word_for_word(requests: list[list[str | bytes]], data: st.DataObject) -> None:
    encoded = [pack(words) for words in requests]
    stream = b"".join(encoded)
    whole = reassembled(cut(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=8))))
    assert whole == encoded
    assert [arguments(frame) for frame in whole] == requests
    assert [arguments(frame, 1) for frame in whole] == [words[:1] for words in requests]


# --- without a fault -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
def test_nothing_changes_on_the_way(proxy: Proxy, direct: redis.Redis, protocol: int) -> None:
    with connect(proxy.url, protocol=protocol) as client:
        large = "\r\n$3\r\n" * 500_000
        client.set("large", large)
        assert client.get("large") == direct.get("large") == large
        client.hset("h", mapping={"a": "1", "b": "2"})
        assert client.hgetall("h") == {"a": "1", "b": "2"}
        assert client.eval("return {1, {'a', {}}, false}", 0) == [1, ["a", []], None]
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.get("h")
        pipe = client.pipeline(transaction=False)
        for number in range(2000):
            pipe.echo(str(number))
        assert pipe.execute() == [str(number) for number in range(2000)]
        with client.pubsub() as heard:
            heard.subscribe("news")
            assert heard.get_message(timeout=PATIENCE)
            direct.publish("news", "hello")
            message = heard.get_message(timeout=PATIENCE)
            assert message
            assert message["data"] == "hello"
    seen = proxy.stats()
    assert seen.requests["ECHO"] == seen.delivered["ECHO"] == 2000
    assert not seen.dropped + seen.lost + seen.unsent + seen.held


async def test_asyncio_clients_and_loopback_tcp(server: Server, direct: redis.Redis) -> None:
    with Proxy(f"unix://{server.socket_path}", tcp=True) as proxy:
        async with redis.asyncio.Redis.from_url(proxy.tcp_url, retry=Retry(NoBackoff(), 0)) as client:
            for _ in range(4):
                await asyncio.gather(*(client.eval(ADD, 1, "n", 1) for _ in range(50)))
            proxy.drop_next()
            with pytest.raises(redis.ConnectionError):
                await client.eval(ADD, 1, "n", 1)
    assert direct.get("n") == "201"


def _additions(url: str, calls: int) -> int:
    with connect(url) as client:
        return outcomes(client, calls).count(False)


def test_many_processes_at_once(proxy: Proxy, direct: redis.Redis) -> None:
    proxy.drop_replies(0.05, seed=3)
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        failed = sum(pool.starmap(_additions, [(proxy.url, 500)] * 8, chunksize=1))
    chance = random.Random(3)
    assert failed == proxy.stats().dropped["EVAL"] == sum(chance.random() < 0.05 for _ in range(4000))
    assert direct.get("n") == "4000"
    assert proxy.stats().requests["EVAL"] == 4000


# --- lost replies and requests ---------------------------------------------------------------------------------------


def test_a_dropped_reply_was_executed_once(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    add(client)
    proxy.drop_next(2)
    for expected in ("2", "3"):
        with pytest.raises(redis.ConnectionError):
            add(client)
        assert direct.get("n") == expected
    assert add(client) == 4
    assert proxy.stats().dropped == {"EVAL": 2}
    assert proxy.stats().delivered["EVAL"] == 2


def test_what_was_sent_behind_a_dropped_reply_is_executed(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    line.add("n")
    line.read()
    before = clients(direct)
    proxy.drop_next()
    line.send(("EVAL", ADD, "1", "n", "1"), ("BLPOP", "list", "0"))
    assert line.ended()
    until(lambda: direct.info("clients")["blocked_clients"] == 1)
    direct.rpush("list", "value")
    assert direct.llen("list") == 0
    until(lambda: clients(direct) == before - 1)
    assert proxy.stats().lost == {"BLPOP": 1}


def test_a_withheld_reply_leaves_the_connection_open_and_mute(
    proxy: Proxy, line: Wire, client: redis.Redis, direct: redis.Redis
) -> None:
    proxy.drop_next(mode="withhold")
    line.add("n")
    until(lambda: proxy.stats().dropped["EVAL"] == 1)
    line.send(["PING"])
    until(lambda: proxy.stats().lost["PING"] == 1)
    assert line.silent()
    assert direct.get("n") == "1"
    assert add(client) == 2


def test_a_share_of_replies_follows_the_seed(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    chance = random.Random(7)
    expected = [chance.random() >= 0.3 for _ in range(100)]
    proxy.drop_replies(0.3, seed=7)
    assert outcomes(client, 100) == expected
    assert proxy.stats().dropped["EVAL"] == expected.count(False)
    assert direct.get("n") == "100"
    proxy.clear(stats=True)
    assert all(outcomes(client, 50))
    assert not proxy.stats().dropped


def test_rules_choose_by_command_and_by_argument(proxy: Proxy, client: redis.Redis) -> None:
    proxy.drop_replies(1.0)
    assert client.ping()
    proxy.clear()
    proxy.drop_replies(1.0, only=("incrby",))
    assert add(client) == 1
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    proxy.clear()
    proxy.drop_replies(1.0, only=None, containing="secret")
    assert add(client, "public") == 1
    for fault in (lambda: add(client, "a-secret-key"), lambda: client.get("secret")):
        with pytest.raises(redis.ConnectionError):
            fault()
    proxy.clear()
    proxy.drop_next(only=None, containing=b"\xff\r\n")
    client.set("k", b"\xff\r")
    with pytest.raises(redis.ConnectionError):
        client.set("k", b"\xff\r\n")


def test_a_dropped_request_never_arrives(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    proxy.drop_requests(n=2)
    assert outcomes(client, 3) == [False, False, True]
    assert direct.get("n") == "1"
    assert proxy.stats().unsent == {"EVAL": 2}
    chance = random.Random(5)
    expected = [chance.random() >= 0.4 for _ in range(60)]
    proxy.drop_requests(0.4, seed=5)
    assert outcomes(client, 60) == expected
    assert direct.get("n") == str(1 + expected.count(True))


def test_replies_before_a_dropped_request_are_delivered(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    proxy.drop_requests(containing="b")
    line.add("a", "b", "c")
    assert line.read() == 1
    assert line.ended()
    assert direct.keys() == ["a"]
    assert proxy.stats().unsent["EVAL"] == 2


# --- late requests ---------------------------------------------------------------------------------------------------


def test_a_held_request_arrives_when_released(
    proxy: Proxy, line: Wire, client: redis.Redis, direct: redis.Redis
) -> None:
    assert proxy.release() == []
    proxy.hold_next()
    line.add("n")
    until(lambda: proxy.stats().held["EVAL"] == 1)
    assert line.silent()
    assert direct.get("n") is None
    assert add(client, by=10) == 10
    line.__exit__()
    assert proxy.release() == [11]
    assert direct.get("n") == "11"
    assert proxy.release() == []
    assert not proxy.stats().unsent


def test_a_held_request_may_reset_its_client(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    proxy.hold_next(mode="reset")
    assert outcomes(client, 2) == [False, True]
    assert proxy.release() == [2]
    proxy.hold_next(mode="reset")
    with pytest.raises(redis.ConnectionError):
        client.eval("return redis.call('INCR', 'text')", 0)
    direct.set("text", "no number")
    [reply] = proxy.release()
    assert isinstance(reply, Exception)
    assert "not an integer" in str(reply)


def test_several_requests_are_held_in_order(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    proxy.hold_next(3, containing="late")
    line.send(*(("EVAL", ADD, "1", key, by) for key, by in LATE))
    assert line.read() == 1
    until(lambda: proxy.stats().held["EVAL"] == 3)
    assert direct.keys() == ["before"]
    assert proxy.release(2) == [1, 11]
    assert proxy.release() == [111]
    assert direct.get("other") is None
    assert proxy.stats().unsent["EVAL"] == 1


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_late_request_keeps_its_database(proxy: Proxy, direct: redis.Redis, protocol: int) -> None:
    proxy.hold_next()
    with Wire(proxy) as line:
        line.send(["HELLO", str(protocol)], ["SELECT", "4"])
        line.add("n")
        until(lambda: proxy.stats().held["EVAL"] == 1)
    assert proxy.release() == [1]
    assert direct.info("keyspace")["db4"]["keys"] == 1


# --- batches cut in the middle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 7])
def test_a_batch_loses_its_last_replies(proxy: Proxy, line: Wire, direct: redis.Redis, k: int) -> None:
    proxy.cut_after(k)
    for _ in range(3):  # single calls are no batch
        line.add("single")
        line.read()
    connected = clients(direct)
    line.add(*"n" * 10)
    assert [line.read() for _ in range(k)] == list(range(1, k + 1))
    assert line.ended()
    until(lambda: proxy.stats().lost["EVAL"] == 9 - k)
    assert proxy.stats().dropped["EVAL"] == 1
    assert direct.get("n") == "10"
    until(lambda: clients(direct) == connected - 1)


@pytest.mark.parametrize("k", [0, 1, 7])
def test_a_batch_loses_its_last_requests(proxy: Proxy, line: Wire, direct: redis.Redis, k: int) -> None:
    proxy.cut_requests_after(k)
    line.add(*"n" * 10)
    assert [line.read() for _ in range(k)] == list(range(1, k + 1))
    assert line.ended()
    assert int(direct.get("n") or 0) == k
    assert proxy.stats().unsent["EVAL"] == 10 - k


def test_a_cut_happens_once_also_in_a_batch_of_many_writes(
    proxy: Proxy, client: redis.Redis, direct: redis.Redis
) -> None:
    proxy.cut_after(150)
    pipe = client.pipeline(transaction=False)
    for _ in range(2):
        pipe.get("n")
    for _ in range(200):
        pipe.eval(ADD, 1, "n" * 1000, 1)
    with pytest.raises(redis.ConnectionError):
        pipe.execute()
    assert proxy.stats().delivered["EVAL"] == 150
    for _ in range(200):
        pipe.eval(ADD, 1, "m", 1)
    assert pipe.execute() == list(range(1, 201))
    assert int(direct.get("n" * 1000) or 0) > 150


def test_a_cut_waits_for_the_next_batch_when_one_was_too_short(proxy: Proxy, direct: redis.Redis) -> None:
    before = clients(direct)
    proxy.cut_after(5)
    with Wire(proxy) as short:
        short.add("n", "n")
        assert [short.read() for _ in range(2)] == [1, 2]
    until(lambda: clients(direct) == before)
    with Wire(proxy) as long:
        long.add(*"m" * 10)
        assert [long.read() for _ in range(5)] == [1, 2, 3, 4, 5]
        assert long.ended()


def test_a_batch_that_arrives_in_pieces_is_one_batch(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    proxy.cut_requests_after(1)
    batch = b"".join(pack(["EVAL", ADD, "1", key, "1"]) for key in "ab")
    line.write(batch[:-5])
    assert line.read() == 1
    line.write(batch[-5:])
    assert line.ended()
    assert direct.keys() == ["a"]


# --- outages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", [True, False])
def test_a_blackhole_swallows_everything(proxy: Proxy, line: Wire, direct: redis.Redis, execute: bool) -> None:
    proxy.blackhole(execute=execute)
    line.send(["PING"])
    line.add("n", "n")
    until(lambda: (proxy.stats().dropped + proxy.stats().lost).total() == 3 * execute)
    until(lambda: proxy.stats().unsent.total() == 3 * (not execute))
    assert line.silent()
    assert direct.get("n") == ("2" if execute else None)
    proxy.blackhole(False)
    line.send(["PING"])
    until(lambda: proxy.stats().requests["PING"] == 2)
    assert line.silent()
    with connect(proxy.url) as later:
        assert add(later) == 1 + 2 * execute


def test_a_blackhole_may_reset_and_spare_the_handshake(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    proxy.blackhole(only=("EVAL",), mode="reset")
    assert outcomes(client, 5) == [False] * 5
    assert client.ping()
    assert direct.get("n") == "5"


def test_refused_connections_and_open_ones(proxy: Proxy, client: redis.Redis) -> None:
    with connect(proxy.url) as other:
        assert add(client) == 1
        proxy.refuse()
        assert add(client) == 2
        with pytest.raises(redis.ConnectionError):
            other.ping()
        proxy.refuse(False)
        assert add(other) == 3


def test_delayed_replies_come_later_and_in_order(proxy: Proxy, line: Wire) -> None:
    proxy.delay(0.3)
    start = time.monotonic()
    line.add("n")
    until(lambda: proxy.stats().delivered["EVAL"] == 1)
    proxy.delay(0.0)
    line.add("n", "n")
    until(lambda: proxy.stats().delivered["EVAL"] == 3)
    assert [line.read() for _ in range(3)] == [1, 2, 3]
    assert time.monotonic() - start >= 0.3


def test_a_delayed_reply_precedes_the_reset_behind_it(proxy: Proxy, line: Wire) -> None:
    proxy.delay(0.1)
    proxy.cut_after(2)
    line.add(*"nnnn")
    assert [line.read() for _ in range(2)] == [1, 2]
    assert line.ended()


def test_reset_all_cuts_every_open_connection(proxy: Proxy, direct: redis.Redis) -> None:
    with Wire(proxy) as one, Wire(proxy) as two:
        for line in (one, two):
            line.add("n")
            line.read()
        before = clients(direct)
        assert proxy.reset_all() == 2
        for line in (one, two):
            assert line.ended()
        until(lambda: clients(direct) == before - 2)
    assert proxy.reset_all() == 0


def test_connections_end_on_both_sides(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    line.add("n")
    assert line.read() == 1
    before = clients(direct)
    for _ in range(50):
        with Wire(proxy):
            pass
    with Wire(proxy) as last:
        last.add("n")
        assert last.read() == 2
        until(lambda: clients(direct) == before + 1)
        direct.client_kill_filter(_type="normal", skipme=True)
        assert last.ended()
    assert line.ended()


def test_pushed_messages_are_nobodys_reply(proxy: Proxy, line: Wire, direct: redis.Redis) -> None:
    line.send(["HELLO", "3"], ["SUBSCRIBE", "news"])
    assert b"server" in line.read()
    assert line.read()[0] == b"subscribe"
    line.send(["BLPOP", "list", "0"])
    until(lambda: direct.info("clients")["blocked_clients"] == 1)
    proxy.drop_next(only=["BLPOP"])
    direct.publish("news", "hello")
    assert line.read() == [b"message", b"news", b"hello"]
    direct.rpush("list", "value")
    assert line.ended()
    assert direct.llen("list") == 0


def test_a_blocked_command_ends_with_its_client(proxy: Proxy, direct: redis.Redis) -> None:
    with Wire(proxy) as line:
        line.send(["BLPOP", "list", "0"])
        until(lambda: direct.info("clients")["blocked_clients"] == 1)
    until(lambda: direct.info("clients")["blocked_clients"] == 0)


def test_the_server_may_change_behind_the_address(proxy: Proxy, client: redis.Redis, direct: redis.Redis) -> None:
    assert add(client) == 1
    with Server() as second:
        proxy.upstream = second.socket_path
        assert proxy.upstream == second.socket_path
        assert add(client) == 2
        proxy.reset_all()
        client.connection_pool.disconnect()
        assert add(client) == 1
        proxy.hold_next(mode="reset")
        with pytest.raises(redis.ConnectionError):
            add(client)
        second.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        with pytest.raises(RuntimeError, match="release"):
            proxy.release()
        second.start()
        assert add(client) == 1
    assert direct.get("n") == "2"


def test_the_upstream_may_be_loopback_tcp() -> None:
    with Server(tcp=True) as server, Proxy(server.url) as proxy, connect(proxy.url) as client:
        assert add(client) == 1
        proxy.drop_next()
        with pytest.raises(redis.ConnectionError):
            add(client)
        assert add(client) == 3


# --- its own life ----------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind(server: Server) -> None:
    with Proxy(server.socket_path) as proxy:
        process, directory = psutil.Process(proxy._process.pid), proxy._directory
        assert directory.exists()
    assert not process.is_running()
    assert not directory.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_it_ends_with_a_killed_test(server: Server) -> None:
    code = (
        "import sys, time; from tests.support.proxy import Proxy; proxy = Proxy(sys.argv[1]);"
        "print(proxy._process.pid, proxy._directory, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, server.socket_path], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as test:
        assert test.stdout
        pid, directory = test.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        test.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE)
    until(lambda: not Path(directory).exists())
