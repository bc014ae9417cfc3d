"""Locks that several containers share: leases with fencing tokens, handed on in the order of asking.

::

    steps      what can be done with a lock, as operations and as one plan that waits; sends nothing
    term       how long something is held, by the holder's own clock
    keeper     what renews leases: one thread for each engine, or one timer for each event loop
    held       ``Lock`` and ``Held``, blocking
    awaited    the same for asyncio

Locks are not reentrant. A lease that is not renewed ends by itself, so a holder that dies stops
nobody for long; a holder that was merely slow is told by ``lost`` and ``check()``, and refused by
every write that carries ``fence=held``.
"""

from redis_state.lock.held import Held, Lock, Locks
from redis_state.lock.steps import LockInfo

__all__ = ["Held", "Lock", "LockInfo", "Locks"]
