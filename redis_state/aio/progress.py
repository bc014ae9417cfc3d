"""Progress of work that is cut into segments, awaited. See ``redis_state.state.progress``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from redis_state.aio.state import State
from redis_state.engine.engine_async import AsyncEngine
from redis_state.progress import operations as progress
from redis_state.progress.operations import Progress
from redis_state.progress.records import RunOperations
from redis_state.progress.watching import Watch


class ProgressState(State[RunOperations]):
    """What every container knows about every track being segmented, awaited.

    ``segment_progress`` is the mapping behind it: the fields ``total_segments``, ``processed_segments``,
    ``status`` (and ``error``), and whatever else the application keeps there. Entries live two hours
    after each write. Every method is one round trip unless it says otherwise.
    """

    def __init__(
        self,
        container_id: str | AsyncEngine | None = None,
        engine: AsyncEngine | None = None,
        ttl: float | None = None,
        completion_lease: float = progress.COMPLETION_LEASE,
    ) -> None:
        runs = partial(RunOperations, companions=progress.COMPANIONS)
        super().__init__(runs, progress.NAMESPACE, progress.TTL if ttl is None else ttl, container_id, engine)
        self._lease = completion_lease
        progress.lease_ms(completion_lease)
        self.segment_progress = self._records

    async def begin(self, key: str, total: int, *, restart: bool = False) -> Progress:
        """Start a run of ``total`` segments, or join the one under way.

        ``ValueError`` when that one has another total; ``restart`` begins anew, whatever is there.
        """
        return await self._bound.run(progress.begin, key, total, restart=restart)

    async def advance(self, key: str, by: int = 1) -> Progress:
        """Count ``by`` more segments, within 0 and the total, for work whose parts have no numbers."""
        return await self._bound.run(progress.advance, key, by, lease=self._lease)

    async def mark(self, key: str, segment: int) -> Progress:
        """Count segment number ``segment`` (from 0) as finished, once however often it is said."""
        return await self._bound.run(progress.mark, key, segment, lease=self._lease)

    async def fail(self, key: str, error: object) -> Progress:
        """Note that the run failed, and why (a text or an exception)."""
        return await self._bound.run(progress.fail, key, error)

    async def get(self, key: str) -> Progress | None:
        """Read how far a run is; None when there is none."""
        return await self._bound.run(progress.read, key)

    async def confirm_completion(self, key: str, completion: int | None = None) -> bool:
        """Say that the completion was dealt with; it is on offer no more. True for the first call that says so.

        ``completion`` is the one of the ``Progress`` that said ``completed_now``. Without it the call is about the run,
        and the completion, that this object saw last. Of an earlier run it is False, and confirms nothing.
        """
        return await self._bound.run(progress.confirm_completion, key, completion)

    async def pending_completions(self) -> list[str]:
        """List the completions whose receiver did not confirm them in time. Two round trips."""
        return await self._bound.follow(progress.pending_completions)

    async def claim_completion(self, key: str) -> Progress | None:
        """Take over such a completion. Of many callers one gets it, the others None."""
        return await self._bound.run(progress.claim_completion, key, lease=self._lease)

    async def watch(self, key: str, timeout: float | None = None) -> AsyncIterator[Progress]:
        """Yield the progress at once, and then on each change, pushed by the server.

        Ends when the run is finished, or after ``timeout`` seconds without news. Changes that follow
        each other closely may come as one. ``UnknownSession`` when there is no such run (any more).
        Holds a connection while it waits.
        """
        engine, runs = self._bound.here()
        watch = Watch(runs, key, timeout)
        while (seen := await engine.follow(watch.next())) is not None:
            yield seen

    async def owner(self, key: str) -> str | None:
        """Return the container that began the run; None when there is none."""
        return await self._bound.run(RunOperations.owner, key)

    async def owned_by(self, container_id: str) -> list[str]:
        """List the runs that a container began. O(n), 500 a round trip."""
        return await self.segment_progress.owned_by(container_id)


progress_state = ProgressState()
