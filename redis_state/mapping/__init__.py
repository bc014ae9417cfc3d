"""Dict semantics: mappings whose entries live in Redis, shared by all containers.

``RecordMapping`` holds a record (some named fields) for each key, ``ValueMapping`` one opaque value.
``mapping[key]`` of a ``RecordMapping`` is a ``Record``: a dict with the fields as they were, whose own
writes go through: ``m[k]["status"] = "done"`` sets that field, ``m[k]["n"] += 1`` is one atomic addition.

::

    entries  records  values    what can be done, as operations; they send nothing
    stored                      how a record is stored
    frozen                      what comes out of one: numbers that remember, lists that refuse
    record  shared  dicts       the dicts themselves
"""

from redis_state.mapping.dicts import RecordMapping, ValueMapping
from redis_state.mapping.record import Record
from redis_state.mapping.shared import SharedMapping

__all__ = ["Record", "RecordMapping", "SharedMapping", "ValueMapping"]
