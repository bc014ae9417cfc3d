"""Progress of a track."""

from __future__ import annotations

from typing import Any

from property_tests.models import Call, Progress, Told
from property_tests.parallel.clients.base import LONG, Client
from redis_state.state import RedisProgressState


class ProgressClient(Client):
    """Progress of one track. Each call is made by an object that has seen no run yet: it is about whatever is there."""

    model = Progress()
    final_reads = (Call("get", ("t",)), Call("confirm", ("t",)))

    @property
    def state(self) -> RedisProgressState:
        return RedisProgressState(self.name, self.engine, completion_lease=LONG)

    def begin(self, key: str, total: int, restart: bool = False) -> Told:
        return _told(self.state.begin(key, total, restart=restart))

    def mark(self, key: str, segment: int) -> Told:
        return _told(self.state.mark(key, segment))

    def advance(self, key: str, by: int) -> Told:
        return _told(self.state.advance(key, by))

    def fail(self, key: str) -> Told:
        return _told(self.state.fail(key, "by chance"))

    def get(self, key: str) -> Told | None:
        found = self.state.get(key)
        return found and _told(found)

    def confirm(self, key: str) -> bool:
        return self.state.confirm_completion(key)

    def claim(self, key: str) -> Told | None:
        found = self.state.claim_completion(key)
        return found and _told(found)

    def remove(self, key: str) -> bool:
        return self.state.segment_progress.delete(key)

    def expire(self, key: str) -> None:
        self.direct.zadd(self.engine.keys("progress").key("completions", key), {key: 1}, xx=True)


def _told(found: Any) -> Told:
    return Told(found.processed, found.total, found.status, found.completed_now)
