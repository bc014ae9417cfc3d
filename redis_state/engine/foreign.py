"""Exceptions of the application that come out of our I/O: a signal handler raised them while we waited."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from types import TracebackType

_OURS = {"redis_state", "redis", "hiredis", "uvloop", *sys.stdlib_module_names}


def is_foreign(error: BaseException) -> bool:
    """Tell whether the application raised this, in a signal handler that ran while we waited.

    It may be any OSError, as TimeoutError is one. What a socket raises comes out of our code, or out of
    what sockets are made of here (gevent and the like); what a handler raises passed a frame of its own.
    """
    ours = _OURS.union(kind.__module__.partition(".")[0] for kind in socket.socket.__mro__)
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] not in ours:
            return True
        trace = trace.tb_next
    return False


class suppressed(suppress):  # noqa: N801  # named like what it stands for
    """Suppress errors of these kinds, but none that the application raised."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return super().__exit__(kind, error, trace) and error is not None and not is_foreign(error)
