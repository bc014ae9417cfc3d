"""What the callers of one value do, as operations and plans. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

from redis_state.clock import monotonic
from redis_state.config import container_id
from redis_state.durations import seconds, to_ms
from redis_state.engine.base import EngineBase
from redis_state.engine.op import Op, Plan, do, do_all, just
from redis_state.engine.operation import operation
from redis_state.errors import (
    ComputeFailed,
    ComputeTimeout,
    LockLost,
    OutcomeUnknown,
    RedisStateError,
    ServerFull,
    ServerRefused,
    ServerUnavailable,
    UnsafeServer,
    told,
)
from redis_state.events import ValueAwaited, ValueComputed, ValueNotKept
from redis_state.keys import Keys, text_of
from redis_state.lock.operations import CLOCK_RESOLUTION_S, Lease, Request, checked_seconds
from redis_state.mapping.news import wait_after
from redis_state.single_flight.chain import circle, computing

T = TypeVar("T")

LEASE = 10.0  # seconds; a killed process delays the others by so much, one that hangs in C code may be overtaken
POLL_S = 1.0  # that a waiter waits for news before it looks whether the lock is free
WAITS_MS = 3000  # that it counts as one after it looked
LONGEST_NAME = 1024  # bytes; keys of longer names hold their hash

NO_ANSWER = ServerUnavailable, OutcomeUnknown
# What comes of making words of a value that is none to keep. Whatever else is raised then is a signal handler's.
NOT_TO_KEEP = RedisStateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError

_said: set[tuple[str, str, str]] = set()  # what was reported


class Found(NamedTuple):
    """A value that is there; ``stale``: it is time to compute it anew."""

    value: Any
    stale: bool


class Failed(NamedTuple):
    """Computing it failed a while ago, which is remembered."""

    error: str


class Waits(NamedTuple):
    """Another caller computes it: the last news of it, and who that is."""

    last: str
    holder: str


class Alone(NamedTuple):
    """The value is to be computed for this caller only; ``stores``: it may be stored all the same."""

    why: str
    stores: bool


LEAD = operation(
    "single_flight/lead",
    leads=lambda _, fence, now: Lease(int(fence), now / 1000, 0.0),
    failed=lambda _, error: Failed(error.decode(errors="replace")),
    waits=lambda _, last, holder: Waits(last.decode(), holder.decode(errors="replace")),
    left=just(None),
)
END = operation("single_flight/end", told=just(None), lost=just(None))


@dataclass(frozen=True, slots=True)
class Computation(Generic[T]):
    """A value: where it belongs, and how it is read and written."""

    keys: Keys
    name: str
    first: Callable[[], Plan[Found | None]]  # read it for a caller
    peek: Callable[[], Sequence[Op[Any]]]  # see whether it is there by now
    found: Callable[[Sequence[Any]], Found | None]  # what these tell
    store: Callable[[T], Plan[Any]]
    lease: float = LEASE
    negative_ttl: float = 0.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        seconds("negative_ttl", self.negative_ttl, least=0.0)
        checked_seconds(self.name, "lease", self.lease)
        if self.timeout is not None:
            seconds("timeout", self.timeout, least=0.0)

    def until(self) -> float | None:
        """Return when the time-out of a caller that begins now is over, by our own clock."""
        return None if self.timeout is None else monotonic() + self.timeout

    def read(self, until: float | None) -> Plan[Found | None]:
        """Read the value for a caller."""
        try:
            return (yield from (self.first() if until is None else within(self.first(), until)))
        except NO_ANSWER as error:
            self.refuse_late(until, error)
            raise

    def poll(self) -> Plan[Found | None]:
        """See whether the value is there by now. One round trip."""
        return self.found((yield from do_all(self.peek())))

    def refuse_late(self, until: float | None, error: Exception) -> None:
        """Raise ``ComputeTimeout`` when it was the caller's own time-out that ended a call without an answer."""
        if until is not None and monotonic() >= until:
            raise ComputeTimeout(self.name, self.timeout or 0.0) from error


class Flight(Generic[T]):
    """One caller of a value that is not there, or stale."""

    def __init__(self, engine: EngineBase, work: Computation[T], until: float | None) -> None:
        self.work = work
        self.until = until
        self.outcome = "done", ""
        self._events = engine.events
        self._began = monotonic()
        name, partition = text_of(work.name), work.keys.of(work.name)
        if len(name) * 4 > LONGEST_NAME and len(name.encode()) > LONGEST_NAME:
            name = "sha256:" + sha256(name.encode()).hexdigest()
        self.request = Request(partition, name, work.lease, container_id(), fence_key=partition.key("tokens"))
        self._news = partition.key("news", name)
        server = engine.settings.server
        private = server.kind == "embedded" and not server.path  # of this engine alone
        self._place = id(engine) if private else server, partition.key("lock", name)

    def asks_for_itself(self, found: Found | None) -> bool:
        """Tell whether the value's own computation asks for it: it is served what is ``found``, else that never ends.

        ``RuntimeError`` where nothing is.
        """
        wrong = circle(self._place)
        if wrong is not None and found is None:
            raise wrong
        return wrong is not None

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute and store the value in this block: remember how that ended."""
        began = monotonic()
        try:
            with computing(self._place, self.work.name):
                yield
        except Exception as error:
            self.outcome = "failed", told(error)
            self._tell(ValueComputed, began, "failed")
            raise
        self._tell(ValueComputed, began, self.outcome[0])

    def _tell(self, kind: type[ValueComputed | ValueAwaited], began: float, how: str) -> None:
        if self._events.hooks:
            self._events.tell(kind(self.work.keys.namespace, self.work.name, monotonic() - began, how))

    def arrive(self, found: Found | None) -> Plan[Found | Lease | Alone]:
        """Return the value, or the lease under which this caller computes it for all, or that it does so for itself.

        ``found`` is a value that is stale. ``ComputeFailed`` when that is remembered, or comes to those who wait.
        """
        while True:
            sent = monotonic()
            try:
                answer = yield from do(self._lead(waits=found is None))
            except (ServerFull, ServerRefused) as error:
                return Alone(self.unkept(error), stores=True)
            if answer is None:
                raise LockLost(self.work.name, "this caller has given up")
            if isinstance(answer, Lease):
                return answer._replace(ends=sent + self.work.lease - CLOCK_RESOLUTION_S)
            if found is not None:
                return found
            if isinstance(answer, Failed):
                raise ComputeFailed(self.work.name, answer.error)
            found_by_now = yield from self._wait(answer)
            if isinstance(found_by_now, Alone) or (found_by_now is not None and not found_by_now.stale):
                return found_by_now
            found = found_by_now

    def _lead(self, *, waits: bool) -> Op[Lease | Failed | Waits | None]:
        """Hold the lock of the value if it is free; else leave a mark that a caller waits."""
        request = self.request
        times = {"lease_ms": to_ms(request.lease), "waits_ms": WAITS_MS if waits else 0}
        return self.bounded(
            LEAD(request.partition, request.name, owner=request.owner, container=request.container, **times)
        )

    def _wait(self, answer: Waits) -> Plan[Found | Alone | None]:
        """Wait for news, a second at the most, and return the value if it is there then.

        The read is sent with the wait, so it lies in the server already when the news come.
        """
        left = POLL_S if self.until is None else min(POLL_S, self.until - monotonic())
        if left <= 0:
            self._tell(ValueAwaited, self._began, "timed out")
            raise ComputeTimeout(self.work.name, self.work.timeout or 0.0, answer.holder)
        wait: Op[Any] = wait_after(self.request.partition, self._news, answer.last, left, _told)
        ended, *seen = yield from do_all([self.bounded(op) for op in (wait, *self.work.peek())])
        how, why = ended or ("", "")  # None: the wait was cut
        found = self.work.found(seen)
        if found is not None or how in ("failed", "unkept"):
            self._tell(ValueAwaited, self._began, "done" if found is not None else how)
        if found is None and how == "failed":
            raise ComputeFailed(self.work.name, why)
        return Alone(why, stores=False) if found is None and how == "unkept" else found

    def end(self, how: str = "", why: str = "") -> Op[None]:
        """Free the lock, and tell the waiters how the computation ended: "done", "failed" or "unkept"."""
        request = self.request
        if not how:
            how, why = self.outcome
        kept_ms = int(self.work.negative_ttl * 1000)
        return END(request.partition, request.name, owner=request.owner, how=how, why=why, kept_ms=kept_ms)

    def bounded(self, op: Op[Any]) -> Op[Any]:
        """Give an operation the caller's own time-out."""
        op.until = self.until
        return op

    def keep(self, value: Any) -> Plan[None]:
        """Store the value. Its caller has it in any case, once it is computed."""
        try:
            yield from self.work.store(value)
        except UnsafeServer:  # asked for as an error
            raise
        except NOT_TO_KEEP as error:
            self.outcome = "unkept", self.unkept(error)

    def unkept(self, error: Exception) -> str:
        """Report why a value is returned and not kept, once for each kind of reason. Returns it as text."""
        keys, why = self.work.keys, told(error)
        reason = keys.prefix, keys.namespace, type(error).__name__
        if reason not in _said:
            _said.add(reason)
            self._events.report(ValueNotKept(keys.namespace, self.work.name, why))
        return why


def within(plan: Plan[T], until: float | None) -> Plan[T]:
    """Give each step of a plan the caller's own time-out."""
    if until is None:
        return (yield from plan)
    try:
        step = next(plan)
        while True:
            for op in [step] if isinstance(step, Op) else step if isinstance(step, Sequence) else ():
                op.until = until
            try:
                answer = yield step
            except Exception as error:
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def _told(streams: Any) -> tuple[str, str]:
    """Read how the last computation ended; two empty texts when there are no news."""
    if not streams:
        return "", ""
    how, why = streams[0][1][-1][1][:2]
    return how.decode(), why.decode(errors="replace")
