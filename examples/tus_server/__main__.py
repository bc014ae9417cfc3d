"""``python -m examples.tus_server --port N --dir D``."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from examples.tus_server.app import make_app

parser = argparse.ArgumentParser(prog="python -m examples.tus_server", description="A tus 1.0 server; see REDIS_URL.")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--dir", type=Path, required=True, help="where the files lie; the same for all processes")
options = parser.parse_args()
uvicorn.run(make_app(options.dir), host=options.host, port=options.port, log_level="warning")
