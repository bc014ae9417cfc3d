"""Records by key: dict semantics, versions, and fencing tokens.

A version is one more than the last; the first of an entry is above all that were told of its key. A write that nobody
heard of leaves a version that nobody knows, until it is read.
"""

from __future__ import annotations

from collections.abc import Mapping as Fields
from dataclasses import dataclass, replace
from typing import Any

from property_tests.models.base import EMPTY, NO, NOTHING, UNKNOWN, YES, Above, Model, Refused, Table


@dataclass(frozen=True)
class Record:
    """An entry. ``exact``: its version is ``version``; otherwise it is above that."""

    fields: Table
    version: int
    exact: bool
    fence: int = 0

    def stale(self, fence: int | None) -> bool:
        return fence is not None and fence < self.fence

    @property
    def shown(self) -> tuple[Any, Any]:
        """What reading it says: its fields and its version."""
        return self.fields, self.version if self.exact else Above(self.version)

    @property
    def next_version(self) -> Any:
        return self.version + 1 if self.exact else Above(self.version + 1)


MISSING = Refused("KeyError")


@dataclass(frozen=True)
class Mapping(Model):
    """All records. ``told`` is the greatest version that was told of a key, for those that are gone."""

    records: Table = EMPTY
    told: Table = EMPTY

    # --- writing ----------------------------------------------------------------------------------

    def put(self, said: Any, key: str, fields: Fields[str, Any], fence: int | None = None) -> Mapping | bool:
        """Write it whole; says its version."""
        old = self.records.get(key)
        if old and old.stale(fence):
            return said == Refused("StaleToken", (old.fence,)) and self
        return said == self._next(key) and self._written(key, fields, fence, said)

    def create(self, said: Any, key: str, fields: Fields[str, Any]) -> Mapping | bool:
        if key in self.records:
            return said == NO and self
        return said == YES and self._written(key, fields)

    def setdefault(self, said: Any, key: str, fields: Fields[str, Any]) -> Mapping | bool:
        if key in self.records:
            return said == self.records[key].fields and self
        return said == fields and self._written(key, fields)

    def put_if_version(
        self, said: Any, key: str, fields: Fields[str, Any], version: int, fence: int | None = None
    ) -> Mapping | bool:
        """Write it whole if its version is this one; says the new one, or None."""
        old = self.records.get(key)
        if old and old.stale(fence):
            return said == Refused("StaleToken", (old.fence,)) and self
        if old and old.shown[1] == version:
            seen = self._having(key, replace(old, version=version, exact=True))
            if said == version + 1:
                return seen._written(key, fields, fence)
            return said is None and not old.exact and self
        return said is None and self

    def patch(self, said: Any, key: str, fields: Fields[str, Any], fence: int | None = None) -> Mapping | bool:
        old = self.records.get(key)
        if old is None:
            return said == NO and self
        if old.stale(fence):
            return said == Refused("StaleToken", (old.fence,)) and self
        return said == YES and self._written(key, {**old.fields, **fields}, fence)

    def increment(self, said: Any, key: str, field: str, by: int, fence: int | None = None) -> Mapping | bool:
        old = self.records.get(key)
        if old and old.stale(fence):
            return said == Refused("StaleToken", (old.fence,)) and self
        fields = old.fields if old else {}
        total = fields.get(field, 0) + by
        return said == total and self._written(key, {**fields, field: total}, fence)

    def add(self, said: Any, key: str, field: str, by: int) -> Mapping | bool:
        """``m[key][field] += by``; says the sum."""
        old = self.records.get(key)
        if old is None or field not in old.fields:
            return said == MISSING and self
        return self.increment(said, key, field, by)

    def mutate(self, said: Any, key: str, field: str, by: int) -> Mapping | bool:
        """``m.mutate(...)`` with a function that adds; says the new fields."""
        old = self.records.get(key)
        if old is None:
            return said == MISSING and self
        fields = {**old.fields, field: old.fields.get(field, 0) + by}
        return said == fields and self._written(key, fields)

    def fill(self, said: Any, key: str, field: str, value: Any) -> Mapping | bool:
        """Set a field that is not there; says whether it did, and what the field holds."""
        old = self.records.get(key)
        if old is None:
            return said == MISSING and self
        if field in old.fields:
            return said == (False, old.fields[field]) and self
        return said == (True, value) and self._written(key, {**old.fields, field: value})

    def unset(self, said: Any, key: str, field: str) -> Mapping | bool:
        """Take a field out; says what it held."""
        old = self.records.get(key)
        if old is None or field not in old.fields:
            return said == MISSING and self
        return said == old.fields[field] and self._written(key, old.fields.without(field))

    def remove(self, said: Any, key: str, fence: int | None = None) -> Mapping | bool:
        old = self.records.get(key)
        if old is None:
            return said == NO and self
        if old.stale(fence):
            return said == Refused("StaleToken", (old.fence,)) and self
        return said == YES and self._gone(key)

    def pop(self, said: Any, key: str) -> Mapping | bool:
        old = self.records.get(key)
        return said == (old and old.fields) and (self._gone(key) if old else self)

    def wipe(self, said: Any) -> Mapping | bool:
        return said == NOTHING and replace(self, records=Table())

    # --- reading ----------------------------------------------------------------------------------

    def get(self, said: Any, key: str) -> Mapping | bool:
        """Says fields and version, or None."""
        old = self.records.get(key)
        if old is None or said is UNKNOWN:
            return said == NOTHING and self
        return said == old.shown and self._having(key, replace(old, version=said[1], exact=True))

    def get_many(self, said: Any, keys: tuple[str, ...]) -> Mapping | bool:
        """Says the fields of those that are there, at one instant."""
        return said == {key: self.records[key].fields for key in keys if key in self.records} and self

    def length(self, said: Any) -> Mapping | bool:
        return said == len(self.records) and self

    # --- what they share --------------------------------------------------------------------------

    def _next(self, key: str) -> Any:
        old = self.records.get(key)
        return old.next_version if old else Above(self.told.get(key, 0))

    def _written(self, key: str, fields: Fields[str, Any], fence: int | None = None, said: Any = UNKNOWN) -> Mapping:
        old = self.records.get(key)
        token = fence if fence is not None else old.fence if old else 0
        if said is not UNKNOWN:
            version, exact = said, True
        elif old:
            version, exact = old.version + 1, old.exact
        else:
            version, exact = self.told.get(key, 0), False
        return self._having(key, Record(Table(fields), version, exact, token))

    def _having(self, key: str, record: Record) -> Mapping:
        told = max(record.version, self.told.get(key, 0))
        return Mapping(self.records.having(key, record), self.told.having(key, told))

    def _gone(self, key: str) -> Mapping:
        return replace(self, records=self.records.without(key))
