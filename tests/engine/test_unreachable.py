"""Where no server answers, the error comes when it can be known, and says what fits the trouble."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import AsyncEngine, ConfigError, Engine, ServerUnavailable
from redis_state.engine.handshake import heard_more, to_ask
from redis_state.engine.op import command
from tests.support.servers import Server, _free_port

PING = command(None, "PING", read=lambda reply: bool(reply == b"PONG"))
SOON = 15.0  # seconds, on a machine that is busy; what is not told soon takes LONG
LONG = 60.0


def blocking(url: str, **settings: Any) -> bool:
    with Engine.from_url(url, **settings) as engine:
        return engine.run(PING)


def awaited(url: str, **settings: Any) -> bool:
    async def ping() -> bool:
        async with AsyncEngine.from_url(url, **settings) as engine:
            return await engine.run(PING)

    return asyncio.run(ping())


@pytest.fixture(params=[blocking, awaited], ids=lambda ping: ping.__name__)
def ping(request: pytest.FixtureRequest) -> Callable[..., bool]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def running() -> Iterator[Server]:
    with Server() as server:
        yield server


def told(ping: Callable[..., bool], url: str, **settings: Any) -> str:
    with pytest.raises(ServerUnavailable) as caught:
        ping(url, **settings)
    said = str(caught.value)
    assert "\n" not in said
    assert ": ;" not in said
    assert "PING" not in said
    return said


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_a_wrong_address_is_told_soon(ping: Any, where: str) -> None:
    url = f"redis://127.0.0.1:{_free_port()}" if where == "tcp" else "unix:///tmp/no-such-socket"
    began = time.monotonic()
    assert "nothing listens there: start a server, or set REDIS_URL" in told(ping, url, deadline=LONG)
    assert time.monotonic() - began < SOON


def test_a_server_that_is_about_to_start_is_waited_for(ping: Any, running: Server) -> None:
    running.stop()
    starting = threading.Timer(0.2, running.start)
    starting.start()
    try:
        assert ping(running.url)
    except ServerUnavailable:  # a machine so busy that the start took longer
        starting.join()
        assert ping(running.url)
    starting.join()


def test_a_server_that_was_there_is_waited_for_until_the_deadline(running: Server) -> None:
    with Engine.from_url(running.url, deadline=2.0) as engine:
        engine.run(PING)
        running.stop()
        began = time.monotonic()
        with pytest.raises(ServerUnavailable, match="nothing listens there"):
            engine.run(PING)
        assert time.monotonic() - began > 1.0
        running.start()
        assert engine.run(PING)


def test_a_name_without_an_address_is_said_to_be_one(ping: Any) -> None:
    said = told(ping, "redis://no-such-host.invalid", deadline=1.0)
    assert "no address is known here for that name" in said
    assert "start a server" not in said


def test_a_server_that_hangs_is_said_to(ping: Any, running: Server) -> None:
    running.pause()
    try:
        said = told(ping, running.url, deadline=0.5, socket_timeout=0.2)
    finally:
        running.resume()
    assert "it hangs, is overloaded, or cannot be reached" in said
    assert "start a server" not in said


def test_a_server_without_a_free_connection_is_said_to_be_one(ping: Any) -> None:
    with Server(maxclients=1) as server, server.client() as client:
        client.ping()
        said = told(ping, server.url, deadline=0.5)
    assert "raise its maxclients" in said or "it ends connections" in said  # where it closed before it was heard
    assert "start a server" not in said


# --- what is no Redis ------------------------------------------------------------------------------------


def test_a_server_that_hides_what_it_knows_is_used(ping: Any) -> None:
    with Server(rename_command="COMMAND hidden") as server:
        assert ping(server.url)


def test_an_emulation_is_refused_by_what_its_scripts_lack() -> None:
    unknown = [b"time", [None, None], b"info", b"role"]
    assert to_ask(unknown)
    assert to_ask([b"time", [None, [b"get"]], b"info", b"role"]) is None  # an old server, which is refused as such
    with pytest.raises(ConfigError, match=r"is an emulation.*cmsgpack.*embedded://"):
        heard_more(Engine.from_url("redis://localhost").settings.server, 0)
    heard_more(Engine.from_url("redis://localhost").settings.server, 1)


def test_fakeredis_is_refused_with_what_to_use_instead(ping: Any) -> None:
    fakeredis = pytest.importorskip("fakeredis", reason="fakeredis is not installed")
    pytest.importorskip("lupa", reason="fakeredis runs no scripts")
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0), server_type="redis", server_version=(7, 2))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ConfigError, match="embedded://") as caught:
            ping(f"redis://127.0.0.1:{server.server_address[1]}")
        assert "too old" not in str(caught.value)
    finally:
        server.shutdown()
        server.server_close()
