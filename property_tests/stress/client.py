"""A process: what it does, and the log of that."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from property_tests.stress.alarm import Alarm, Interrupted
from property_tests.stress.config import LEASE, LIVE, UNDECIDED_FOR_GOOD, Job
from property_tests.stress.config import UNDECIDED as PATIENCE
from property_tests.stress.log import INTERRUPTED, NOT_APPLIED, UNDECIDED, Log
from redis_state import AlreadyClaimed, Engine, Locks, NotApplied, OutcomeUnknown, RedisStateError, UnknownSession
from redis_state.config import container_id

T = TypeVar("T")


class Client:
    """What all work of a process needs."""

    def __init__(self, engine: Engine, job: Job, seed: str, alarm: Alarm) -> None:
        self.engine, self.folder, self.alarm = engine, Path(job.folder), alarm
        self.log, self.chance = Log(self.folder), random.Random(seed)
        self._clock_steps = job.clock_steps
        self._live = {kind: list(range(LIVE)) for kind in ("track", "conversion", "upload")}

    def invoke(
        self,
        what: str,
        call: Callable[[], T],
        tell: Callable[[T], Any] = lambda answer: answer,
        *,
        resolves: bool = True,
        **facts: Any,
    ) -> T | None:
        """Make a call, and write down before and after it. None when it was not applied, or that stays unknown."""
        number = self.log.begin(what, **facts)
        try:
            answer = self.alarm.during((lambda: self.decided(call)) if resolves else call)
        except NotApplied:
            return self.log.end(number, NOT_APPLIED)
        except Interrupted:
            return self.log.end(number, INTERRUPTED)
        except OutcomeUnknown:
            return self.log.end(number, UNDECIDED) if resolves else None
        except (RedisStateError, KeyError, ValueError) as error:
            self.log.end(number, type(error).__name__)
            raise
        self.log.end(number, answer=tell(answer))
        return answer

    def decided(self, call: Callable[[], T]) -> T:
        """Make a call; when its outcome is unknown, ask until it is known."""
        try:
            return call()
        except OutcomeUnknown as error:
            unknown = error
        end = time.monotonic() + (UNDECIDED_FOR_GOOD if self._clock_steps else PATIENCE)
        while True:
            time.sleep(0.2)
            try:
                return self.engine.resolve(unknown)  # type: ignore[no-any-return]
            except OutcomeUnknown:
                if time.monotonic() > end and self._clock_steps:  # when that is right, the check knows
                    raise
                assert time.monotonic() < end, f"still undecided: {unknown}"

    def one_of(self, kind: str) -> int:
        return self.chance.choice(self._live[kind])

    def over(self, kind: str, number: int) -> None:
        """Go on with the next one; every process goes through the same ones."""
        self._live[kind][number % LIVE] = number + LIVE

    def claim(self, what: str, key: str, take: Callable[..., Any]) -> Any:
        terms = {"lease": LEASE, "max_attempts": 1000, "backoff": 0.0}
        try:
            return self.invoke(what, lambda: take(key, **terms), lambda claim: claim.fence, resolves=False, key=key)
        except (AlreadyClaimed, UnknownSession):
            return None

    def believe(self, what: str, key: str, held: Any, seconds: float) -> None:
        """Hold it for a while, as long as it is not lost; write down from when to when we believed that it is ours."""
        began = last = time.monotonic()
        if held.lost.is_set():
            return
        number = self.log.begin(f"believe {what}", key=key, fence=held.fence, since=began)
        while (now := time.monotonic()) - began < seconds and not held.lost.is_set():
            last = now
            time.sleep(0.002)
        self.log.end(number, at=last)

    def hold_nothing(self) -> None:
        """Look whether a lease is renewed that this process, which holds nothing any more, was never told of."""
        began, before = time.monotonic(), self._own_leases()
        time.sleep(2 * LEASE)
        passed = time.monotonic() - began
        for lease, remaining in self._own_leases().items():
            was = before.get(lease, LEASE)
            assert remaining < was - passed / 2, (
                f"the lease of {lease} is renewed, though its holder gave it up: {was} s, then {remaining} s"
            )

    def _own_leases(self) -> dict[tuple[str, str, int], float]:
        found = [
            (space, lock) for space in ("guarded", "conversion", "upload") for lock in Locks(space, self.engine).list()
        ]
        return {
            (space, lock.name, lock.fence): lock.remaining for space, lock in found if lock.container == container_id()
        }
