"""Dict semantics: mappings whose entries live in Redis, shared by all containers.

``RecordMapping`` holds a record (some named fields) for each key, ``ValueMapping`` one opaque value.
``mapping[key]`` of a ``RecordMapping`` is a ``Record``: a dict with the fields as they were, whose own
writes go through: ``m[k]["status"] = "done"`` sets that field, ``m[k]["n"] += 1`` is one atomic addition.

::

    entries  records  values    what can be done, as operations; they send nothing
    frozen                      what comes out of a record: numbers that remember, lists that refuse
    record  dicts               the dicts themselves
"""

from redis_state.mapping.dicts import RecordMapping, SharedMapping, ValueMapping
from redis_state.mapping.record import Record

__all__ = ["Record", "RecordMapping", "SharedMapping", "ValueMapping"]
