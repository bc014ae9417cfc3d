"""Stand between clients and a Redis server, and lose, hold, delay or cut what passes.

::

    with Proxy(server_socket) as proxy:
        proxy.drop_replies(0.05, seed=1)
        client = redis.Redis.from_url(proxy.url)
        ...
        assert proxy.stats().dropped["EVALSHA"] > 0
"""

# The proxy runs in a process of its own (this file, run as a script), so it never shares an interpreter with the
# clients under test. Each order travels over its own connection to a control socket: any thread, and any process
# forked from the test, may give orders. Redis answers a connection in order: so each reply finds its request.
#
# How a connection ends. "reset": the client is cut off at that point of the stream. "withhold": it stays connected and
# hears nothing more. Either way what was delivered before stays delivered, and what already went to the server is
# executed: the server's side stays open until the server has answered it all.

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack
from urllib.parse import urlsplit

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

Mode = Literal["reset", "withhold"]
Kind = Literal["reply", "request", "hold", "cut", "cut_requests"]

SCRIPTS = ("EVALSHA", "EVAL")
PATIENCE = 30.0  # seconds until an order that nobody answers fails
PREAMBLE = frozenset({"AUTH", "HELLO", "SELECT"})
UNANSWERED = frozenset({"", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"})
BULK = frozenset(b"$!=")
NESTED = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}
ATTRIBUTE, PUSH = ord("|"), ord(">")


class Where(TypedDict, total=False):
    """Say which requests a fault is about, and how their client learns of it."""

    only: Collection[str] | None  # command names; None: all
    containing: str | bytes | None  # in any of the arguments
    mode: Mode


class Frames:
    """Cut a stream of RESP2 or RESP3 into whole frames, wherever its chunks end."""

    __slots__ = ("_at", "_buffer", "_left")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # where the next header starts, perhaps beyond what has arrived
        self._left = 1  # values still missing from the frame

    @property
    def partial(self) -> bool:
        """Tell whether part of a frame has arrived."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that these bytes complete."""
        buffer, at, left, start, frames = self._buffer, self._at, self._left, 0, []
        buffer += data
        while at <= len(buffer):
            if not left:
                frames.append(bytes(buffer[start:at]))
                start, left = at, 1
            end = buffer.find(b"\r\n", at)
            if end < 0:
                break
            kind, left = buffer[at], left - 1
            if kind in BULK:
                size = int(buffer[at + 1 : end])
                at = end + 2 if size < 0 else end + size + 4
                continue
            if kind in NESTED:  # an attribute stands in front of the value that it describes
                left += max(0, int(buffer[at + 1 : end])) * NESTED[kind] + (kind == ATTRIBUTE)
            at = end + 2
        del buffer[:start]
        self._at, self._left = at - start, left
        return frames


def arguments(frame: bytes, most: int | None = None) -> list[bytes]:
    """Return the words of a request, its name first."""
    if frame[:1] != b"*":
        return frame.split()[:most]
    words: list[bytes] = []
    at = frame.index(b"\r\n") + 2
    while at < len(frame) and len(words) != most:
        end = frame.index(b"\r\n", at)
        size = int(frame[at + 1 : end])
        words.append(frame[end + 2 : end + 2 + size])
        at = end + size + 4
    return words


class Request:
    """Remember a request until its reply comes."""

    __slots__ = ("cut", "frame", "name", "sent")

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.name = b"".join(arguments(frame, 1)).upper().decode("latin-1")
        self.cut: Mode | None = None  # the stream ends before this one's reply
        self.sent = True


def parsed(frame: bytes) -> Any:
    """Return the value of a reply; an error is returned, not raised."""
    reader = hiredis.Reader()
    reader.feed(frame)
    return reader.gets()


@dataclass
class Rule:
    """Decide which requests or replies meet a fault."""

    kind: Kind
    mode: Mode
    only: Collection[str] | None = None
    containing: str | None = None
    rate: float = 1.0
    left: int | None = None  # how often it still fires; for a cut: how many pass before it
    seed: int = 0
    tag: str = ""
    bound: object = None  # the connection whose batch is being cut

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._containing = self.containing.encode("latin-1") if self.containing is not None else None

    def matches(self, request: Request) -> bool:
        """Tell whether the rule is about this request."""
        wanted = self._containing
        return (self.only is None or request.name in self.only) and (
            wanted is None or any(wanted in word for word in arguments(request.frame))
        )

    def fires(self, request: Request) -> bool:
        """Decide about this request, and count it."""
        if self.left == 0 or not self.matches(request) or self._random.random() >= self.rate:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(frozen=True)
class Stats:
    """Count by command name what happened since the start or the last ``clear(stats=True)``."""

    requests: Counter[str] = field(default_factory=Counter)  # seen
    delivered: Counter[str] = field(default_factory=Counter)  # replies passed on to the client
    dropped: Counter[str] = field(default_factory=Counter)  # replies that met a fault: executed, not delivered
    lost: Counter[str] = field(default_factory=Counter)  # replies behind a fault on their connection
    unsent: Counter[str] = field(default_factory=Counter)  # requests that never reached the server
    held: Counter[str] = field(default_factory=Counter)  # requests held back, released or not


class Connection(asyncio.Protocol):
    """Carry one client's connection to the server and back."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.incoming, self.outgoing = Frames(), Frames()
        self.pending: deque[Request] = deque()
        self.early = b""  # arrived before the server's side was open
        self.delayed: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.due = 0.0
        self.sending = self.passing = True
        self.run = 0  # requests of the present batch that the cut is about
        self.preamble: list[bytes] = []
        self.client: asyncio.Transport | None = None
        self.server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.hub.refusing:
            transport.abort()
            return
        self.client = transport
        self.hub.connections.add(self)
        self.hub.spawn(self._open(transport))

    async def _open(self, client: asyncio.Transport) -> None:
        try:
            self.server, _ = await self.hub.dial(lambda: ServerSide(self))
        except OSError:
            client.abort()
            return
        if self.early:
            self.data_received(self.early)
        if client.is_closing():
            self.server.close()

    def data_received(self, data: bytes) -> None:
        if self.server is None:
            self.early += data
            return
        idle = not self.pending and not self.incoming.partial
        frames = self.incoming.feed(data)
        cut = self.hub.cut
        requests = [Request(frame) for frame in frames]
        if cut is not None and cut.bound is None:
            self.run = 0 if idle else self.run
            if sum(map(cut.matches, (*self.pending, *requests))) + self.incoming.partial > 1:
                cut.bound = self
        forward = [request.frame for request in requests if self._sends(request)]
        if forward and not self.server.is_closing():
            self.server.write(forward[0] if len(forward) == 1 else b"".join(forward))
        self._settle()

    def _sends(self, request: Request) -> bool:
        """Decide whether this request goes to the server."""
        stats = self.hub.stats
        stats.requests[request.name] += 1
        rule = self.hub.firing("hold", request)
        if rule:
            self.hub.held.append((list(self.preamble), request.frame))
            stats.held[request.name] += 1
        elif self.sending:
            rule = self.hub.firing("request", request) or self._cuts(request)
        if rule is None and self.sending:
            if request.name in PREAMBLE:
                self.preamble.append(request.frame)
            if request.name not in UNANSWERED:
                self.pending.append(request)
            return True
        if rule is None or rule.kind != "hold":
            stats.unsent[request.name] += 1
        if self.sending and rule:  # what follows on this connection goes nowhere either
            self.sending = request.sent = False
            request.cut = rule.mode
            self.pending.append(request)
        return False

    def _cuts(self, request: Request) -> Rule | None:
        """Mark the request where a batch is cut, and return the rule if its requests are cut too."""
        cut = self.hub.cut
        if cut is None or not cut.matches(request):
            return None
        self.run += 1
        if cut.bound is not self or self.run <= (cut.left or 0):
            return None
        self.hub.cut = None
        if cut.kind == "cut_requests":
            return cut
        request.cut = cut.mode
        return None

    def replies_received(self, data: bytes) -> None:
        """Deliver the replies that no fault meets."""
        stats, passed, mode = self.hub.stats, [], None
        for frame in self.outgoing.feed(data):
            if frame[0] == PUSH or not self.pending:
                if self.passing:
                    passed.append(frame)
                continue
            request = self.pending.popleft()
            if not self.passing:
                stats.lost[request.name] += 1
                continue
            rule = None if request.cut else self.hub.firing("reply", request)
            mode = rule.mode if rule else request.cut
            if mode:
                stats.dropped[request.name] += 1
                self.passing = False
            else:
                stats.delivered[request.name] += 1
                passed.append(frame)
        if passed:
            self._later(self._deliver, passed[0] if len(passed) == 1 else b"".join(passed))
        if not self.passing or self.pending:
            self._settle(mode)

    def _settle(self, mode: Mode | None = None) -> None:
        """End what a fault has ended, once all before it is answered."""
        if self.pending and not self.pending[0].sent:
            mode = self.pending.popleft().cut if self.passing else mode
            self.passing = False
        if mode == "reset" and self.client:
            self._later(self.client.close)
        if self.server and not self.pending and self.client and self.client.is_closing():
            self.server.close()

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        """Do it after the delay, and after what is delayed already."""
        if not self.hub.delay and not self.delayed:
            call(*args)
            return
        loop = asyncio.get_running_loop()
        self.due = max(self.due, loop.time() + self.hub.delay)
        self.delayed.append((call, args))
        loop.call_at(self.due, self._next)

    def _next(self) -> None:
        call, args = self.delayed.popleft()
        call(*args)

    def _deliver(self, data: bytes) -> None:
        if self.client and not self.client.is_closing():
            self.client.write(data)

    def server_lost(self) -> None:
        """Pass on that the server hung up, unless the client is to hear nothing."""
        if self.passing and self.client:
            self._later(self.client.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.connections.discard(self)
        if self.hub.cut and self.hub.cut.bound is self:
            self.hub.cut.bound = None
        if self.server and (self.passing or not self.pending):
            self.server.close()  # after all that was sent before


class ServerSide(asyncio.Protocol):
    """Hand the server's replies to their connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.replies_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.server_lost()


class Hub:
    """Hold the rules, the counts and the connections, and obey the test."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.rules: list[Rule] = []
        self.cut: Rule | None = None
        self.refusing = False
        self.delay = 0.0
        self.stats = Stats()
        self.connections: set[Connection] = set()
        self.held: deque[tuple[list[bytes], bytes]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def firing(self, kind: Kind, request: Request) -> Rule | None:
        """Return the first rule of this kind that fires."""
        for rule in self.rules:
            if rule.kind == kind and rule.fires(request):
                return rule
        return None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def dial(self, protocol: Callable[[], asyncio.Protocol]) -> tuple[asyncio.Transport, Any]:
        """Open a connection to the server."""
        loop, url = asyncio.get_running_loop(), urlsplit(self.upstream)
        if url.scheme in ("", "unix"):
            return await loop.create_unix_connection(protocol, url.path)
        return await loop.create_connection(protocol, url.hostname or "127.0.0.1", url.port or 6379)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Obey one order, and answer it."""
        try:
            order = json.loads(await reader.readline())
            answer = {"ok": await getattr(self, "on_" + order.pop("order"))(**order)}
        except Exception as error:
            answer = {"error": repr(error)}
        writer.write(json.dumps(answer).encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async def on_rule(self, **fields: Any) -> None:
        rule = Rule(**fields)
        if rule.kind in ("cut", "cut_requests"):
            self.cut = rule
        else:
            self.rules.append(rule)

    async def on_unrule(self, tag: str) -> None:
        self.rules = [rule for rule in self.rules if rule.tag != tag]

    async def on_clear(self, stats: bool) -> None:
        self.rules, self.cut, self.refusing, self.delay = [], None, False, 0.0
        if stats:
            self.stats = Stats()

    async def on_set(self, **values: Any) -> None:
        vars(self).update(values)

    async def on_stats(self) -> dict[str, dict[str, int]]:
        return vars(self.stats)

    async def on_reset_all(self) -> int:
        cut = list(self.connections)
        for connection in cut:
            for side in (connection.client, connection.server):
                if side:
                    side.abort()
        return len(cut)

    async def on_release(self, n: int | None) -> list[str]:
        replies: list[str] = []
        while self.held and (n is None or len(replies) < n):
            preamble, frame = self.held.popleft()
            reader = asyncio.StreamReader()
            transport, _ = await self.dial(lambda reader=reader: asyncio.StreamReaderProtocol(reader))  # type: ignore[misc]
            transport.write(b"".join([*preamble, frame]))
            frames, answers = Frames(), list[bytes]()
            while len(answers) <= len(preamble):
                data = await asyncio.wait_for(reader.read(1 << 16), PATIENCE / 2)
                if not data:
                    raise ConnectionError("the server hung up on the released request")
                answers += [answer for answer in frames.feed(data) if answer[0] != PUSH]
            transport.close()
            replies.append(answers[-1].decode("latin-1"))
        return replies


async def serve(directory: Path, upstream: str, tcp: bool) -> None:
    """Run the proxy until it is told to stop."""
    hub, loop, stop = Hub(upstream), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    port = 0
    await loop.create_unix_server(lambda: Connection(hub), directory / "proxy.sock", backlog=1024)
    if tcp:
        server = await loop.create_server(lambda: Connection(hub), "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
    await asyncio.start_unix_server(hub.control, directory / "control.sock")
    print(port, flush=True)
    await stop.wait()


class Proxy:
    """Run a proxy in front of a server, and give it orders."""

    def __init__(self, upstream: str | Path, *, tcp: bool = False) -> None:
        self._upstream = str(upstream)
        self._directory = Path(tempfile.mkdtemp(prefix="rs-proxy-"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(self._directory), self._upstream, str(int(tcp)), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the proxy did not start")
        self._port = int(line)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the proxy and every connection through it."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def socket_path(self) -> str:
        """Return the unix socket that clients connect to."""
        return str(self._directory / "proxy.sock")

    @property
    def url(self) -> str:
        """Return the address that clients connect to."""
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        """Return the loopback address, for a proxy made with ``tcp=True``."""
        assert self._port, "this proxy does not listen on TCP"
        return f"redis://127.0.0.1:{self._port}"

    @property
    def upstream(self) -> str:
        """Return the server's address: a path, ``unix://path`` or ``redis://host:port``."""
        return self._upstream

    @upstream.setter
    def upstream(self, address: str | Path) -> None:
        """Send connections made from now on to another server; ``reset_all`` moves the old ones."""
        self._ask("set", upstream=str(address))
        self._upstream = str(address)

    def drop_replies(self, rate: float, seed: int = 0, **where: Unpack[Where]) -> None:
        """Let the server execute matching requests, and lose this share of their replies."""
        self._rule("reply", where, rate=rate, seed=seed)

    def drop_next(self, n: int = 1, **where: Unpack[Where]) -> None:
        """Lose exactly the next n matching replies."""
        self._rule("reply", where, left=n)

    def drop_requests(self, rate: float = 1.0, seed: int = 0, n: int | None = None, **where: Unpack[Where]) -> None:
        """Lose this share of the matching requests, n at most, before they reach the server."""
        self._rule("request", where, rate=rate, seed=seed, left=n)

    def hold_next(self, n: int = 1, **where: Unpack[Where]) -> None:
        """Keep the next n matching requests back, by default in silence, until they are released."""
        self._rule("hold", {"mode": "withhold", **where}, left=n)

    def release(self, n: int | None = None) -> list[Any]:
        """Send what is held, oldest first, each on a connection of its own, and return the server's replies."""
        return [parsed(raw.encode("latin-1")) for raw in self._ask("release", n=n)]

    def cut_after(self, k: int, **where: Unpack[Where]) -> None:
        """Execute the next pipelined batch whole, and deliver only its first k matching replies."""
        self._rule("cut", where, left=k)

    def cut_requests_after(self, k: int, **where: Unpack[Where]) -> None:
        """Let only the first k matching requests of the next pipelined batch reach the server."""
        self._rule("cut_requests", where, left=k)

    def blackhole(self, on: bool = True, *, execute: bool = True, **where: Unpack[Where]) -> None:
        """Lose every reply, of requests that are executed or not, by default in silence, until switched off."""
        self._ask("unrule", tag="blackhole")
        if on:
            silent: Where = {"mode": "withhold", "only": None, **where}
            self._rule("reply" if execute else "request", silent, tag="blackhole")

    def refuse(self, on: bool = True) -> None:
        """Close new connections at once, until switched off."""
        self._ask("set", refusing=on)

    def delay(self, seconds: float) -> None:
        """Deliver each reply this much later."""
        self._ask("set", delay=seconds)

    def reset_all(self) -> int:
        """Cut every open connection on both sides, and return how many there were."""
        return int(self._ask("reset_all"))

    def clear(self, *, stats: bool = False) -> None:
        """Remove every rule, and the counts if asked to; what is held stays held."""
        self._ask("clear", stats=stats)

    def stats(self) -> Stats:
        """Return what happened so far."""
        return Stats(**{name: Counter(counts) for name, counts in self._ask("stats").items()})

    def _rule(self, kind: Kind, where: Where, **fields: Any) -> None:
        only, containing = where.get("only", SCRIPTS), where.get("containing")
        fields["only"] = None if only is None else [name.upper() for name in only]
        if containing is not None:
            containing = containing.encode() if isinstance(containing, str) else containing
            fields["containing"] = containing.decode("latin-1")  # JSON has no bytes
        self._ask("rule", kind=kind, mode=where.get("mode", "reset"), **fields)

    def _ask(self, order: str, **values: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(self._directory / "control.sock"))
            line.sendall(json.dumps({"order": order, **values}).encode() + b"\n")
            with line.makefile("rb") as answer:
                reply = json.loads(answer.read())
        if "error" in reply:
            raise RuntimeError(f"the proxy could not {order}: {reply['error']}")
        return reply["ok"]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # end with the thread that started us, also when it is killed
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    _directory, _upstream, _tcp, _parent = sys.argv[1:]
    try:
        if os.getppid() == int(_parent):
            asyncio.run(serve(Path(_directory), _upstream, _tcp == "1"))
    finally:
        shutil.rmtree(_directory, ignore_errors=True)
