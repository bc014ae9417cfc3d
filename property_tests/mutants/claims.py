"""Work that runs once: taken by one, given up, handed back, and tried again."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

CLAIM = "property_tests/machines/test_claim_model.py"
CLAIMS = "property_tests/parallel/test_parallel_claim.py::test_a_claim_in_parallel"
INTERRUPTED = "tests/claim/test_claim_interrupted.py::"

CLAIM_MUTANTS = (
    Mutant(
        name="claim/two-takers",
        file="lua/lib/claim.lua",
        text="if ms ~= -2 then",
        wrong="if false then",
        why="work that somebody holds is given to another",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/done-work-runs-again",
        file="lua/lib/claim.lua",
        text="if state == 'done' then",
        wrong="if false then",
        why="work that is done is given out again",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/one-attempt-too-many",
        file="lua/lib/claim.lua",
        text="if attempts >= request.most then",
        wrong="if attempts > request.most then",
        why="work is tried once more than was allowed",
        caught_by="tests/claim/test_claim.py::test_takers_that_died_count_as_attempts",
    ),
    Mutant(
        name="claim/no-rest",
        file="lua/lib/claim.lua",
        text="if rest > 0 then",
        wrong="if false then",
        why="work that failed is tried again at once",
        caught_by="tests/claim/test_claim.py::test_a_failed_attempt_rests_and_is_counted",
    ),
    Mutant(
        name="claim/late-ending-counts",
        file="lua/lib/claim_end.lua",
        text="  if newest then\n    return { 'stale', newest }\n  end\n",
        wrong="",
        why="a taker that was replaced still says how it went",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/done-is-undone",
        file="lua/lib/claim_end.lua",
        text="if was == 'done' and state ~= 'done' then",
        wrong="if false then",
        why="a taker that was not told of its success says that it failed, and the work runs again",
        caught_by=CLAIM + " tests/claim/test_claim.py::test_what_is_done_stays_done",
    ),
    Mutant(
        name="claim/lock-stays-held",
        file="lua/lib/claim_end.lua",
        text="    locks.free(lock, keys.leases, keys.queue, keys.wake, name)\n",
        wrong="    redis.call('ZREM', keys.leases, name)\n",
        why="work has ended, and its lock is held until the lease is over",
        caught_by=CLAIM + " tests/claim/test_claim.py::test_waiters_for_the_lock_hold_when_the_claim_ends",
    ),
    Mutant(
        name="claim/interruption-counts",
        file="lua/lib/claim_end.lua",
        text="math.max(0, tonumber(attempts or 0) - 1)",
        wrong="attempts or 0",
        why="work that is handed back has used up an attempt",
        caught_by=CLAIM + " " + INTERRUPTED + "test_an_interrupted_block_is_handed_back_uncounted",
    ),
    Mutant(
        name="claim/failure-is-released",
        file="lua/lib/claim_end.lua",
        text="if state ~= 'released' or was == 'taken' then",
        wrong="if true then",
        why="a late release makes of what failed, or was never taken, work that was handed back",
        caught_by=CLAIM,
    ),
    Mutant(
        name="claim/interruption-is-a-failure",
        file="redis_state/claim/claim.py",
        text="        if isinstance(error, Exception):\n            return partial(this.fail, error)",
        wrong="        if error is not None:\n            return partial(this.fail, error)",
        why="work whose task is cancelled has failed",
        caught_by=INTERRUPTED + "test_a_cancelled_body_is_handed_back_uncounted",
    ),
    Mutant(
        name="claim/unheard-taking-counts",
        file="redis_state/claim/operations.py",
        text="yield from do(scripts.release(request, records, policy, lease.fence, UNBEGUN))",
        wrong="pass",
        why="a taking whose lease is over before its answer comes uses up an attempt",
        caught_by=INTERRUPTED + "test_a_lease_shorter_than_a_round_trip_uses_up_no_attempt",
    ),
)
