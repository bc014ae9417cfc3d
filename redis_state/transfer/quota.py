"""Quotas of owners: transfers open at a time, and bytes that these reserve.

Both are counted by the scripts that open and end transfers. Redis removes an expired record by itself and says
nothing: ``sweep`` gives back what those reserved.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn, TypeVar

from redis_state.engine.op import Op, Plan, command, do
from redis_state.engine.operation import operation
from redis_state.errors import QuotaExceeded
from redis_state.keys import text_of
from redis_state.transfer.fields import LARGEST
from redis_state.transfer.records import TransferOperations

T = TypeVar("T")

SWEPT_AT_MOST = 200
NO_LIMIT = -1  # no limit is no number: it does not add up to one

SWEEP = operation("transfer/sweep", swept=lambda _, count: int(count))


class Usage(NamedTuple):
    """Transfers that an owner has open, and bytes that these reserve."""

    transfers: int
    bytes: int


class Limits(NamedTuple):
    """Limits for each owner: uploads open at a time, and their bytes."""

    uploads: int = NO_LIMIT
    bytes: int = NO_LIMIT

    @classmethod
    def of(cls, max_open_per_owner: int | None, max_bytes_per_owner: int | None) -> Limits:
        return cls(limit("max_open_per_owner", max_open_per_owner), limit("max_bytes_per_owner", max_bytes_per_owner))


UNLIMITED = Limits()


def exceeded(_: object, owner: bytes, what: bytes, used: int, most: int) -> NoReturn:
    """Raise ``QuotaExceeded``."""
    raise QuotaExceeded(owner.decode(), what.decode(), used, most)


def sweep(records: TransferOperations) -> Plan[None]:
    """Give back what those reserved whose time to live ran out, 200 a round trip."""
    op = SWEEP(records.keys, remembers=int(records.tracks_dead))
    while (yield from do(op)) >= SWEPT_AT_MOST:
        pass


def with_room(records: TransferOperations, op: Op[T]) -> Plan[T]:
    """Run an operation that may exceed a quota; if it does, sweep and run it again."""
    try:
        return (yield from do(op))
    except QuotaExceeded:
        yield from sweep(records)
    return (yield from do(op))


def usage(records: TransferOperations, owner: str | None = None) -> Plan[Usage]:
    """Read what is counted for an owner now. Two round trips."""
    yield from sweep(records)
    who = owner_name(owner)
    accounts = records.keys.key("accounts", "")
    words = ("HMGET", accounts, f"n:{who}", f"b:{who}")
    return (yield from do(command(records.keys, *words, read=lambda pair: Usage(*(int(n or 0) for n in pair)))))


def owner_name(owner: object) -> str:
    """Return the owner's name as it is sent: '' for transfers without an owner."""
    if owner is None:
        return ""
    return text_of(owner, "an owner")


def limit(name: str, most: int | None) -> int:
    """Return a limit as it is sent."""
    if most is None:
        return NO_LIMIT
    if type(most) is not int or not 0 <= most <= LARGEST:
        raise ValueError(f"{name}={most!r}: a whole number, 0 or more, or None for no limit")
    return most
