"""Watching one run: its state now, then each change."""

from __future__ import annotations

from typing import Any, cast

from redis_state.clock import monotonic
from redis_state.engine.op import Op, Plan, do_all
from redis_state.errors import ServerUnavailable, UnknownSession
from redis_state.keys import text_of
from redis_state.mapping.news import latest_id, wait_after
from redis_state.progress.operations import Progress, read
from redis_state.progress.records import RunOperations

NEWS_WAIT = 1.0  # seconds; a watcher looks this often at least, so lost news cost no more


class Watch:
    """Watches one run. ``timeout``: how many seconds it waits for news; None: without end."""

    def __init__(self, records: RunOperations, track: str, timeout: float | None = None) -> None:
        self._records = records
        self._track = text_of(track)
        self._partition = records.keys.of(self._track)
        self._timeout = timeout
        self._last = "0"
        self._seen: Progress | None = None

    def next(self) -> Plan[Progress | None]:
        """Read how far it is now; after that, wait for each change. None when it is finished, or the time is over."""
        if self._seen is None:
            self._seen = yield from self._read([], self._over())
        elif not self._seen.finished:
            self._seen = yield from self._news_since(self._seen)
        else:
            return None
        return self._seen

    def _news_since(self, last: Progress) -> Plan[Progress | None]:
        """Wait until it is further than this; None when the time is over, whether or not the server answers."""
        over = self._over()
        while (left := NEWS_WAIT if over is None else over - monotonic()) > 0:
            patience = max(0.001, min(NEWS_WAIT, left))
            try:
                wait = wait_after(self._partition, self._news, self._last, patience, bool)
                seen = yield from self._read([wait], over)
            except ServerUnavailable:
                if over is None or monotonic() < over:
                    raise
                return None
            if seen != last:
                return seen
        return None

    def _read(self, first: list[Op[Any]], until: float | None) -> Plan[Progress]:
        """Read the run, and remember which news that takes in; in the same write behind ``first``, which may wait."""
        ops: list[Op[Any]] = [*first, latest_id(self._partition, self._news), read(self._records, self._track)]
        for op in ops:
            op.until = until
        *_, self._last, seen = yield from do_all(ops)
        if seen is None:
            raise UnknownSession(self._track)
        return cast("Progress", seen)

    def _over(self) -> float | None:
        return None if self._timeout is None else monotonic() + self._timeout

    @property
    def _news(self) -> str:
        return self._records.keys.key("news", self._track)
