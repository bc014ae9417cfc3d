"""The policy of a claim: attempts, the rest between them, and status words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from redis_state.durations import HOUR, seconds

LONGEST_REST_S = HOUR


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """Attempts of work, its rest between two of them, and what its record's ``status`` says meanwhile.

    ``backoff`` seconds after the first failed attempt, twice as many after each further one.
    """

    max_attempts: int = 3
    backoff: float = 1.0
    taken: str = "taken"
    done: str = "done"
    failed: str = "failed"
    interrupted: str = "interrupted"

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ValueError(f"max_attempts={self.max_attempts!r}: a whole number, 1 or more")
        seconds("backoff", self.backoff, least=0.0, most=LONGEST_REST_S)

    def rest(self, attempt: int) -> float:
        """Return how many seconds it rests after this attempt has failed."""
        return float(min(LONGEST_REST_S, self.backoff * 2.0 ** min(attempt - 1, 30)))


DEFAULT = ClaimPolicy()
