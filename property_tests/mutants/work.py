"""Work that is shared: claims, progress, single flight, and what is counted of voices and files."""

from __future__ import annotations

from .mutant import Mutant

CLAIM = "property_tests/test_claim_model.py"
CLAIMS = "property_tests/test_parallel_claim.py::test_a_claim_in_parallel"
RUNS = "property_tests/test_parallel_progress.py::test_progress_in_parallel"
PROGRESS = "property_tests/test_progress_model.py"
FLIGHT = "tests/test_single_flight.py::"

WORK = (
    Mutant(
        name="claim/two-takers",
        file="lua/lib/taking.lua",
        text="if ms ~= -2 then",
        wrong="if false then",
        why="work that somebody holds is given to another",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/done-work-runs-again",
        file="lua/lib/taking.lua",
        text="if state == 'done' then",
        wrong="if false then",
        why="work that is done is given out again",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/one-attempt-too-many",
        file="lua/lib/taking.lua",
        text="if attempts >= terms.most then",
        wrong="if attempts > terms.most then",
        why="work is tried once more than was allowed",
        caught_by="tests/test_claim.py::test_takers_that_died_count_as_attempts",
    ),
    Mutant(
        name="claim/no-rest",
        file="lua/lib/taking.lua",
        text="if rest > 0 then",
        wrong="if false then",
        why="work that failed is tried again at once",
        caught_by="tests/test_claim.py::test_a_failed_attempt_rests_and_is_counted",
    ),
    Mutant(
        name="claim/late-ending-counts",
        file="lua/lib/claim.lua",
        text="  if newest then\n    return { 'stale', newest }\n  end\n",
        wrong="",
        why="a taker that was replaced still says how it went",
        caught_by=CLAIMS,
    ),
    Mutant(
        name="claim/done-is-undone",
        file="lua/lib/claim.lua",
        text="if was == 'done' and state ~= 'done' then",
        wrong="if false then",
        why="a taker that was not told of its success says that it failed, and the work runs again",
        caught_by=CLAIM + " tests/test_claim.py::test_what_is_done_stays_done",
    ),
    Mutant(
        name="claim/lock-stays-held",
        file="lua/lib/claim.lua",
        text="    locks.free(lock, keys.leases, keys.queue, keys.wake, name)\n",
        wrong="    redis.call('ZREM', keys.leases, name)\n",
        why="work has ended, and its lock is held until the lease is over",
        caught_by=CLAIM + " tests/test_claim.py::test_waiters_for_the_lock_hold_when_the_claim_ends",
    ),
    Mutant(
        name="progress/duplicate-counts-twice",
        file="lua/progress/mark.lua",
        text="if redis.call('SETBIT', seen, segment, 1) == 1 then",
        wrong="if redis.call('SETBIT', seen, segment, 1) == 2 then",
        why="a segment that is marked again is counted again",
        caught_by=RUNS,
    ),
    Mutant(
        name="progress/completion-told-twice",
        file="lua/lib/progress.lua",
        text="processed >= total and status ~= COMPLETED and status ~= FAILED",
        wrong="processed >= total and status ~= FAILED",
        why="a run that is complete completes again",
        caught_by="tests/test_progress.py::test_marks_on_top_of_an_advance_never_exceed_the_total",
    ),
    Mutant(
        name="progress/failed-run-completes",
        file="lua/lib/progress.lua",
        text="processed >= total and status ~= COMPLETED and status ~= FAILED",
        wrong="processed >= total and status ~= COMPLETED",
        why="a run that failed completes by what was still on its way",
        caught_by="tests/test_progress.py::test_a_failed_run_completes_no_more",
    ),
    Mutant(
        name="progress/restart-keeps-the-marks",
        file="lua/progress/begin.lua",
        text="redis.call('DEL', seen)\n",
        wrong="",
        why="segments of the run before count as marked",
        caught_by="tests/test_progress.py::test_restart_begins_anew_with_fresh_marks",
    ),
    Mutant(
        name="progress/completion-has-no-lease",
        file="lua/progress/claim.lua",
        text="if not lease_end or lease_end > now then",
        wrong="if not lease_end then",
        why="a completion that somebody deals with is given to another",
        caught_by=PROGRESS + " tests/test_progress.py::test_a_completion_in_its_lease_is_on_offer_to_nobody",
    ),
    Mutant(
        name="progress/completion-lives-for-ever",
        file="lua/lib/progress.lua",
        text="    redis.call('PEXPIRE', completions, kept_ms)\n",
        wrong="    redis.call('PTTL', completions)\n",
        why="completions have no time to live",
        caught_by=PROGRESS + " tests/test_progress.py::test_completion_is_told_once",
    ),
    Mutant(
        name="progress/mark-is-no-news",
        file="lua/lib/progress.lua",
        text="  redis.call('XADD', news, 'MAXLEN', 1, '*', 'processed', processed)\n",
        wrong="",
        why="those who watch a run are not woken when it goes on",
        caught_by=PROGRESS,
    ),
    Mutant(
        name="progress/advance-in-two-steps",
        file="redis_state/state/progress.py",
        text="        return self._run(advance(self._records, key, by, lease=self._lease))\n",
        wrong=(
            "        seen = self._run(read(self._records, key))\n"
            "        if seen is None:\n"
            "            raise UnknownSession(key)\n"
            "        done = max(0, min(seen.total, seen.processed + by))\n"
            "        now = done == seen.total and not seen.finished\n"
            '        status = "completed" if now else seen.status\n'
            '        self.segment_progress.patch(key, {"processed_segments": done, "status": status})\n'
            "        return Progress(done, seen.total, status, now)\n"
        ),
        why="an advance reads, and then writes the sum",
        caught_by=RUNS,
    ),
    Mutant(
        name="flight/computes-what-was-just-stored",
        file="redis_state/flight.py",
        text="work.answer(engine.follow(work.look()))",
        wrong="None",
        why="who gets the lock does not look again, and computes what another has just stored",
        caught_by="property_tests/test_single_flight_schedules.py",
    ),
    Mutant(
        name="flight/everybody-computes",
        file="redis_state/flight.py",
        text="        held = locks.lock(work.name, lease=work.lease).acquire(0)\n",
        wrong="        return _lead(engine, work, compute, lambda: None)\n",
        why="nobody asks whether another is computing",
        caught_by="property_tests/test_single_flight_schedules.py",
    ),
    Mutant(
        name="flight/failure-reaches-nobody",
        file="redis_state/flight.py",
        text=(
            "                engine.follow(work.store(value))\n"
            "        except Exception as error:\n"
            "            said = _said(error)\n"
        ),
        wrong="                engine.follow(work.store(value))\n        except Exception:\n",
        why="those who wait for a value are not told that computing it failed",
        caught_by="property_tests/test_flight_model.py",
    ),
    Mutant(
        name="flight/failure-is-forgotten",
        file="lua/flight/announce.lua",
        text="if error ~= '' and kept_ms > 0 then",
        wrong="if false then",
        why="a failure that is to be remembered is computed again",
        caught_by="property_tests/test_flight_model.py",
    ),
    Mutant(
        name="voice/repeated-segment-counts-twice",
        file="lua/voice/record.lua",
        text="if added == 1 then\n  segments = full",
        wrong="if true then\n  segments = full",
        why="a segment that is heard again is counted again",
        caught_by="tests/test_voice.py::test_accesses_are_counted",
    ),
    Mutant(
        name="voice/segments-without-bound",
        file="lua/voice/record.lua",
        text="redis.call('ZCARD', recent) > 512",
        wrong="redis.call('ZCARD', recent) > 5120",
        why="a voice takes more memory than it may",
        caught_by="property_tests/test_voice_model.py",
    ),
    Mutant(
        name="stats/chunks-not-counted",
        file="lua/stats/add.lua",
        text="redis.call('HINCRBY', entry, 'chunks_written', chunks)",
        wrong="redis.call('HSET', entry, 'chunks_written', chunks)",
        why="chunks are set where they should be added",
        caught_by="property_tests/test_stats_model.py",
    ),
    Mutant(
        name="stats/add-in-two-steps",
        file="redis_state/cache/upload_stats.py",
        text="        return self.file_stats.engine.run(self.file_stats.entries.add(file_id, n, chunks))\n",
        wrong=(
            "        stats = self.file_stats.get(file_id) or WriteStats(file_id)\n"
            "        stats.bytes_written += n\n"
            "        stats.chunks_written += chunks\n"
            "        self.file_stats[file_id] = stats\n"
            "        return stats\n"
        ),
        why="bytes are read, added to, and written back",
        caught_by="tests/test_upload_stats.py::test_eight_processes_lose_no_byte",
    ),
)
