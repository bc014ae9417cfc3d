"""What each domain does, as a few lines of plain Python: the judge of what the real one is seen to do.

A model is a whole state, as an immutable value that can be hashed. It has a method for each operation, which is
given what the real operation said, and returns the model after it; None, when it could not have said that here. So a
model judges and does not predict: a token, a version or a time must be ``Above`` all that were told before, whatever
it is.

::

    model = Progress()
    for call, said in (
        (Call("begin", ("t", 2)), Told(0, 2)),
        (Call("mark", ("t", 0)), Told(1, 2)),
        (Call("mark", ("t", 0)), Told(1, 2)),    # sent twice, counted once
    ):
        model = model.step(call, said)
        assert model is not None

An operation whose outcome nobody knows has happened or has not: ``unknown`` returns the models that it may have led
to. ``wipe`` is an operation of each model: the server lost everything.
"""

from property_tests.models.base import UNKNOWN, Above, Call, Model, Refused, Table
from property_tests.models.claim import Claim, Taken
from property_tests.models.lock import Lock
from property_tests.models.mapping import Mapping
from property_tests.models.progress import Progress, Told
from property_tests.models.text import Found, Text
from property_tests.models.upload import Receipt, Upload

__all__ = [
    "UNKNOWN",
    "Above",
    "Call",
    "Claim",
    "Found",
    "Lock",
    "Mapping",
    "Model",
    "Progress",
    "Receipt",
    "Refused",
    "Table",
    "Taken",
    "Text",
    "Told",
    "Upload",
]
