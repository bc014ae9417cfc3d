"""Which server is ours now. Pure.

An engine asks before every connection, also between the attempts of one call, so that a change of
server reaches calls that are already on their way. This one always names the same address; what
listens there may change at any time (a restart, a promoted replica).
"""

from __future__ import annotations

from redis_state.config import Server


class ServerSelector:
    """The one configured server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def server(self) -> Server:
        """Return where to connect now."""
        return self._server
