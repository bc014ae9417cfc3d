"""``python -m examples.tus_server --port N --dir D``."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from examples.tus_server.app import Limits, make_app

GRACE = 3  # seconds that requests have to come to their end once the server is to stop

usual = Limits()
parser = argparse.ArgumentParser(prog="python -m examples.tus_server", description="A tus 1.0 server; see REDIS_URL.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--dir", type=Path, required=True, help="where the files lie; the same for all processes")
parser.add_argument("--max-size", type=int, default=usual.size, help="bytes of an upload (default: %(default)d)")
parser.add_argument(
    "--max-open", type=int, default=usual.open_uploads, help="uploads of a client that are not complete (%(default)d)"
)
parser.add_argument("--max-bytes", type=int, default=usual.open_bytes, help="bytes in all of these (no limit)")
parser.add_argument(
    "--patience", type=float, default=usual.patience, help="seconds in which a client must send something (%(default)g)"
)
parser.add_argument("--max-connections", type=int, default=500, help="that clients may have (%(default)d)")
options = parser.parse_args()
limits = Limits(options.max_size, options.max_open, options.max_bytes, options.patience)
uvicorn.run(
    make_app(options.dir, limits=limits),
    host=options.host,
    port=options.port,
    log_level="warning",
    limit_concurrency=options.max_connections,
    timeout_graceful_shutdown=GRACE,
)
