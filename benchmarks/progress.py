"""What a mark costs, from the face of the library on: beside the same words on a bare connection, and by redis-py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from benchmarks.bench import Bench, once
from benchmarks.harness import Case, Goal, Group
from redis_state.engine.operation import ScriptOp
from redis_state.progress import operations as progress
from redis_state.progress.records import RunOperations
from redis_state.state import ProgressState

SEGMENTS = 1_000_000
OURS, BARE, EVALSHA = "ProgressState.mark", "a new call, bare connection", "client.evalsha"


def marks(bench: Bench) -> Group:
    """Each marks the next segment of a run of its own, so each call counts one."""
    state = ProgressState(engine=bench.engine, ttl=3600)
    runs = RunOperations(bench.engine.keys("progress"), 3600.0)
    bare, client, numbers = bench.bare_connection(), bench.client, count(1)
    bench.client.script_load(progress.MARK.script.text)
    for track in ("ours", "bare", "evalsha"):
        state.begin(track, SEGMENTS, restart=True)

    def words_of(track: str) -> Callable[[], tuple[str, Sequence[str], list[Any]]]:
        op, segments = progress.mark(runs, track, 0), count()
        assert isinstance(op, ScriptOp)
        sha, keys, args, place = op.script.sha, op.keys, list(op.args), op.script.args.index("segment")

        def words() -> tuple[str, Sequence[str], list[Any]]:
            args[place] = next(segments) % SEGMENTS
            return sha, keys, args

        return words

    ours, for_bare, for_client = count(), words_of("bare"), words_of("evalsha")

    return Group(
        "A finished segment is marked (progress/mark)",
        [
            Case(BARE, lambda: bare.ask(bare.once(*for_bare()))),
            Case(OURS, lambda: state.mark("ours", next(ours) % SEGMENTS)),
            Case(EVALSHA, lambda: client.evalsha(*once(*for_client(), "bench", next(numbers)))),
        ],
        [Goal(OURS, BARE, 1.25), Goal(OURS, EVALSHA, 0.84)],
    )


GROUPS: dict[str, Callable[[Bench], Group]] = {"mark": marks}
