"""A server that goes silent, each time in another way: frozen, dripping, or taking no connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from tests.support.servers import Server

DRIP = 0.05  # seconds between two bytes


class Silence:
    """Stands before a server; ``url`` works until ``begin``, and after ``end``. Ends with its ``with`` block.

    frozen: the server is stopped by a signal. drips: each request is answered with a text of a million bytes, one
    byte at a time. takes no connection: open ones are cut, and connecting is answered by nothing.
    """

    def __init__(self, server: Server, how: str) -> None:
        self.how = how
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._silent = threading.Event()
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self.url = server.url if how == "frozen" else f"redis://127.0.0.1:{self._listener.getsockname()[1]}"

    def begin(self) -> None:
        self._silent.set()
        if self.how == "frozen":
            self._server.pause()
        if self.how == "takes no connection":
            self._cut()
            self._listener.listen(0)
            for _ in range(8):  # fill what is taken without accept()
                filler = socket.socket()
                filler.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    filler.connect(self._listener.getsockname())
                self._open.append(filler)

    def end(self) -> None:
        self._over.set()
        self._server.resume()
        self._cut()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._listener.close()

    def _cut(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                self._open[-1].shutdown(socket.SHUT_RDWR)
            self._open.pop().close()

    def _serve(self) -> None:
        self._listener.settimeout(0.05)
        while not self._over.is_set():
            if self._silent.is_set() and self.how == "takes no connection":
                return
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            self._open.append(client)
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._server.port or 0)) as server:
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            while request := client.recv(65536):
                if self._silent.is_set():
                    client.sendall(b"$1000000\r\n")
                    while not self._over.wait(DRIP):
                        client.sendall(b"x")
                server.sendall(request)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while reply := server.recv(65536):
                client.sendall(reply)
