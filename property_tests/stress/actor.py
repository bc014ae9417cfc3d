"""A process: how it acts, and writes down what it does and hears."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from property_tests.stress.diary import NOT_APPLIED, Diary
from property_tests.stress.world import LEASE, LIVE, UNDECIDED
from redis_state import AlreadyClaimed, Engine, NotApplied, OutcomeUnknown, RedisStateError, UnknownSession

T = TypeVar("T")


class Actor:
    """What all work of a process needs."""

    def __init__(self, engine: Engine, folder: Path, seed: str) -> None:
        self.engine, self.folder = engine, folder
        self.diary, self.chance = Diary(folder), random.Random(seed)
        self._live = {kind: list(range(LIVE)) for kind in ("track", "conversion", "upload")}

    def act(
        self,
        what: str,
        call: Callable[[], T],
        tell: Callable[[T], Any] = lambda answer: answer,
        *,
        resolves: bool = True,
        **facts: Any,
    ) -> T | None:
        """Make a call, and write down before and after it. None when it was not applied, or that stays unknown."""
        number = self.diary.begin(what, **facts)
        try:
            answer = self.decided(call) if resolves else call()
        except NotApplied:
            return self.diary.end(number, NOT_APPLIED)
        except OutcomeUnknown:
            return None
        except (RedisStateError, KeyError, ValueError) as error:
            self.diary.end(number, type(error).__name__)
            raise
        self.diary.end(number, answer=tell(answer))
        return answer

    def decided(self, call: Callable[[], T]) -> T:
        """Make a call; when its outcome is unknown, ask until it is known."""
        try:
            return call()
        except OutcomeUnknown as error:
            unknown = error
        end = time.monotonic() + UNDECIDED
        while True:
            time.sleep(0.2)
            try:
                return self.engine.resolve(unknown)  # type: ignore[no-any-return]
            except OutcomeUnknown:
                if time.monotonic() > end:
                    raise AssertionError(f"still undecided: {unknown}") from None

    def one_of(self, kind: str) -> int:
        return self.chance.choice(self._live[kind])

    def over(self, kind: str, number: int) -> None:
        """Go on with the next one; every process goes through the same ones."""
        self._live[kind][number % LIVE] = number + LIVE

    def claim(self, what: str, key: str, take: Callable[..., Any]) -> Any:
        terms = {"lease": LEASE, "max_attempts": 1000, "backoff": 0.0}
        try:
            return self.act(what, lambda: take(key, **terms), lambda claim: claim.fence, resolves=False, key=key)
        except (AlreadyClaimed, UnknownSession):
            return None

    def believe(self, what: str, key: str, held: Any, seconds: float) -> None:
        """Hold it for a while, as long as it is not lost; write down from when to when we believed that it is ours."""
        began = last = time.monotonic()
        if held.lost.is_set():
            return
        number = self.diary.begin(f"believe {what}", key=key, fence=held.fence, since=began)
        while (now := time.monotonic()) - began < seconds and not held.lost.is_set():
            last = now
            time.sleep(0.002)
        self.diary.end(number, at=last)
