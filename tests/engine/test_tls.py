"""Encrypted connections: what the URL asks of a certificate is what is looked at, by whatever connects."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import redis_state
from redis_state import AsyncEngine, ConfigError, Engine
from redis_state.engine.op import command
from tests.support.servers import Server

pytestmark = [
    pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificates"),
    # The socket of a handshake that failed is left to the collector, by ssl and not by us.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PING = command(None, "PING", read=lambda reply: bool(reply == b"PONG"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of the name redis.internal, which is not where the server listens; and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, own = str(folder / "key.pem"), str(folder / "own.pem")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis.internal"]
    words += ["-addext", "subjectAltName=DNS:redis.internal", "-keyout", key, "-out", own]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return own, key


@pytest.fixture(scope="module")
def url(certificate: tuple[str, str]) -> Iterator[str]:
    """A server behind an end of TLS, which lives in an event loop of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.num_tickets = 0  # redis-py takes one that comes late for a reply that was left unread
    loop = asyncio.new_event_loop()
    with Server(tcp=True) as server:
        assert server.port
        ending = loop.run_until_complete(asyncio.start_server(_passing(server.port), "127.0.0.1", ssl=context))
        running = threading.Thread(target=loop.run_forever)
        running.start()
        yield f"rediss://127.0.0.1:{ending.sockets[0].getsockname()[1]}/0"
        loop.call_soon_threadsafe(ending.close)
        loop.call_soon_threadsafe(loop.stop)
        running.join()
        loop.run_until_complete(_all_ended())
        loop.close()


def _passing(port: int) -> Callable[..., Any]:
    async def passes(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(client, to_server), _pump(server, to_client))

    return passes


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
    finally:
        target.close()


async def _all_ended() -> None:
    """End what still passes bytes on, so that no connection outlives its loop."""
    passing = asyncio.all_tasks() - {asyncio.current_task()}
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)
    await asyncio.sleep(0.05)  # the transports' turn


def blocking(url: str) -> bool:
    with Engine.from_url(url, deadline=5.0) as engine:
        return engine.run(PING)


def awaited(url: str) -> bool:
    async def ping() -> bool:
        async with AsyncEngine.from_url(url, deadline=5.0) as engine:
            return await engine.run(PING)

    return asyncio.run(ping())


def plain(url: str) -> bool:
    redis_state.configure(url)
    try:
        return bool(redis_state.redis_client.execute_command("PING"))
    finally:
        redis_state.redis_client.close()
        redis_state.configure("redis://localhost")


@pytest.fixture(params=[blocking, awaited, plain], ids=lambda ping: ping.__name__)
def ping(request: pytest.FixtureRequest) -> Callable[[str], bool]:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("said", ["false", "No", "0"])
def test_the_name_of_the_certificate_is_not_looked_at_where_that_is_said(
    ping: Any, url: str, certificate: tuple[str, str], said: str
) -> None:
    assert ping(f"{url}?ssl_ca_certs={certificate[0]}&ssl_check_hostname={said}")


@pytest.mark.parametrize(
    "said", ["", "&ssl_check_hostname=true", "&ssl_check_hostname=", "&ssl_cert_reqs=CERT_REQUIRED"]
)
def test_another_name_is_refused_otherwise(ping: Any, url: str, certificate: tuple[str, str], said: str) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ping(f"{url}?ssl_ca_certs={certificate[0]}{said}")


@pytest.mark.parametrize("said", ["none", "CERT_NONE", "None"])
def test_no_certificate_is_asked_for_in_any_spelling(ping: Any, url: str, said: str) -> None:
    assert ping(f"{url}?ssl_cert_reqs={said}")


def test_a_certificate_that_nobody_trusts_is_refused(ping: Any, url: str) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate"):
        ping(url)


def test_a_certificate_of_our_own_is_taken(ping: Any, url: str, certificate: tuple[str, str]) -> None:
    own, key = certificate
    assert ping(f"{url}?ssl_cert_reqs=none&ssl_certfile={own}&ssl_keyfile={key}")


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
@pytest.mark.parametrize("file", ["missing", "empty", "words", "folder"])
def test_a_file_that_will_not_do_is_told_before_anything_is_tried(option: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    if file == "folder":
        path.mkdir()
    elif file != "missing":
        path.write_text("no certificate" if file == "words" else "")
    for made in (Engine, AsyncEngine):
        with pytest.raises(ConfigError, match=rf"{option}.*127.0.0.1:1\b") as caught:
            made.from_url(f"rediss://me:secret@127.0.0.1:1?{option}={path}")
        assert "secret" not in str(caught.value)


def test_a_key_of_another_certificate_and_one_with_a_password_are_told(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    locked, other = str(tmp_path / "locked.pem"), str(tmp_path / "other.pem")
    own, key = certificate
    openssl = ["openssl", "rsa", "-in", key, "-aes128", "-passout", "pass:word", "-out", locked]
    subprocess.run(openssl, check=True, capture_output=True)
    subprocess.run(["openssl", "genrsa", "-out", other, "2048"], check=True, capture_output=True)
    for wrong in (locked, other, os.devnull):
        with pytest.raises(ConfigError, match="ssl_certfile"):
            Engine.from_url(f"rediss://db?ssl_certfile={own}&ssl_keyfile={wrong}")
