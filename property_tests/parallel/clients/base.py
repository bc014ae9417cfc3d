"""What all clients share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

import redis

from property_tests.models import Call, Model, Refused
from redis_state import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    EntryTooLarge,
    NotApplied,
    OutcomeUnknown,
    ScriptFailed,
    StaleToken,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.engine.engine import Engine
from redis_state.errors import RedisStateError

LONG = 600.0  # seconds: leases and times to live

FACTS: dict[type[Exception], Callable[[Any], tuple[Any, ...]]] = {
    StaleToken: lambda error: (error.newest,),
    AlreadyClaimed: lambda error: (error.holder,),
    AlreadyDone: lambda error: (error.result,),
    AttemptsExhausted: lambda error: (error.attempts,),
    EntryTooLarge: lambda error: (error.size, error.budget),
    UploadClosed: lambda error: (error.state,),
    UploadIncomplete: lambda error: (error.received, error.total),
    ScriptFailed: lambda error: error.args,
}


class Client:
    """One worker in one program. ``direct`` is a plain client for what only a test does."""

    model: ClassVar[Model]
    final_reads: ClassVar[tuple[Call, ...]] = ()  # done when all is over
    gives_back: ClassVar[frozenset[str]] = frozenset()  # what is undone later if it had no answer
    uses: ClassVar[dict[str, str]] = {}  # reads that count once or not at all, and what reads without counting

    def __init__(self, engine: Engine, direct: redis.Redis, name: str) -> None:
        self.engine = engine
        self.direct = direct
        self.name = name
        self._numbers = count(1)

    def prepared(self, call: Call) -> Call | None:
        """Complete a call with what this worker knows; None when it does not know enough."""
        return call

    def perform(self, call: Call) -> tuple[str, Any]:
        """Do it; return how it ended, and what it said."""
        try:
            return "returned", getattr(self, call.verb)(*call.args)
        except (OutcomeUnknown, redis.RedisError):
            return "unheard", None
        except NotApplied:
            return "refused", None
        except (RedisStateError, KeyError, ValueError) as error:
            facts = FACTS.get(type(error), lambda _: ())
            return "returned", Refused(type(error).__name__, facts(error))

    def another(self) -> str:
        """Return a name that nobody had before."""
        return f"{self.name}.{next(self._numbers)}"
