"""Addresses of names, looked up in bounded time.

``getaddrinfo`` takes no time-out, and a name server that is gone holds it for half a minute. So a
thread of its own asks, and who wants the answer waits for no longer than it can. One thread asks for a
name at a time, however many wait; what is not a name needs none.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from redis_state.engine.foreign import is_foreign
from redis_state.engine.handshake import Stalled

Address: TypeAlias = tuple[Any, Any, int, str, Any]  # as getaddrinfo tells it: family, type, protocol, name, address


class Lookup:
    """One question on its way."""

    def __init__(self, host: str, port: int) -> None:
        self._name = host, port
        self._answered = threading.Event()
        self._answer: list[Address] | OSError = []
        self._heard: list[Callable[[], Any]] = []  # what to call once there is an answer

    def then(self, call: Callable[[], Any]) -> None:
        """Call when the answer is there, in whatever thread; perhaps twice."""
        self._heard.append(call)
        if self._answered.is_set():
            call()

    def wait(self, seconds: float) -> None:
        """Wait for the answer, no longer than this."""
        self._answered.wait(seconds)

    def addresses(self) -> list[Address]:
        """Return the addresses, in the order to try them. OSError when there are none, ``Stalled`` when not yet."""
        if not self._answered.is_set():
            raise Stalled(f"no name server told the address of {self._name[0]} in time")
        if isinstance(self._answer, OSError):
            raise OSError(*self._answer.args)
        return self._answer

    def _ask(self) -> None:
        host, port = self._name
        try:
            self._answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._answer = error if isinstance(error, OSError) else OSError(f"{host!r} is no host name: {error}")
        _asking.pop(self._name, None)
        self._answered.set()
        for call in self._heard:
            call()


_asking: dict[tuple[str, int], Lookup] = {}


def look_up(host: str, port: int) -> Lookup:
    """Ask for the addresses of a host, or join who asks already."""
    lookup = Lookup(host, port)
    try:
        lookup._answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        lookup._answered.set()
    except (OSError, UnicodeError) as error:  # it is a name
        if is_foreign(error):
            raise
        if (asking := _asking.get((host, port))) is not None:
            return asking
        _asking[host, port] = lookup
        try:
            threading.Thread(target=lookup._ask, name="redis_state look-up", daemon=True).start()
        except RuntimeError:  # no more threads: better an answer late than none
            lookup._ask()
        except BaseException:
            _asking.pop((host, port), None)
            raise
    return lookup


os.register_at_fork(after_in_child=_asking.clear)  # the thread that asks is the parent's
