"""Records, put and changed in every way."""

from __future__ import annotations

from typing import Any

from property_tests.models import Call, Mapping
from property_tests.parallel.clients.base import LONG, Client
from redis_state import RecordMapping


class MappingClient(Client):
    """A mapping. Its operations are run one by one, so that they tell versions."""

    model = Mapping()
    final_reads = (Call("get", ("a",)), Call("get", ("b",)), Call("length"))

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.mapping = RecordMapping("records", ttl=LONG, engine=self.engine)
        self.seen: dict[str, int] = {}

    def prepared(self, call: Call) -> Call | None:
        if call.verb == "put_if_version":
            key, fields = call.args
            return Call(call.verb, (key, fields, self.seen[key])) if key in self.seen else None
        return call

    def get(self, key: str) -> Any:
        found = self.engine.run(self.mapping.entries.get(key))
        if found is None:
            return None
        self.seen[key] = found.version
        return found.fields, found.version

    def get_many(self, keys: tuple[str, ...]) -> Any:
        return {key: dict(record) for key, record in self.mapping.get_many(keys).items()}

    def length(self) -> int:
        return len(self.mapping)

    def put(self, key: str, fields: dict[str, int], fence: int | None = None) -> int:
        return self.engine.run(self.mapping.entries.put(key, fields, fence=fence))

    def put_if_version(self, key: str, fields: dict[str, int], version: int) -> int | None:
        return self.engine.run(self.mapping.entries.put_if_version(key, fields, version))

    def create(self, key: str, fields: dict[str, int]) -> bool:
        return self.engine.run(self.mapping.entries.create(key, fields))

    def setdefault(self, key: str, fields: dict[str, int]) -> Any:
        return self.engine.follow(self.mapping.entries.set_default(key, fields)).fields

    def patch(self, key: str, fields: dict[str, int], fence: int | None = None) -> bool:
        return self.mapping.patch(key, fields, fence=fence)

    def increment(self, key: str, field: str, by: int, fence: int | None = None) -> Any:
        return self.mapping.increment(key, field, by, fence=fence)

    def add(self, key: str, field: str, by: int) -> int:
        record = self.mapping[key]
        record[field] += by
        return record.copy()[field]

    def mutate(self, key: str, field: str, by: int) -> Any:
        return self.mapping.mutate(key, lambda fields: {**fields, field: fields.get(field, 0) + by})

    def fill(self, key: str, field: str, value: int) -> Any:
        return self.engine.run(self.mapping.entries.fill(key, field, value))

    def unset(self, key: str, field: str) -> Any:
        return self.engine.run(self.mapping.entries.unset(key, field))

    def remove(self, key: str, fence: int | None = None) -> bool:
        return self.mapping.delete(key, fence=fence)

    def pop(self, key: str) -> Any:
        return self.mapping.pop(key, None)
