"""Calls: one is said again as often as needed and acts once, and its caller learns what became of it."""

from __future__ import annotations

from .mutant import Mutant

ONCE = "tests/test_exactly_once.py::"
MODEL = "property_tests/test_call_model.py"
FAULTS = "property_tests/test_parallel_mapping.py::test_records_in_parallel_while_things_go_wrong"

CALLS = (
    Mutant(
        name="once/record-not-stored",
        file="lua/lib/once.lua",
        text="redis.call('SET', record, number .. ' ' .. cmsgpack.pack(reply), 'PX', KEPT_MS)\n",
        wrong="",
        why="nothing remembers that a call has acted",
        caught_by=MODEL,
    ),
    Mutant(
        name="once/record-not-looked-up",
        file="lua/lib/once.lua",
        text="if last_number == number then",
        wrong="if false then",
        why="a copy acts again",
        caught_by=MODEL,
    ),
    Mutant(
        name="once/late-copy-of-an-older-call",
        file="lua/lib/once.lua",
        text="if tonumber(last_number) > tonumber(number) then",
        wrong="if false then",
        why="a copy that arrives after later calls acts again",
        caught_by=MODEL,
    ),
    Mutant(
        name="once/never-void",
        file="lua/lib/once.lua",
        text="if now_us > void_at * 1000 then",
        wrong="if false then",
        why="a copy acts although its caller was told long ago that it never will",
        caught_by=MODEL,
    ),
    Mutant(
        name="once/full-server-frees-nothing",
        file="lua/lib/once.lua",
        text="if runs_when_full then\n  redis.call('PEXPIRE', record, KEPT_MS)\nend\n",
        wrong="",
        why="at the memory limit what frees memory is refused",
        caught_by="tests/test_said_twice.py::test_a_full_server_runs_what_frees_and_refuses_what_grows",
    ),
    Mutant(
        name="call/never-told-too-early",
        file="lua/call/recall.lua",
        text="if now <= void_at then",
        wrong="if false then",
        why="a call is said never to act, while a copy of it may still arrive",
        caught_by=MODEL,
    ),
    Mutant(
        name="engine/retry-is-a-new-call",
        file="redis_state/engine/call.py",
        text="            if caller is None:\n",
        wrong="            if caller is None or self.doubt:\n",
        why="what is sent again has an identity of its own",
        caught_by=FAULTS,
    ),
    Mutant(
        name="engine/caller-goes-on-after-an-unknown-outcome",
        file="redis_state/engine/call.py",
        text="            if self.caller is not None:\n                session.retire(self.place)\n            text",
        wrong="            text",
        why="the next call overwrites the record that tells what became of the unknown one",
        caught_by=ONCE + "test_the_calls_after_an_unknown_one_are_not_taken_for_it",
    ),
    Mutant(
        name="engine/lost-reply-is-no-doubt",
        file="redis_state/engine/call.py",
        text="            self.doubt = True\n            self._turn()\n",
        wrong="            self._turn()\n",
        why="a write that may have run is said not to have been applied",
        caught_by=ONCE + "test_an_unknown_outcome_that_was_applied_is_resolved_to_its_result",
    ),
    Mutant(
        name="engine/batch-is-not-healed",
        file="redis_state/engine/call.py",
        text="if fault is Fault.NO_SCRIPT:",
        wrong="if fault is Fault.NO_SCRIPT and self.place == 0:",
        why="after SCRIPT FLUSH only the first call of a batch is healed",
        caught_by="tests/test_server_changes.py::test_nobody_sees_that_the_scripts_are_flushed",
    ),
    Mutant(
        name="engine/batch-has-one-caller",
        file="redis_state/engine/call.py",
        text="caller = self.caller = session.caller(self.place)",
        wrong="caller = self.caller = session.caller(0)",
        why="the calls of a batch share one record, so all but the last are forgotten",
        caught_by=ONCE + "test_a_batch_cut_in_the_middle_runs_each_operation_once",
    ),
    Mutant(
        name="engine/read-that-counts-is-sent-again",
        file="redis_state/engine/call.py",
        text='if op.script is None or op.script.kind != "twin":',
        wrong='if op.script is None or op.script.kind != "twin" or self.doubt:',
        why="a read that notes its use is said again, and counts twice",
        caught_by="tests/test_text_cache_faults.py::test_a_use_is_counted_once_when_its_reply_is_lost",
    ),
    Mutant(
        name="engine/threads-share-a-channel",
        file="redis_state/engine/run.py",
        text="channel = self._idle.pop()\n",
        wrong="channel = self._idle[-1]\n",
        why="two threads use one connection at a time",
        caught_by="property_tests/test_shared_engine.py",
    ),
    Mutant(
        name="engine/fork-shares-the-channels",
        file="redis_state/engine/run.py",
        text="engine._idle = deque()  # the parent's",
        wrong="pass  # the parent's",
        why="parent and child use one connection, and number their calls alike",
        caught_by="tests/test_server_changes.py::test_a_forked_child_has_connections_and_callers_of_its_own",
    ),
    Mutant(
        name="engine/interrupted-channel-is-used-again",
        file="redis_state/engine/run.py",
        text="            channel.close()\n            self._sessions.remove(channel.session)\n            raise",
        wrong="            self._idle.append(channel)\n            raise",
        why="the reply to an interrupted call is taken for that of the next one",
        caught_by=ONCE + "test_an_interrupted_call_leaves_the_engine_usable",
    ),
)
