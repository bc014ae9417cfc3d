"""The tus protocol, version 1.0: https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.tus_server import headers
from examples.tus_server.body import TooLarge, TooSlow
from examples.tus_server.core import LARGEST, ChecksumMismatch, Limits, Part, Uploads
from examples.tus_server.files import Files, NoSuchId, checked
from examples.tus_server.headers import VERSION, Refused
from redis_state import (
    ChunkConflict,
    ChunkOutOfRange,
    LockLost,
    LockTimeout,
    OffsetConflict,
    QuotaExceeded,
    RedisStateError,
    ServerFull,
    UnknownSession,
    UploadClosed,
)
from redis_state.aio import AsyncEngine

__all__ = ["LARGEST", "Limits", "make_app"]

log = logging.getLogger("tus_server")

# What a client is told: nothing of what goes on inside.
ANSWERS = {
    NoSuchId: (404, "no such upload"),
    UnknownSession: (404, "no such upload"),
    TooSlow: (408, "nothing came for too long; ask where the upload goes on, and send the rest"),
    OffsetConflict: (409, "the upload goes on elsewhere, see Upload-Offset"),
    ChunkConflict: (409, "this contradicts what the upload was declared with"),
    UploadClosed: (410, "this upload was deleted"),
    TooLarge: (413, "more bytes than the upload has room for"),
    ChunkOutOfRange: (413, "more bytes than the upload has room for"),
    LockTimeout: (423, "another request writes to this upload; try again in a moment"),
    LockLost: (423, "another request writes to this upload; try again in a moment"),
    ChecksumMismatch: (460, "the bytes have another checksum; nothing of them is kept"),
    ServerFull: (507, "no room for another upload; try again later"),
    RedisStateError: (503, "try again in a moment"),
}
OFFERED = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,creation-defer-length,checksum,termination",
    "Tus-Checksum-Algorithm": ",".join(headers.ALGORITHMS),
}
Handler = Callable[[Request], Awaitable[Response]]


def make_app(directory: Path, engine: AsyncEngine | None = None, limits: Limits | None = None) -> Starlette:
    """Make the server. Redis is that of the environment, unless an engine is given.

    All its keys begin with a prefix of their own, ``<prefix>:tus``: other uploads on that server are not its uploads.
    """
    given = (engine or AsyncEngine.from_env()).settings

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncEngine(given.with_changes(prefix=f"{given.prefix}:tus")) as own:
            app.state.uploads = Uploads(own, Files(directory), limits or Limits())
            sweeper = asyncio.create_task(app.state.uploads.sweep())
            yield
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper

    routes = [
        served("/files", {"OPTIONS": options, "POST": create}),
        served("/files/", {"OPTIONS": options, "POST": create}),
        served(
            "/files/{uid}",
            {"OPTIONS": options, "HEAD": tell, "PATCH": receive, "DELETE": terminate, "GET": fetch},
        ),
    ]
    known = (*ANSWERS, Refused, OSError, HTTPException)
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Speaking)],
        exception_handlers={**dict.fromkeys(known, refuse), Exception: fail},
    )
    app.router.redirect_slashes = False
    return app


class Speaking:
    """Take the method that the client means, and say in every answer what is spoken here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def speaking(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Tus-Resumable", VERSION)
            await send(message)

        meant = Headers(scope=scope).get("X-HTTP-Method-Override")
        await self._app({**scope, "method": meant.strip().upper()} if meant else scope, receive, speaking)


def served(path: str, handlers: dict[str, Handler]) -> Route:
    """Serve a path by these methods, for clients that speak our version."""

    async def serve(request: Request) -> Response:
        if request.method not in ("OPTIONS", "GET"):
            headers.check_version(request)
        return await handlers[request.method](request)

    return Route(path, serve, methods=list(handlers))


async def options(request: Request) -> Response:
    return answer(204, {**OFFERED, "Tus-Max-Size": str(uploads(request).limits.size)})


async def create(request: Request) -> Response:
    if "Upload-Concat" in request.headers:
        raise Refused(400, "Upload-Concat: concatenation is not offered; send the file as one upload")
    total = headers.length_at_first(request, uploads(request).limits.size)
    data = {"total_size": total, "metadata": headers.metadata(request), "owner": owner_of(request)}
    uid = await uploads(request).create(data)
    return answer(201, {"Location": f"/files/{uid}"})


async def tell(request: Request) -> Response:
    upload = await uploads(request).find(uid_of(request))
    found = {"Upload-Offset": str(upload["bytes_received"]), "Cache-Control": "no-store"}
    if upload["total_size"] is None:
        found["Upload-Defer-Length"] = "1"
    else:
        found["Upload-Length"] = str(upload["total_size"])
    if upload["metadata"]:
        found["Upload-Metadata"] = upload["metadata"]
    return answer(200, found)


async def receive(request: Request) -> Response:
    headers.check_media_type(request)
    offset = headers.number(request, "Upload-Offset")
    length = headers.length_by_now(request, offset, uploads(request).limits.size)
    size = headers.number(request, "Content-Length") if "Content-Length" in request.headers else None
    part = Part(offset, body(request), size, headers.checksum(request), length)
    now = await uploads(request).receive(uid_of(request), part)
    return answer(204, {"Upload-Offset": str(now)})


async def terminate(request: Request) -> Response:
    await uploads(request).delete(uid_of(request))
    return answer(204)


async def fetch(request: Request) -> Response:
    """Return the bytes of a stored upload, as bytes: no browser shall take them for a page of ours."""
    upload = await uploads(request).find(uid_of(request))
    if upload["status"] != "stored":
        raise Refused(404, "this upload is not complete")
    path = uploads(request).files.done(uid_of(request))
    return FileResponse(path, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})


# --- requests and answers -----------------------------------------------------------------------------


def uploads(request: Request) -> Uploads:
    found: Uploads = request.app.state.uploads
    return found


def uid_of(request: Request) -> str:
    return checked(request.path_params["uid"])


def owner_of(request: Request) -> str:
    """Return whose quotas an upload counts for. Where clients are known by name, return that name."""
    return request.client.host if request.client else ""


async def body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise ConnectionError("the client went away") from None


def answer(status: int, found: dict[str, str] | None = None, text: str = "") -> Response:
    return Response(text, status, {"Tus-Resumable": VERSION, **(found or {})})


async def refuse(_: Request, error: Exception) -> Response:
    """Answer a request that failed in a way we know."""
    if isinstance(error, HTTPException):
        return answer(error.status_code, dict(error.headers or {}), error.detail)
    if isinstance(error, Refused):
        return answer(error.status, {"Tus-Version": VERSION} if error.status == 412 else {}, str(error))
    if isinstance(error, QuotaExceeded):
        return answer(413 if error.what == "bytes" else 429, text="too many uploads, or bytes, that are not complete")
    kind = next((kind for kind in type(error).__mro__ if kind in ANSWERS), None)
    if kind is None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return answer(507, text="no room for these bytes; try again later")
        raise error
    status, text = ANSWERS[kind]
    if status == 503:
        log.warning("not served: %s", error)
    return answer(status, {"Upload-Offset": str(error.current)} if isinstance(error, OffsetConflict) else {}, text)


async def fail(_: Request, __: Exception) -> Response:
    """Answer a request that failed in a way we do not know; the log has the rest."""
    return answer(500, text="this failed; the server's log says why")
