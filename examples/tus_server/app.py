"""The tus protocol, version 1.0: https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from examples.tus_server.core import ChecksumMismatch, Uploads
from examples.tus_server.files import Files
from redis_state import (
    ChunkConflict,
    ChunkOutOfRange,
    LockTimeout,
    OffsetConflict,
    QuotaExceeded,
    UnknownSession,
    UploadClosed,
)
from redis_state.aio import AsyncEngine

VERSION = "1.0.0"
LARGEST = 2**40  # bytes
ALGORITHMS = ("sha1", "sha256", "md5")
CHECKSUM_MISMATCH = 460
STATUS = {
    UnknownSession: 404,
    UploadClosed: 410,
    OffsetConflict: 409,
    ChunkConflict: 409,
    ChunkOutOfRange: 413,
    QuotaExceeded: 429,
    LockTimeout: 423,
    ChecksumMismatch: CHECKSUM_MISMATCH,
}


class Refused(Exception):
    """A request that cannot be served."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def make_app(directory: Path, engine: AsyncEngine | None = None) -> Starlette:
    """Make the server. Redis is the one of the environment, unless an engine is given."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine or AsyncEngine.from_env() as own:
            app.state.uploads = Uploads(own, Files(directory))
            sweeper = asyncio.create_task(app.state.uploads.sweep())
            yield
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper

    routes = [
        Route("/files", options, methods=["OPTIONS"]),
        Route("/files", create, methods=["POST"]),
        Route("/files/{uid}", options, methods=["OPTIONS"]),
        Route("/files/{uid}", tell, methods=["HEAD"]),
        Route("/files/{uid}", receive, methods=["PATCH"]),
        Route("/files/{uid}", terminate, methods=["DELETE"]),
        Route("/files/{uid}", fetch, methods=["GET"]),
    ]
    handlers = dict.fromkeys((*STATUS, Refused), refuse)
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


async def options(_: Request) -> Response:
    return answer(
        204,
        {
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,creation-defer-length,checksum,termination",
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
            "Tus-Max-Size": str(LARGEST),
        },
    )


async def create(request: Request) -> Response:
    check_version(request)
    total: int | None = None
    if request.headers.get("Upload-Defer-Length") != "1":
        total = number(request, "Upload-Length")
        if total > LARGEST:
            raise Refused(413, f"at most {LARGEST} bytes")
    metadata = request.headers.get("Upload-Metadata", "")
    uid = await uploads(request).create({"total_size": total, "metadata": metadata})
    return answer(201, {"Location": f"/files/{uid}"})


async def tell(request: Request) -> Response:
    check_version(request)
    session = await uploads(request).state.get_session(request.path_params["uid"])
    if session is None or session["status"] == "aborted":
        raise Refused(404 if session is None else 410, "no such upload")
    headers = {"Upload-Offset": str(session["bytes_received"]), "Cache-Control": "no-store"}
    if session["total_size"] is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(session["total_size"])
    if session["metadata"]:
        headers["Upload-Metadata"] = session["metadata"]
    return answer(200, headers)


async def receive(request: Request) -> Response:
    check_version(request)
    uid = request.path_params["uid"]
    if request.headers.get("Content-Type") != "application/offset+octet-stream":
        raise Refused(415, "Content-Type: application/offset+octet-stream")
    offset, checksum = number(request, "Upload-Offset"), checksum_of(request)
    if "Upload-Length" in request.headers:
        await uploads(request).state.declare_size(uid, number(request, "Upload-Length"))
    now = await uploads(request).receive(uid, offset, body(request), checksum)
    return answer(204, {"Upload-Offset": str(now)})


async def terminate(request: Request) -> Response:
    check_version(request)
    if not await uploads(request).abort(request.path_params["uid"]):
        raise Refused(404, "no such upload, or it is stored")
    return answer(204)


async def fetch(request: Request) -> Response:
    path = uploads(request).files.done(request.path_params["uid"])
    if not path.is_file():
        raise Refused(404, "no such file, or it is not complete")
    return FileResponse(path)


# --- headers ------------------------------------------------------------------------------------------


def uploads(request: Request) -> Uploads:
    found: Uploads = request.app.state.uploads
    return found


def answer(status: int, headers: dict[str, str] | None = None, text: str = "") -> Response:
    return Response(text, status, {"Tus-Resumable": VERSION, **(headers or {})})


async def refuse(_: Request, error: Exception) -> Response:
    """Answer a request that failed in a way we know."""
    status = error.status if isinstance(error, Refused) else STATUS[type(error)]
    headers = {"Tus-Version": VERSION} if status == 412 else {}
    if isinstance(error, OffsetConflict):
        headers["Upload-Offset"] = str(error.current)
    return answer(status, headers, str(error))


def check_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Refused(412, f"Tus-Resumable: {VERSION}")
    if not re.fullmatch(r"[\w-]{1,64}", request.path_params.get("uid", "-")):
        raise Refused(404, "no such upload")


def number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Refused(400, f"{header}: a number of bytes")
    return int(text)


def checksum_of(request: Request) -> tuple[str, bytes] | None:
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise Refused(400, f"Upload-Checksum: one of {', '.join(ALGORITHMS)}")
    try:
        wanted = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        wanted = b""
    if len(wanted) != hashlib.new(algorithm).digest_size:
        raise Refused(400, "Upload-Checksum: the digest in base64")
    return algorithm, wanted


async def body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise ConnectionError("the client went away") from None
