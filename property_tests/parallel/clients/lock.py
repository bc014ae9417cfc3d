"""A lock, and writes under its token."""

from __future__ import annotations

from typing import Any

from property_tests.models import Call, Lock
from property_tests.parallel.clients.base import LONG, Client
from redis_state import RecordMapping
from redis_state.lock import Locks


class LockClient(Client):
    """A lock, which each worker tries to acquire without waiting, and a record that is written under its token."""

    model = Lock()
    final_reads = (Call("inspect"),)
    gives_back = frozenset({"acquire"})

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.records = RecordMapping("locking", ttl=LONG, engine=self.engine)
        self.held: Any = None
        self.owner = ""
        self.token = 0

    def prepared(self, call: Call) -> Call | None:
        if call.verb == "acquire":
            return Call("acquire", (self.another(),))
        if call.verb in ("renew", "release"):
            return Call(call.verb, (self.owner,)) if self.held else None
        if call.verb == "write":
            return Call("write", (self.token,)) if self.token else None
        return call

    def acquire(self, owner: str) -> int | None:
        lock = Locks("locking", self.engine, owner).lock("a", lease=LONG, auto_renew=False)
        held = lock.acquire(timeout=0)
        if held is None:
            return None
        self.held, self.owner, self.token = held, owner, held.fence
        return held.fence

    def renew(self, owner: str) -> bool:
        self.held.renew()
        return True

    def release(self, owner: str) -> bool:
        held, self.held = self.held, None
        held.release()
        return True

    def write(self, token: int) -> bool:
        self.records.put("a", {"by": token}, fence=token)
        return True

    def inspect(self) -> Any:
        info = Locks("locking", self.engine).inspect("a")
        return info and (info.container, info.fence)

    def expire(self) -> None:
        self.direct.delete(self.engine.keys("locking").key("lock", "a"))
