"""All that the containers share, apart from a folder: this file is what an application would write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis_state import Engine
from redis_state.state import ProgressState
from redis_state.state_manager import StateManager

if TYPE_CHECKING:
    from redis_state.demo.plan import Plan

HEARTBEAT = 2.0  # seconds after which a silent worker counts as gone


class Shared:
    """One container's door to the state that it shares with the others."""

    def __init__(self, plan: Plan, container: str) -> None:
        self.engine = Engine.from_url(plan.url, prefix=plan.prefix)
        self.progress = ProgressState(
            container_id=container, engine=self.engine, completion_lease=plan.completion_lease
        )
        self.jobs = StateManager("demo-jobs", container_id=container, engine=self.engine).sessions
        self.workers = StateManager("demo-workers", container_id=container, engine=self.engine).sessions
        self.counters = StateManager("demo-counters", container_id=container, engine=self.engine).sessions

    def close(self) -> None:
        self.engine.close()
