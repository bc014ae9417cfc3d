"""Compute a value once for all containers: who comes first computes, the others wait for it and do not ask.

The first one holds a lock, whose lease is renewed as long as its process lives; so if it dies, exactly
one of those who wait takes over. They wait on a stream, which the server pushes to all of them at once;
once a second they look whether the lock is free. ``Computation`` says how the value is read and written.

::

    operations       what callers do, as operations and plans; sends nothing
    chain            what a computation asks for while it runs: not itself
    compute          ``single_flight``, blocking
    compute_async    the same for asyncio
"""

from redis_state.single_flight.compute import single_flight
from redis_state.single_flight.compute_async import single_flight_async
from redis_state.single_flight.operations import LEASE, Computation, Found

__all__ = ["LEASE", "Computation", "Found", "checked", "single_flight", "single_flight_async"]
