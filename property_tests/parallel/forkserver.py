"""The process that workers are forked from. It has imported everything, so one that was killed is replaced at once.

Run as ``python -m property_tests.parallel.forkserver <socket>``. Each connection to that socket is a new worker.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Listener

from property_tests.parallel.worker import work


def forkserver(address: str) -> None:
    """Fork a worker for each that connects, until whoever started us is gone."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    with Listener(address, "AF_UNIX", backlog=16) as listener:
        print("ready", flush=True)
        while True:
            line = listener.accept()
            if os.fork():
                line.close()
                continue
            _die_with_parent()
            with suppress(EOFError, OSError):
                work(line)
            os._exit(0)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    forkserver(sys.argv[1])
