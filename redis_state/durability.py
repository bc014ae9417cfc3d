"""How safe a write is before its call returns. Pure."""

from __future__ import annotations

from typing import NamedTuple

from redis_state.durations import seconds, to_ms

LONGEST_WAIT_S = 60.0
MOST_REPLICAS = 100


class Replicas(NamedTuple):
    """A write is answered when so many replicas have it, or ``NotReplicated`` is raised after ``timeout`` seconds."""

    number: int
    timeout: float

    @property
    def timeout_ms(self) -> int:
        """Return how long the server waits for its replicas."""
        return to_ms(self.timeout)


def replicas(number: int, *, timeout: float = 1.0) -> Replicas:
    """Ask that ``number`` replicas have each write before its call returns, within ``timeout`` seconds.

    Else ``NotReplicated`` is raised: the write was applied, and is not confirmed. A write that was confirmed survives
    the loss of the primary if one of those replicas is promoted, which is certain only where ``number`` is the number
    of all that can be. It costs the time of one round trip to the replicas; nothing for what only reads.
    """
    if type(number) is not int or not 1 <= number <= MOST_REPLICAS:
        raise ValueError(f"replicas({number!r}): a whole number from 1 to {MOST_REPLICAS}")
    return Replicas(number, seconds("replicas: timeout", timeout, least=0.001, most=LONGEST_WAIT_S))
