"""The text cache: what is used least goes first, within a budget that is accounted to the byte."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

MODEL = "property_tests/machines/test_text_model.py"
PARALLEL = "property_tests/parallel/test_parallel_text.py::test_a_text_cache_in_parallel"

TEXTS = (
    Mutant(
        name="text/newest-goes-first",
        file="lua/lib/eviction.lua",
        text="names = redis.call('ZRANGE', shard.lru, 0, batch - 1)",
        wrong="names = redis.call('ZREVRANGE', shard.lru, 1, batch)",
        why="what was used last is evicted first",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/reading-is-no-use",
        file="lua/text/get.lua",
        text="  call('ZADD', lru, tick, name)\n",
        wrong="",
        why="an entry that is read grows old all the same",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/older-file-is-served",
        file="lua/text/get.lua",
        text="mtime == string.sub(entry, 13, 24)",
        wrong="mtime >= string.sub(entry, 13, 24)",
        why="a text is stale in one direction only: that of an older file is served",
        caught_by=PARALLEL,
    ),
    Mutant(
        name="text/overtaken-is-missing",
        file="redis_state/cache/text/reads.py",
        text=" or STALE_READ",
        wrong="",
        why="a large text that is replaced while it is read seems to be missing",
        caught_by="tests/cache/test_text_cache.py::test_a_text_that_changes_while_it_is_read_is_whole",
    ),
    Mutant(
        name="text/older-file-replaces-newer",
        file="lua/lib/text_entry.lua",
        text="return its_seconds > seconds or its_seconds == seconds and its_nanos > nanos",
        wrong="return its_seconds > seconds",
        why="of one second, a text of the older file replaces that of the newer",
        caught_by=PARALLEL + " tests/cache/test_text_cache.py::test_an_older_file_never_replaces_a_newer_one",
    ),
    Mutant(
        name="text/expired-entry-is-served",
        file="lua/text/get.lua",
        text="if expiry * 1000 > us and (",
        wrong="if entry and (",
        why="a text whose time is over is read",
        caught_by="tests/cache/test_text_cache.py::test_absent_and_expired_entries_are_none",
    ),
    Mutant(
        name="text/replaced-bytes-count-on",
        file="lua/text/put.lua",
        text="math.max(totals.tick + 1, now_us), totals.bytes - was",
        wrong="math.max(totals.tick + 1, now_us), totals.bytes",
        why="what a put replaces is still accounted",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/order-of-use-is-no-time",
        file="lua/text/put.lua",
        text="math.max(totals.tick + 1, now_us), totals.bytes - was",
        wrong="totals.tick + 1, totals.bytes - was",
        why="what was put counts as used in 1970, and goes before what was read long ago",
        caught_by="tests/cache/test_text_cache.py::test_an_entry_that_was_never_read_was_used_when_it_was_put",
    ),
    Mutant(
        name="text/removed-bytes-count-on",
        file="lua/lib/text_removal.lua",
        text="text_shard.remove(shard, totals, { name }, { entry })",
        wrong="text_shard.remove(shard, totals, { name }, {})",
        why="what is dropped is still accounted",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/budget-exceeded-by-one-entry",
        file="lua/text/put.lua",
        text="local now, limit = math.floor(now_us / 1000), totals.budget - bytes",
        wrong="local now, limit = math.floor(now_us / 1000), totals.budget",
        why="room is made for all entries but the one that is put",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/one-entry-too-many-goes",
        file="lua/lib/eviction.lua",
        text="totals.bytes - freed > limit do",
        wrong="totals.bytes - freed + 1 > limit - 300 do",
        why="an entry is evicted although there is room",
        caught_by=MODEL + " " + PARALLEL,
    ),
    Mutant(
        name="text/clear-keeps-the-account",
        file="lua/text/clear.lua",
        text="totals.bytes, totals.entries, totals.fresh = 0, 0, true",
        wrong="totals.fresh = true",
        why="an empty cache is accounted as full",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/repair-of-what-changed",
        file="lua/text/repair.lua",
        text="if (redis.call('HGET', metadata, text_entry.TOTALS) or '') ~= packed then",
        wrong="if false then",
        why="an account is mended by a count that is no longer true",
        caught_by="property_tests/schedules/test_interleaved_plans.py::test_an_account_is_mended_while_others_write",
    ),
)
