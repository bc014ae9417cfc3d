"""The records of transfers, and the books in which they are counted.

What an owner has open, and how many bytes that reserves, is counted by the scripts that open and end
transfers. Redis removes an expired record by itself and says nothing: ``sweep`` finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from redis_state.engine.op import Op, Plan, command, do, just
from redis_state.engine.registry import script
from redis_state.engine.run import Engine
from redis_state.errors import QuotaExceeded
from redis_state.keys import Keys
from redis_state.mapping import RecordMapping
from redis_state.mapping.records import Fence, Records, stale_token
from redis_state.mapping.stored import Snapshot, snapshot

T = TypeVar("T")

REMOVE = script("transfer/remove")
SWEEP = script("transfer/sweep")

SWEPT_AT_MOST = 200
NO_LIMIT = 2**53 - 1  # also the most bytes that are counted exactly

Companion = Callable[[Keys], Callable[[str], str]]


class Usage(NamedTuple):
    """What an owner has open, and how many bytes that reserves."""

    transfers: int
    bytes: int


class Transfers(Records):
    """Records that are counted: to remove one gives back what it reserves.

    ``kept`` are the fields that the scripts count in. ``remembers``: those that die are told by name.
    """

    __slots__ = ("kept", "remembers")

    def __init__(
        self,
        keys: Keys,
        ttl: float,
        owner: Callable[[], str] = lambda: "",
        companions: Sequence[Callable[[str], str]] = (),
        *,
        kept: frozenset[str] = frozenset(),
        remembers: bool = True,
    ) -> None:
        super().__init__(keys, ttl, owner, companions)
        self.kept = kept
        self.remembers = remembers

    def remove(self, name: str, *, fence: Fence = None) -> Op[bool]:
        return self._removal(name, fence, just(True), just(False))

    def pop(self, name: str) -> Op[Snapshot | None]:
        return self._removal(name, None, lambda flat: snapshot(name, flat), just(None))

    def _removal(self, name: str, fence: Fence, removed: Callable[..., Any], missing: Callable[..., Any]) -> Op[Any]:
        token, guard = self._fenced(name, fence)
        call = REMOVE(**self._slots(name), **self.keys.books(name), guard=guard, token=token)
        return call.meaning(removed=removed, missing=missing, stale=stale_token(name, token))

    # --- what applications may write --------------------------------------------------------------

    def patch(self, name: str, fields: Mapping[str, Any], *, ttl: float | None = None, fence: Fence = None) -> Op[bool]:
        self._check(name, *fields)
        return super().patch(name, fields, ttl=ttl, fence=fence)

    def increment(
        self, name: str, field: str, by: float = 1, *, fence: Fence = None, create: bool = True
    ) -> Op[int | float]:
        self._check(name, field)
        return super().increment(name, field, by, fence=fence, create=create)

    def fill(self, name: str, field: str, value: Any) -> Op[tuple[bool, Any]]:
        self._check(name, field)
        return super().fill(name, field, value)

    def unset(self, name: str, field: str) -> Op[Any]:
        self._check(name, field)
        return super().unset(name, field)

    def _put(self, name: str, *rest: Any, **meanings: Any) -> Op[Any]:
        if self.kept:
            raise TypeError(f"{name!r}: begun by create_session, and then written field by field: patch, increment")
        return super()._put(name, *rest, **meanings)

    def _check(self, name: str, *fields: str) -> None:
        wrong = sorted(self.kept.intersection(fields))
        if wrong:
            raise ValueError(f"{name!r}: {', '.join(wrong)}: counted by what arrives, so not to be written")


class TransferMapping(RecordMapping):
    """A mapping of transfers. They lie in one slot, so that an owner's can be counted at one instant."""

    def __init__(
        self,
        namespace: str,
        *,
        ttl: float,
        engine: Engine | None = None,
        container_id: str | None = None,
        companions: Sequence[Companion] = (),
        kept: frozenset[str] = frozenset(),
        remembers: bool = True,
        kind: type[Transfers] = Transfers,
    ) -> None:
        self._made = partial(kind, kept=kept, remembers=remembers)
        super().__init__(namespace, ttl=ttl, engine=engine, container_id=container_id, companions=companions)

    @property
    def entries(self) -> Transfers:
        """The operations behind the methods, for batches and plans."""
        _ = self.engine  # binds them to the keys of the engine in use
        entries: Any = self._entries
        return entries  # type: ignore[no-any-return]

    def _entries_of(self, keys: Keys) -> Transfers:
        slot = one_slot(keys)
        return self._made(slot, self.default_ttl, self._owner, [companion(slot) for companion in self._companions])


def one_slot(keys: Keys) -> Keys:
    """Return keys like these, that all lie in one slot."""
    return Keys(keys.namespace, prefix=keys.prefix)


def sweep(records: Transfers) -> Plan[None]:
    """Give back what those reserved whose time to live ran out, 200 a round trip."""
    books = records.keys.books("")
    op = SWEEP(partition=records.keys.index(""), **books, remembers=int(records.remembers)).meaning(swept=int)
    while (yield from do(op)) >= SWEPT_AT_MOST:
        pass


def with_room(records: Transfers, op: Op[T]) -> Plan[T]:
    """Run an operation that may exceed a quota; if it does, sweep and run it again."""
    try:
        return (yield from do(op))
    except QuotaExceeded:
        yield from sweep(records)
    return (yield from do(op))


def usage(records: Transfers, owner: str | None = None) -> Plan[Usage]:
    """Read what is counted for an owner now. Two round trips."""
    yield from sweep(records)
    who = owner_name(owner)
    accounts = records.keys.books("")["accounts"]
    counted = command("HMGET", accounts, f"n:{who}", f"b:{who}", read=lambda pair: Usage(*(int(n or 0) for n in pair)))
    return (yield from do(counted))


def owner_name(owner: object) -> str:
    """Return whose quota it is; those without an owner share one."""
    if owner is None:
        return ""
    if not isinstance(owner, str):
        raise TypeError(f"owner={owner!r}: a text, or None")
    return owner


def limit(name: str, most: int | None) -> int:
    """Return a limit as it is sent."""
    if most is None:
        return NO_LIMIT
    if type(most) is not int or not 0 <= most <= NO_LIMIT:
        raise ValueError(f"{name}={most!r}: a whole number, 0 or more, or None for no limit")
    return most
