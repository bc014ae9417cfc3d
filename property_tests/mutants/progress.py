"""Progress of runs: each segment counts once, and one caller is told of the completion."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

RUNS = "property_tests/parallel/test_parallel_progress.py::test_progress_in_parallel"
PROGRESS = "property_tests/machines/test_progress_model.py"

PROGRESS_MUTANTS = (
    Mutant(
        name="progress/duplicate-counts-twice",
        file="lua/progress/mark.lua",
        text="if redis.call('SETBIT', bitmap, segment, 1) == 1 then",
        wrong="if redis.call('SETBIT', bitmap, segment, 1) == 2 then",
        why="a segment that is marked again is counted again",
        caught_by=RUNS,
    ),
    Mutant(
        name="progress/completion-told-twice",
        file="lua/lib/progress.lua",
        text="processed >= run.total and run.status ~= COMPLETED and run.status ~= FAILED",
        wrong="processed >= run.total and run.status ~= FAILED",
        why="a run that is complete completes again",
        caught_by="tests/progress/test_progress.py::test_marks_on_top_of_an_advance_never_exceed_the_total",
    ),
    Mutant(
        name="progress/failed-run-completes",
        file="lua/lib/progress.lua",
        text="processed >= run.total and run.status ~= COMPLETED and run.status ~= FAILED",
        wrong="processed >= run.total and run.status ~= COMPLETED",
        why="a run that failed completes by what was still on its way",
        caught_by="tests/progress/test_progress.py::test_a_failed_run_completes_no_more",
    ),
    Mutant(
        name="progress/restart-keeps-the-marks",
        file="lua/progress/begin.lua",
        text="redis.call('DEL', bitmap)\n",
        wrong="",
        why="segments of the run before count as marked",
        caught_by="tests/progress/test_progress.py::test_restart_begins_anew_with_fresh_marks",
    ),
    Mutant(
        name="progress/completion-has-no-lease",
        file="lua/progress/claim.lua",
        text="if not lease_end or lease_end > now then",
        wrong="if not lease_end then",
        why="a completion that somebody deals with is given to another",
        caught_by=PROGRESS + " tests/progress/test_progress.py::test_a_completion_in_its_lease_is_on_offer_to_nobody",
    ),
    Mutant(
        name="progress/completion-lives-for-ever",
        file="lua/lib/progress.lua",
        text="    redis.call('PEXPIRE', completions, kept_ms)\n",
        wrong="    redis.call('PTTL', completions)\n",
        why="completions have no time to live",
        caught_by=PROGRESS + " tests/progress/test_progress.py::test_completion_is_told_once",
    ),
    Mutant(
        name="progress/count-past-the-total",
        file="lua/lib/progress.lua",
        text="if count and total and (count < 0 or count > total) then",
        wrong="if false then",
        why="an application adds to the count, and it is more than the total",
        caught_by="tests/progress/test_progress.py::test_the_count_stays_within_the_total_however_it_is_written",
    ),
    Mutant(
        name="progress/one-mark-takes-512-mb",
        file="lua/progress/mark.lua",
        text="elseif segment >= MAX_SEGMENTS then",
        wrong="elseif false then",
        why="a mark of a high segment takes as much memory as it likes",
        caught_by="tests/progress/test_progress.py::test_marks_take_a_megabyte_at_most",
    ),
    Mutant(
        name="progress/watch-outlives-its-time",
        file="redis_state/progress/watching.py",
        text="            op.until = until\n",
        wrong="            pass\n",
        why="a watch with a time-out waits for a frozen server as long as any call",
        caught_by="tests/progress/test_progress.py::test_a_watch_of_a_frozen_server_ends_by_its_time",
    ),
    Mutant(
        name="progress/late-calls-count",
        file="lua/lib/generation.lua",
        text="return saw ~= '' and under_way and under_way ~= saw",
        wrong="return false",
        why="what is said late of an earlier run counts for the next one",
        caught_by=PROGRESS,
    ),
    Mutant(
        name="progress/late-confirmation-counts",
        file="lua/progress/confirm.lua",
        text="completion ~= '' and version and completion ~= (completed or '0')",
        wrong="false",
        why="a late receiver confirms the completion of a later run",
        caught_by="tests/state/test_generations.py::test_a_late_confirmation_says_which_completion_it_means",
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
        text="        return self._bound.run(progress.advance, key, by, lease=self._lease)\n",
        wrong=(
            "        seen = self._bound.run(progress.read, key)\n"
            "        if seen is None:\n"
            "            from redis_state.errors import UnknownSession\n\n"
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
)
