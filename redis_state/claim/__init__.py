"""Work that must run once, however many containers want to do it.

To claim is to take a lock and to open a record in one step. All writes through a claim carry its
fencing token; at the end it is confirmed or failed, which frees the lock in the same step. Who takes
it after a taker that died or failed sees what that one left.

::

    policy           how often work is tried, how long it rests, and what its record says
    scripts          which scripts take work and end it
    operations       what can be done with a claim; sends nothing
    claim            ``Claim``, blocking
    claim_async      the same for asyncio
"""

from redis_state.claim.claim import Claim, take
from redis_state.claim.policy import ClaimPolicy

__all__ = ["Claim", "ClaimPolicy", "take"]
