"""The text cache: what is used least goes first, within a budget that is accounted to the byte."""

from __future__ import annotations

from .mutant import Mutant

MODEL = "property_tests/test_text_model.py"
PARALLEL = "property_tests/test_parallel_text.py::test_a_text_cache_in_parallel"

TEXTS = (
    Mutant(
        name="text/newest-goes-first",
        file="lua/lib/room.lua",
        text="names = redis.call('ZRANGE', shard.uses, 0, batch - 1)",
        wrong="names = redis.call('ZREVRANGE', shard.uses, 1, batch)",
        why="what was used last is evicted first",
        caught_by=MODEL,
    ),
    Mutant(
        name="text/reading-is-no-use",
        file="lua/text/get.lua",
        text="  call('ZADD', uses, tick, name)\n",
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
        file="redis_state/cache/text/reading.py",
        text=" or OVERTAKEN",
        wrong="",
        why="a large text that is replaced while it is read seems to be missing",
        caught_by="tests/test_text_cache.py::test_a_text_that_changes_while_it_is_read_is_whole",
    ),
    Mutant(
        name="text/older-file-replaces-newer",
        file="lua/lib/facts.lua",
        text="return its_seconds > seconds or its_seconds == seconds and its_nanos > nanos",
        wrong="return its_seconds > seconds",
        why="of one second, a text of the older file replaces that of the newer",
        caught_by=PARALLEL + " tests/test_text_cache.py::test_an_older_file_never_replaces_a_newer_one",
    ),
    Mutant(
        name="text/expired-entry-is-served",
        file="lua/text/get.lua",
        text="if over * 1000 > us and (",
        wrong="if entry and (",
        why="a text whose time is over is read",
        caught_by="tests/test_text_cache.py::test_absent_and_expired_entries_are_none",
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
        name="text/removed-bytes-count-on",
        file="lua/text/drop.lua",
        text="lru.remove(shard, totals, { name }, { entry })",
        wrong="lru.remove(shard, totals, { name }, {})",
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
        file="lua/lib/room.lua",
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
        text="if (redis.call('HGET', entries, facts.TOTALS) or '') ~= packed then",
        wrong="if false then",
        why="an account is mended by a count that is no longer true",
        caught_by="property_tests/test_interleaved_plans.py::test_an_account_is_mended_while_others_write",
    ),
)
