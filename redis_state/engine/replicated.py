"""Calls that replicas confirm. Pure: it stands around ``delivery``, and changes what that sends and hears.

Behind the calls of an exchange go, on the same connection, a write of our own and ``WAIT``. The write makes the answer
true: WAIT counts the replicas that have what *this connection* wrote last, and a copy of a call on a new connection
writes nothing, so WAIT alone would confirm what no replica has. An exchange whose WAIT has no answer counts as lost:
its calls are sent again, as copies, and WAIT is asked about them there.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from redis_state.clock import monotonic
from redis_state.durability import Replicas
from redis_state.durations import to_ms
from redis_state.engine.delivery import Effect, Exchange
from redis_state.engine.op import Broken, Op
from redis_state.engine.packing import pack
from redis_state.errors import NotReplicated

MARK_KEPT_MS = 60_000
LEAST_WAIT_S = 0.001
PART_OF_CALL = 0.75  # of what is left of a call's time: its answer must come before that is over


def confirmed(
    delivery: Generator[Effect, Any, list[Any]], ops: Sequence[Op[Any]], asked: Replicas
) -> Generator[Effect, Any, list[Any]]:
    """Follow a delivery, and let replicas confirm what it writes. A result that they did not is ``NotReplicated``."""
    writing = [op for op in ops if _writes(op)]
    if not writing:
        return (yield from delivery)
    longest = min(asked.timeout, *map(_longest_wait, writing))
    have = asked.number  # of the exchanges so far, the fewest replicas that had one
    try:
        effect = next(delivery)
        while True:
            ahead = _bring_script(effect[0], ops) if type(effect) is list else 0
            answer = yield effect if type(effect) is not list else [_with_wait(effect[0], writing[0], asked, longest)]
            if type(effect) is list:
                replies = answer[0]
                if isinstance(replies[-1], Broken):
                    answer = [replies[-1:]]
                else:  # an error in place of either is no confirmation
                    mark, number = replies[-2:]
                    have = min(have, number) if mark == b"OK" and isinstance(number, int) else 0
                    answer = [replies[ahead:-2]]
            effect = delivery.send(answer)
    except StopIteration as end:
        outcomes: list[Any] = end.value
    if have >= asked.number:
        return outcomes
    return [
        outcome if not _writes(op) or isinstance(outcome, BaseException) else _not_replicated(op, outcome, have, asked)
        for op, outcome in zip(ops, outcomes, strict=True)
    ]


def _bring_script(exchange: Exchange, ops: Sequence[Op[Any]]) -> int:
    """Put the script of a call ahead of it, once for a connection; return how many replies that has.

    Where it is missing, WAIT would wait behind a call that did not run. (Batches bring theirs anyway.)
    """
    script, state = ops[0].script, exchange.node
    if len(ops) > 1 or script is None or state is None or script.sha in state.loaded:
        return 0
    state.loaded.add(script.sha)
    state.scripts_loaded += 1
    exchange.payload = pack(("SCRIPT", "LOAD", script.text)) + exchange.payload
    exchange.replies += 1
    return 1


def _with_wait(exchange: Exchange, op: Op[Any], asked: Replicas, longest: float) -> Exchange:
    """Put the mark and WAIT behind what is sent. It waits for less where the call is nearly over."""
    assert op.partition is not None
    wait = max(LEAST_WAIT_S, min(longest, PART_OF_CALL * (exchange.end - monotonic())))
    mark = ("SET", f"{op.partition.starts['record']}replicas", "", "PX", MARK_KEPT_MS)
    exchange.payload += pack(mark) + pack(("WAIT", asked.number, to_ms(wait)))
    exchange.replies += 2
    exchange.blocks += wait
    return exchange


def _writes(op: Op[Any]) -> bool:
    """Tell whether a caller would miss it: a read that only notes that it was one is not worth a wait."""
    return op.script is not None and op.script.kind not in ("no-writes", "fallback")


def _longest_wait(op: Op[Any]) -> float:
    """Return a third of the lease that an op asks for, so that most of it is left when it is confirmed."""
    lease_ms = getattr(op, "given", {}).get("lease_ms")
    return lease_ms / 3000 if lease_ms else float("inf")


def _not_replicated(op: Op[Any], result: Any, have: int, asked: Replicas) -> NotReplicated:
    why = f"{op.name}: applied, but {have} of {asked.number} replicas confirmed it within {asked.timeout:g} s"
    return NotReplicated(why, result, have)
