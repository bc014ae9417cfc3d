"""Work that must run once, however many containers want to do it.

To claim is to take a lock and to open a record in one step. All writes through a claim carry its
fencing token; at the end it is confirmed or failed, which frees the lock in the same step. Who takes
it after a taker that died or failed sees what that one left.

::

    steps      what can be done with a claim, as operations; sends nothing
    held       ``Claim``, blocking
    awaited    the same for asyncio
"""

from redis_state.claim.held import Claim, take
from redis_state.claim.steps import Terms

__all__ = ["Claim", "Terms", "take"]
