"""Locks: one holder at a time, growing tokens, leases that end, waiters that are woken."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

MODEL = "property_tests/machines/test_lock_model.py"
PARALLEL = "property_tests/parallel/test_parallel_lock.py::test_a_lock_in_parallel"
CLOCK = "property_tests/schedules/test_lease_clock.py::"

LOCKS = (
    Mutant(
        name="lock/anybody-releases",
        file="lua/lock/release.lua",
        text="if redis.call('HGET', lock, 'owner') ~= owner then",
        wrong="if redis.call('EXISTS', lock) == 0 then",
        why="a release does not look whose lock it is",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/anybody-renews",
        file="lua/lock/renew.lua",
        text="if redis.call('HGET', lock, 'owner') ~= owner then",
        wrong="if redis.call('EXISTS', lock) == 0 then",
        why="a renewal does not look whose lock it is",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/lease-without-end",
        file="lua/lib/locks.lua",
        text="  redis.call('PEXPIREAT', key, ends)\n",
        wrong="",
        why="the lock of a dead holder is never free",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/tokens-begin-anew",
        file="lua/lib/locks.lua",
        text="math.max(last + 1, now_us)",
        wrong="last + 1",
        why="after the server lost its data the tokens of before come again",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/token-comes-twice",
        file="lua/lib/locks.lua",
        text="math.max(last + 1, now_us)",
        wrong="math.max(last, now * 1000)",
        why="two holders of the same millisecond have the same token",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/clock-alone-makes-tokens",
        file="lua/lib/locks.lua",
        text="math.max(last + 1, now_us)",
        wrong="now_us",
        why="a clock that steps back makes tokens smaller",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/release-wakes-nobody",
        file="lua/lib/locks.lua",
        text="  redis.call('ZREM', leases, name)\n  locks.wake(queue, wake)\n",
        wrong="  redis.call('ZREM', leases, name)\n",
        why="a lock that is free is told to no waiter",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/wake-up-lives-for-ever",
        file="lua/lib/locks.lua",
        text="    redis.call('PEXPIRE', wake, WAKE_MS)\n",
        wrong="",
        why="a wake-up that nobody took has no time to live",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/who-left-may-hold",
        file="lua/lock/acquire.lua",
        text="if place and place < 0 then",
        wrong="if false then",
        why="an acquire that arrives after its owner was cancelled takes the lock",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/who-left-keeps-it",
        file="lua/lock/leave.lua",
        text="if holder == owner then",
        wrong="if false then",
        why="a lock granted to a waiter that was cancelled is not freed",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/who-left-swallows-the-wake-up",
        file="lua/lock/leave.lua",
        text="elseif not holder then\n  locks.wake(queue, wake)\n",
        wrong="",
        why="the wake-up of a waiter that was cancelled reaches nobody else",
        caught_by="property_tests/schedules/test_interleaved_plans.py::test_the_wake_up_of_one_who_leaves_reaches_the_next",
    ),
    Mutant(
        name="lock/holder-stays-in-the-queue",
        file="lua/lock/acquire.lua",
        text="  if place then\n    redis.call('ZREM', queue, owner)\n  end\n  return { 'held', token, now }",
        wrong="  return { 'held', token, now }",
        why="who holds the lock still counts as one that waits",
        caught_by=MODEL,
    ),
    Mutant(
        name="lock/check-then-act",
        file="redis_state/lock/waiting.py",
        text="            answer = yield first\n",
        wrong=(
            "            part, key = request.partition, request.partition.key('lock', request.name)\n"
            "            if (yield command(part, 'EXISTS', key, read=bool)) is False:\n"
            "                yield command(part, 'DEL', key, read=bool)\n"
            "            answer = yield first\n"
        ),
        why="a lock that looked free is cleared and taken, in three commands",
        caught_by=PARALLEL,
    ),
    Mutant(
        name="lock/lease-counts-from-the-answer",
        file="redis_state/lock/waiting.py",
        text="lease = Lease(answer.fence, answer.now, sent + request.first_lease - CLOCK_RESOLUTION_S)",
        wrong="lease = Lease(answer.fence, answer.now, monotonic() + request.first_lease - CLOCK_RESOLUTION_S)",
        why="a holder whose answer was slow believes in its lease longer than the server",
        caught_by=CLOCK + "test_a_lock_that_was_free",
    ),
    Mutant(
        name="lock/renewal-counts-from-the-answer",
        file="redis_state/lock/lease.py",
        text="renewal.asked + length - operations.CLOCK_RESOLUTION_S",
        wrong="now + length - operations.CLOCK_RESOLUTION_S",
        why="a holder whose renewal was slow believes in its lease longer than the server",
        caught_by=CLOCK + "test_a_lock_that_is_renewed",
    ),
    Mutant(
        name="lock/lost-renewal-is-no-loss",
        file="redis_state/lock/lease.py",
        text="        if answer is False:\n            self.lost.set()\n            return False\n",
        wrong="",
        why="a holder whose lock is another's believes that it was renewed",
        caught_by="tests/lock/test_lock.py::test_renewal_cannot_bring_back_what_somebody_else_holds",
    ),
    Mutant(
        name="lock/loss-wakes-nobody",
        file="redis_state/lock/lost.py",
        text="                bell.release()\n",
        wrong="                pass\n",
        why="who waits for a loss hears of it only when the lease would have ended",
        caught_by="tests/lock/test_lock.py::test_all_who_wait_hear_of_a_loss_long_before_the_lease_is_over",
    ),
    Mutant(
        name="lock/child-owns-its-parents",
        file="redis_state/lock/own.py",
        text="    for hold in parents:\n        hold.disown()\n",
        wrong="",
        why="after a fork the child, too, holds what its parent holds",
        caught_by="tests/lock/test_lock_processes.py::test_a_forked_child_owns_nothing_of_its_parents",
    ),
    Mutant(
        name="lock/late-after-a-step-of-the-clock",
        file="redis_state/lock/waiting.py",
        text="            offset = sent - found.now\n",
        wrong="            pass\n",
        why="a waiter whose wait ended because the server's clock was set forward believes in its lease for too long",
        caught_by=CLOCK + "test_a_lock_that_was_waited_for_while_the_clock_of_the_server_was_set",
    ),
    Mutant(
        name="lock/renewed-for-nobody",
        file="redis_state/lock/renewal.py",
        text="        own.took(hold, kept)\n",
        wrong="        own.took(hold, kept)\n        self.__dict__.setdefault('strong', []).append(hold)\n",
        why="what was dropped without being released is renewed for as long as the process lives",
        caught_by="tests/lock/test_lock_blocks.py::test_what_is_dropped_is_freed_and_told_of",
    ),
    Mutant(
        name="lock/shorter-than-asked-for",
        file="redis_state/lock/waiting.py",
        text="/ 2 if whole else request.first_lease\n",
        wrong="/ 2\n",
        why="a waiter that renews nothing is told of a lease that is shorter than it asked for",
        caught_by="tests/lock/test_lock_waits.py::test_a_waiter_that_renews_nothing_has_the_lease_that_it_asked_for",
    ),
)
