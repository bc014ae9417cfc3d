"""Dict semantics: mappings whose entries live in Redis, shared by all containers.

``RecordMapping`` holds a record (some named fields) for each key, ``ValueMapping`` one opaque value.
``mapping[key]`` of a ``RecordMapping`` is a ``Record``: a dict with the fields as they were, whose own
writes go through: ``m[k]["status"] = "done"`` sets that field, ``m[k]["n"] += 1`` is one atomic addition.

::

    operations  record_operations  value_operations   what can be done; they send nothing
    record_format    fields, values and meta fields of a stored record
    namespace        the operations of a namespace, to be made for the keys of each engine
    fences           fencing tokens, and the keys of their locks
    generations      entries that are begun anew under the name of an earlier one
    news             the stream of an entry's events, and waiting for the next one
    mutation         results of the functions that are given to ``mutate``
    snapshots        values as they were read: numbers that remember, lists that refuse to be changed
    tracked          values that operators made of these
    write_back       such values, put back where they came from
    record           one record, as a dict
    base_mapping  record_mapping  value_mapping   the mappings
    state            the base of states: a mapping, and operations beside it
"""

from redis_state.mapping.base_mapping import SharedMapping
from redis_state.mapping.record import Record
from redis_state.mapping.record_mapping import RecordMapping
from redis_state.mapping.value_mapping import ValueMapping

__all__ = ["Record", "RecordMapping", "SharedMapping", "ValueMapping"]
