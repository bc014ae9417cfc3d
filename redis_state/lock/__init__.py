"""Locks that several containers share: leases with fencing tokens, handed on in the order of asking.

::

    operations       what can be done with a lock; sends nothing
    waiting          waiting for a lock, as a plan; sends nothing
    lease            how long something is held, by the holder's own clock: ``LeaseHolder``
    renewal          what renews leases: one thread for each engine
    renewal_async    the same for asyncio: one timer for each event loop
    lock             ``Lock``, ``Held`` and ``Locks``, blocking
    lock_async       the same for asyncio

Locks are not reentrant. A lease that is not renewed ends by itself, so a holder that dies stops
no waiter for long; a holder that was merely slow is told by ``lost`` and ``check()``, and refused by
every write that carries ``fence=held``.
"""

from redis_state.lock.lock import Held, Lock, Locks
from redis_state.lock.operations import LockInfo

__all__ = ["Held", "Lock", "LockInfo", "Locks"]
