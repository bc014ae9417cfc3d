"""Entries of a mapping (records and values), and the index that counts them."""

from __future__ import annotations

from .mutant import Mutant

MODEL = "property_tests/test_mapping_model.py"
RECORDS = "property_tests/test_record_model.py"
PARALLEL = "property_tests/test_parallel_mapping.py::test_records_in_parallel"
PLANS = "property_tests/test_interleaved_plans.py::"
VALUES = "property_tests/test_value_model.py"

ENTRIES = (
    Mutant(
        name="record/created-over-another",
        file="lua/record/put.lua",
        text="if expected == 'absent' and version then",
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
        text="record.keep(entry, partition, name, ttl_ms, now, companions)",
        wrong="redis.call('PEXPIREAT', entry, now + ttl_ms)",
        why="an entry that was put is in no index",
        caught_by=MODEL,
    ),
    Mutant(
        name="record/put-forgets-the-fence",
        file="lua/record/put.lua",
        text="if token ~= '' or fence then\n  redis.call('HSET', entry, '@fence', token ~= '' and token or fence)",
        wrong="if token ~= '' then\n  redis.call('HSET', entry, '@fence', token)",
        why="after a write without a token an old one is accepted again",
        caught_by=RECORDS,
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
        caught_by="tests/test_record.py::test_whole_numbers_are_exact_up_to_18_digits",
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
        file="lua/lib/record.lua",
        text="if tonumber(token) < newest then",
        wrong="if tonumber(token) <= newest then",
        why="the second write of the holder itself is refused",
        caught_by=RECORDS,
    ),
    Mutant(
        name="record/fence-of-the-lock-unseen",
        file="lua/lib/record.lua",
        text="math.max(tonumber(fence or 0), tonumber(redis.call('HGET', guard, 'fence') or 0))",
        wrong="tonumber(fence or 0)",
        why="the old holder may write until the new one has written",
        caught_by="tests/test_record.py::test_the_last_token_of_the_lock_counts_before_its_holder_writes",
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
        file="redis_state/mapping/dicts.py",
        text="return self.engine.run(self._entries.increment(key, field, by, fence=fence))",
        wrong=(
            "seen = self.engine.run(self._entries.get(key))\n"
            "        total = by + (seen.fields.get(field, 0) if seen else 0)\n"
            "        if not self.patch(key, {field: total}, fence=fence):\n"
            "            self.engine.run(self._entries.increment(key, field, by, fence=fence))\n"
            "        return total"
        ),
        why="an increment reads, adds, and writes",
        caught_by=PARALLEL,
    ),
    Mutant(
        name="mapping/setdefault-in-two-steps",
        file="redis_state/mapping/entries.py",
        text=(
            "            if (yield from do(create)):\n"
            "                return None\n"
            "            found = yield from do(self.get(name))\n"
        ),
        wrong=(
            "            found = yield from do(self.get(name))\n"
            "            if found is None:\n"
            "                yield from do(self.put(name, value))\n"
            "                return None\n"
        ),
        why="setdefault looks, and then writes: two callers both create",
        caught_by=PLANS + "test_one_of_several_sets_the_default",
    ),
    Mutant(
        name="mapping/pop-in-two-steps",
        file="redis_state/mapping/shared.py",
        text="        found = self.engine.run(self._entries.pop(key))\n",
        wrong=(
            "        found = self.engine.run(self._entries.get(key))\n"
            "        self.engine.run(self._entries.remove(key))\n"
        ),
        why="pop reads, and then deletes: two callers both get the entry",
        caught_by="tests/test_mapping.py::test_each_entry_is_taken_by_exactly_one",
    ),
    Mutant(
        name="mapping/mutate-in-two-steps",
        file="redis_state/mapping/records.py",
        text="put = self.put_if_version(name, new, seen.version, ttl=seen.ttl, fence=fence)",
        wrong="put = self.put(name, new, ttl=seen.ttl, fence=fence)",
        why="mutate reads, changes, and writes whatever is there by then",
        caught_by=PLANS + "test_no_mutation_is_lost",
    ),
    Mutant(
        name="record/deleted-before-the-check",
        file="lua/record/remove.lua",
        text="local newest = record.newer(token, fence, guard)\n",
        wrong="redis.call('DEL', entry, unpack(companions))\nlocal newest = record.newer(token, fence, guard)\n",
        why="a delete that is refused for its old token has deleted",
        caught_by=RECORDS + " tests/test_record.py::test_an_older_token_changes_nothing",
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
        text="if expected == 'absent' and redis.call('EXISTS', entry) == 1 then",
        wrong="if false then",
        why="setdefault writes over a value that is there",
        caught_by=VALUES,
    ),
    Mutant(
        name="value/popped-but-indexed",
        file="lua/value/pop.lua",
        text="redis.call('ZREM', partition, name)\n",
        wrong="",
        why="a value that was taken out is still counted",
        caught_by=VALUES,
    ),
    Mutant(
        name="value/lives-for-ever",
        file="lua/value/put.lua",
        text="redis.call('SET', entry, value, 'PX', ttl_ms)",
        wrong="redis.call('SET', entry, value)",
        why="a value has no time to live",
        caught_by=VALUES,
    ),
)
