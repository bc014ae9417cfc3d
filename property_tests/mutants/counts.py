"""What is counted: accesses to voices, bytes and chunks of files."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

COUNT_MUTANTS = (
    Mutant(
        name="voice/repeated-segment-counts-twice",
        file="lua/voice/record.lua",
        text="if added == 1 then\n  segments = full",
        wrong="if true then\n  segments = full",
        why="a segment that is heard again is counted again",
        caught_by="tests/cache/test_voice.py::test_accesses_are_counted",
    ),
    Mutant(
        name="voice/segments-without-bound",
        file="lua/voice/record.lua",
        text="redis.call('ZCARD', recent) > 512",
        wrong="redis.call('ZCARD', recent) > 5120",
        why="a voice takes more memory than it may",
        caught_by="property_tests/machines/test_voice_model.py",
    ),
    Mutant(
        name="stats/chunks-not-counted",
        file="lua/stats/add.lua",
        text="redis.call('HINCRBY', entry, 'chunks_written', chunks)",
        wrong="redis.call('HSET', entry, 'chunks_written', chunks)",
        why="chunks are set where they should be added",
        caught_by="property_tests/machines/test_stats_model.py",
    ),
    Mutant(
        name="stats/add-in-two-steps",
        file="redis_state/cache/upload_stats.py",
        text="        return self.file_stats._bound.run(Stats.add, file_id, n, chunks)\n",
        wrong=(
            "        stats = self.file_stats.get(file_id) or WriteStats(file_id)\n"
            "        stats.bytes_written += n\n"
            "        stats.chunks_written += chunks\n"
            "        self.file_stats[file_id] = stats\n"
            "        return stats\n"
        ),
        why="bytes are read, added to, and written back",
        caught_by="tests/cache/test_upload_stats.py::test_eight_processes_lose_no_byte",
    ),
)
