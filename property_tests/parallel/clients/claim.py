"""Work that must run once."""

from __future__ import annotations

from typing import Any, ClassVar

from property_tests.models import Call, Claim, Taken
from property_tests.parallel.clients.base import LONG, Client
from redis_state.state import RedisConversionState


class ClaimClient(Client):
    """A conversion, which each worker tries to claim; notes that its record holds are a percentage."""

    model = Claim()
    final_reads = (Call("look"),)
    gives_back = frozenset({"take"})
    states: ClassVar = {"converting": "taken", "completed": "done", "failed": "failed", "interrupted": "released"}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.state = RedisConversionState(self.name, self.engine)
        self.claim: Any = None
        self.owner = ""

    def prepared(self, call: Call) -> Call | None:
        if call.verb == "take":
            return Call("take", (self.another(),))
        if call.verb in ("update", "finish", "fail", "release"):
            if self.claim is None:
                return None
            who = () if call.verb == "update" else (self.owner,)
            return Call(call.verb, (*who, self.claim.fence, *call.args))
        return call

    def take(self, owner: str) -> Taken:
        state = RedisConversionState(owner, self.engine)
        self.taken(owner, state.claim("c", lease=LONG, backoff=0, auto_renew=False))
        return Taken(self.claim.fence, self.claim.attempt, (self.claim.previous or {}).get("percent"))

    def taken(self, owner: str, claim: Any) -> None:
        self.claim, self.owner = claim, owner

    def update(self, token: int, percent: int) -> bool:
        return self.claim.update({"percent": percent})

    def finish(self, owner: str, token: int, result: str) -> bool:
        claim, self.claim = self.claim, None
        claim.finish(result)
        return True

    def fail(self, owner: str, token: int) -> bool:
        claim, self.claim = self.claim, None
        claim.fail("by chance")
        return True

    def release(self, owner: str, token: int) -> bool:
        claim, self.claim = self.claim, None
        claim.release()
        return True

    def reopen(self) -> bool:
        return self.state.retry_failed("c")

    def look(self) -> Any:
        found = self.state.active_conversions.get("c")
        return found and (self.states[found["status"]], found.copy().get("percent"))

    def expire(self) -> None:
        self.direct.delete(self.engine.keys("conversion").key("lock", "c"))
