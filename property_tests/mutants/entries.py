"""Entries of a mapping (records and values), and the index that counts them."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

MODEL = "property_tests/machines/test_mapping_model.py"
RECORDS = "property_tests/machines/test_record_model.py"
PARALLEL = "property_tests/parallel/test_parallel_mapping.py::test_records_in_parallel"
PLANS = "property_tests/schedules/test_interleaved_plans.py::"
VALUES = "property_tests/machines/test_value_model.py"

ENTRIES = (
    Mutant(
        name="record/created-over-another",
        file="lua/record/put.lua",
        text="if version and (expected == 'absent' or expected == 'default') then",
        wrong="if false then",
        why="setdefault writes over what is there",
        caught_by=MODEL,
    ),
    Mutant(
        name="record/written-back-over-a-newer-one",
        file="lua/record/put.lua",
        text="if continues and expected ~= version then",
        wrong="if false then",
        why="a write-back does not look whether somebody wrote in between",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/put-forgets-the-index",
        file="lua/record/put.lua",
        text="record.renew(entry, partition, name, lives_ms, now, companions)",
        wrong="redis.call('PEXPIREAT', entry, now + lives_ms)",
        why="an entry that was put is in no index",
        caught_by=MODEL,
    ),
    Mutant(
        name="record/put-forgets-the-fence",
        file="lua/record/put.lua",
        text="if token ~= '' then\n  redis.call('HSET', entry, '@fence', token)",
        wrong="redis.call('HDEL', entry, '@fence')\nif token ~= '' then\n  redis.call('HSET', entry, '@fence', token)",
        why="after a write without a token an old one is accepted again",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/put-forgets-what-others-keep",
        file="lua/record/put.lua",
        text="if version then\n  record.delete_fields(entry)",
        wrong="if version then\n  redis.call('DEL', entry)",
        why="a whole write takes the key away, and with it what a claim or a download keeps there",
        caught_by="tests/lua/test_kept.py",
    ),
    Mutant(
        name="mapping/what-was-made-of-a-field-overwrites",
        file="redis_state/mapping/write_back.py",
        text="    if current != value.origin.seen:",
        wrong="    if False:",
        why="a list that was read, added to and put back undoes what others wrote meanwhile",
        caught_by="tests/mapping/test_record.py::test_what_an_operator_made_is_written_if_the_field_is_as_it_was",
    ),
    Mutant(
        name="value/swapped-unseen",
        file="lua/value/swap.lua",
        text="if redis.call('GET', value) ~= expected then",
        wrong="if false then",
        why="a value that was changed is written over one that was written meanwhile",
        caught_by="tests/mapping/test_values.py::test_of_many_writers_none_is_lost",
    ),
    Mutant(
        name="mapping/mutate-takes-any-answer",
        file="redis_state/mapping/mutation.py",
        text="    if not isinstance(made, Mapping):",
        wrong="    if False:",
        why="a record becomes whatever the function happened to return",
        caught_by="tests/mapping/test_record.py::test_a_record_never_becomes_what_was_taken_out_of_it",
    ),
    Mutant(
        name="record/removed-but-indexed",
        file="lua/record/remove.lua",
        text="redis.call('ZREM', partition, name)\n",
        wrong="",
        why="an entry that was deleted stays in the index",
        caught_by=MODEL,
    ),
    Mutant(
        name="record/fill-writes-over",
        file="lua/record/fill.lua",
        text="if was then",
        wrong="if was == value then",
        why="setdefault of a field overwrites it",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/sum-in-doubles",
        file="lua/lib/number.lua",
        text="    return #digits_a <= 18 and #digits_b <= 18 and 'whole' or nil\n",
        wrong="    return string.format('%.0f', tonumber(a) + tonumber(b))\n",
        why="whole numbers are added as doubles, and lose their last digits",
        caught_by="tests/mapping/test_record.py::test_whole_numbers_are_exact_up_to_18_digits",
    ),
    Mutant(
        name="record/version-comes-twice",
        file="lua/lib/record.lua",
        text="version and version + 1 or now_us",
        wrong="version and version + 1 or 1",
        why="a record that was deleted and made anew has the versions of the old one",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/fence-equal-is-refused",
        file="lua/lib/tokens.lua",
        text="if tonumber(token) < newest then",
        wrong="if tonumber(token) <= newest then",
        why="the second write of the holder itself is refused",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/fence-of-the-lock-unseen",
        file="lua/lib/tokens.lua",
        text="math.max(tonumber(latest or 0), tonumber(redis.call('HGET', fence, 'fence') or 0))",
        wrong="tonumber(latest or 0)",
        why="the old holder may write until the new one has written",
        caught_by="tests/mapping/test_record.py::test_the_last_token_of_the_lock_counts_before_its_holder_writes",
    ),
    Mutant(
        name="record/fence-from-the-future",
        file="lua/lib/tokens.lua",
        text="  if tonumber(token) > math.max(granted, tonumber(latest or 0)) then",
        wrong="  if false then",
        why="one write with a token that no lock granted shuts out all later holders",
        caught_by="tests/mapping/test_record.py::test_a_token_that_was_never_granted_is_refused",
    ),
    Mutant(
        name="record/fence-of-another-slot",
        file="redis_state/mapping/fences.py",
        text="    if not key.startswith(keys.of(name).head):",
        wrong="    if not key.startswith(keys.of(name).head):\n        key = keys.key('fence', name)\n    if False:",
        why="a token is compared with the last one of another lock",
        caught_by="tests/mapping/test_record.py::test_a_holder_whose_lock_lies_in_another_slot_is_refused",
    ),
    Mutant(
        name="record/companions-outlive-it",
        file="lua/record/pop.lua",
        text="redis.call('DEL', entry, unpack(companions))",
        wrong="redis.call('DEL', entry)",
        why="what belongs to a record that was taken out is left behind",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/increment-in-two-steps",
        file="redis_state/mapping/record_mapping.py",
        text="return engine.run(entries.increment(key, field, by, fence=fence))",
        wrong=(
            "seen = engine.run(entries.get(key))\n"
            "        total = by + (seen.fields.get(field, 0) if seen else 0)\n"
            "        if not self.patch(key, {field: total}, fence=fence):\n"
            "            engine.run(entries.increment(key, field, by, fence=fence))\n"
            "        return total"
        ),
        why="an increment reads, adds, and writes",
        caught_by=PARALLEL,
    ),
    Mutant(
        name="mapping/setdefault-in-two-steps",
        file="redis_state/mapping/operations.py",
        text="        return do(self.create_or_get(name, value))\n",
        wrong=(
            "        found = yield from do(self.get(name))\n"
            "        if found is None:\n"
            "            yield from do(self.put(name, value))\n"
            "            found = yield from do(self.get(name))\n"
            "        return found\n"
        ),
        why="setdefault looks, and then writes: two callers both create",
        caught_by=PLANS + "test_one_of_several_sets_the_default",
    ),
    Mutant(
        name="mapping/pop-in-two-steps",
        file="redis_state/mapping/base_mapping.py",
        text="        found = engine.run(entries.pop(key))\n",
        wrong=("        found = engine.run(entries.get(key))\n        engine.run(entries.remove(key))\n"),
        why="pop reads, and then deletes: two callers both get the entry",
        caught_by="tests/mapping/test_mapping.py::test_each_entry_is_taken_by_exactly_one",
    ),
    Mutant(
        name="mapping/mutate-in-two-steps",
        file="redis_state/mapping/record_operations.py",
        text="put = self.put_if_version(name, new, seen.version, ttl=seen.ttl, fence=fence)",
        wrong="put = self.put(name, new, ttl=seen.ttl, fence=fence)",
        why="mutate reads, changes, and writes whatever is there by then",
        caught_by=PLANS + "test_no_mutation_is_lost",
    ),
    Mutant(
        name="record/deleted-before-the-check",
        file="lua/record/remove.lua",
        text="local newest = tokens.refuse(token, latest, fence)\n",
        wrong="redis.call('DEL', entry, unpack(companions))\nlocal newest = tokens.refuse(token, latest, fence)\n",
        why="a delete that is refused for its old token has deleted",
        caught_by=RECORDS + " tests/mapping/test_record.py::test_an_older_token_changes_nothing",
    ),
    Mutant(
        name="index/counts-the-expired",
        file="lua/index/count.lua",
        text="'(' .. now",
        wrong="'-inf'",
        why="an entry whose time is over is still counted",
        caught_by=VALUES,
    ),
    Mutant(
        name="index/tells-the-expired",
        file="lua/index/page.lua",
        text="if tonumber(page[2][place + 1]) > now then",
        wrong="if true then",
        why="an entry whose time is over is still listed",
        caught_by=VALUES,
    ),
    Mutant(
        name="value/created-over-another",
        file="lua/value/put.lua",
        text="local was = expected == 'default' and redis.call('GET', value)",
        wrong="local was = false",
        why="setdefault writes over a value that is there",
        caught_by=VALUES,
    ),
    Mutant(
        name="value/added-over-another",
        file="lua/value/put.lua",
        text="if expected == 'absent' and redis.call('EXISTS', value) == 1 then",
        wrong="if false then",
        why="add writes over a value that is there",
        caught_by="tests/mapping/test_values.py::test_values_are_added_and_removed_by_name",
    ),
    Mutant(
        name="value/popped-but-indexed",
        file="lua/value/pop.lua",
        text="redis.call('ZREM', values, name)\n",
        wrong="",
        why="a value that was taken out is still counted",
        caught_by=VALUES,
    ),
    Mutant(
        name="value/lives-for-ever",
        file="lua/value/put.lua",
        text="redis.call('SET', value, new, 'PX', ttl_ms)",
        wrong="redis.call('SET', value, new)",
        why="a value has no time to live",
        caught_by=VALUES,
    ),
)
