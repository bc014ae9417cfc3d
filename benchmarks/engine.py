"""What the engine costs, beside other ways to send the same script."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hiredis
import redis
from redis import asyncio as async_redis

from benchmarks.bench import Bench
from benchmarks.harness import Case, Goal, Group
from benchmarks.scripts import ADD, INCREMENT, KEYS, PUT
from redis_state import AsyncEngine, Op
from redis_state.mapping import operations as entries
from redis_state.progress import operations as progress
from redis_state.progress.records import RunOperations

COUNT = entries.COUNT.script
INDEX = KEYS.key("partition", "")
THREADS = 8
CALLS = 50  # of each thread or task, in one turn
BATCH = 100
OP_BUILD = 7.0  # times the lists alone: it checks what it is given, and knows what replies mean


def one_call(bench: Bench) -> Group:
    """One script that only reads, sent in seven ways.

    A read that a time-out bounds, whatever signals come, asks the kernel twice: what that takes stands beside it.
    """
    op = _count()
    script = bench.client.register_script(COUNT.text)
    client = bench.client
    connection: Any = redis.UnixDomainSocketConnection(path=bench.socket_path)  # type: ignore[abstract,no-untyped-call]
    bench.closing.callback(connection.disconnect)
    connection.connect()
    raw, bounded = (bench.closing.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
    for one in (raw, bounded):
        one.connect(bench.socket_path)
    bounded.settimeout(30.0)
    reader = hiredis.Reader()
    bench.engine.run(op)  # loads the script for all

    def through_connection() -> int:
        connection.send_command("EVALSHA", COUNT.sha, 1, INDEX)
        reply: Any = connection.read_response()
        return int(reply[1])

    def through_socket(one: socket.socket) -> int:
        one.sendall(hiredis.pack_command(("EVALSHA", COUNT.sha, 1, INDEX)))  # type: ignore[arg-type]
        while True:
            reader.feed(one.recv(65536))
            reply: Any = reader.gets()
            if reply is not False:
                return int(reply[1])

    return Group(
        "One call of a script that only reads (index/count)",
        [
            Case("bare Connection", through_connection),
            Case("raw socket + hiredis", lambda: through_socket(raw)),
            Case("the same, with a time-out", lambda: through_socket(bounded)),
            Case("engine.run", lambda: bench.engine.run(op)),
            Case("engine.run, op made anew", lambda: bench.engine.run(_count())),
            Case("client.evalsha", lambda: _second(client.evalsha(COUNT.sha, 1, INDEX))),
            Case("redis-py Script", lambda: _second(script(keys=[INDEX]))),
        ],
        [Goal("engine.run", "bare Connection", 1.5), Goal("engine.run", "redis-py Script", 0.6)],
    )


def op_build(_: Bench) -> Group:
    """An op is built and not sent, beside the lists that it is made of, put together by hand."""
    runs = RunOperations(KEYS, 7200.0)
    head = KEYS.of("track-7").head

    def by_hand() -> object:
        name = "track-7"
        keys = [head + "r:" + name, head + "index", head + "b:" + name, head + "n:" + name, head + "completions"]
        return keys, (name, "", 5, 30_000)

    return Group(
        "Building one op (progress/mark), which is not sent",
        [Case("its keys and arguments, by hand", by_hand), Case("mark", lambda: progress.mark(runs, "track-7", 5))],
        [Goal("mark", "its keys and arguments, by hand", OP_BUILD)],
    )


def threads(bench: Bench) -> Group:
    """Eight threads of one process, each with its own calls."""
    op = _count()
    pool = bench.closing.enter_context(ThreadPoolExecutor(THREADS))
    client = bench.client

    def crowd(call: Callable[[], object]) -> Callable[[], object]:
        def worker(_: int) -> None:
            for _ in range(CALLS):
                call()

        return lambda: list(pool.map(worker, range(THREADS)))

    ops = THREADS * CALLS
    return Group(
        f"The same call from {THREADS} threads; time per call of them all",
        [
            Case("redis-py pooled client", crowd(lambda: _second(client.evalsha(COUNT.sha, 1, INDEX))), ops),
            Case("engine.run", crowd(lambda: bench.engine.run(op)), ops),
        ],
        [Goal("engine.run", "redis-py pooled client", 0.5)],
    )


def awaited(bench: Bench) -> Group:
    """The same call on asyncio, one after the other and fifty at once."""
    op = _count()
    loop = asyncio.new_event_loop()
    engine = AsyncEngine.from_url(bench.url)
    client = async_redis.Redis(unix_socket_path=bench.socket_path)

    async def close() -> None:
        await engine.close()
        await client.aclose()

    bench.closing.callback(loop.close)
    bench.closing.callback(lambda: loop.run_until_complete(close()))

    def in_turn(call: Callable[[], Awaitable[object]]) -> Callable[[], object]:
        async def turn() -> None:
            for _ in range(CALLS):
                await call()

        return lambda: loop.run_until_complete(turn())

    def at_once(call: Callable[[], Awaitable[object]]) -> Callable[[], object]:
        async def turn() -> None:
            await asyncio.gather(*(call() for _ in range(CALLS)))

        return lambda: loop.run_until_complete(turn())

    async def ours() -> int:
        return await engine.run(op)

    async def theirs() -> int:
        reply: Any = await client.evalsha(COUNT.sha, 1, INDEX)
        return int(reply[1])

    return Group(
        f"The same call on asyncio, one at a time and {CALLS} at once",
        [
            Case("redis.asyncio, one at a time", in_turn(theirs), CALLS),
            Case("AsyncEngine.run, one at a time", in_turn(ours), CALLS),
            Case(f"redis.asyncio, {CALLS} at once", at_once(theirs), CALLS),
            Case(f"AsyncEngine.run, {CALLS} at once", at_once(ours), CALLS),
        ],
    )


def deduplication(bench: Bench) -> Group:
    """The cost of deduplication: a call that is sent again acts once."""
    cases: list[Case] = []
    goals: list[Goal] = []
    for pair in (INCREMENT, PUT, ADD):
        plain, sure = pair.op(pair.plain), pair.op(pair.deduplicated)
        cases.append(Case(f"{pair.name}, plain", lambda op=plain: bench.engine.run(op)))  # type: ignore[misc]
        cases.append(Case(f"{pair.name}, deduplicated", lambda op=sure: bench.engine.run(op)))  # type: ignore[misc]
        goals.append(Goal(f"{pair.name}, deduplicated", f"{pair.name}, plain", 1.3))
    return Group("A script declared `deduplicated` beside the same text declared `idempotent`", cases, goals)


def batch_of_reads(bench: Bench) -> Group:
    """A hundred calls that only read."""
    ops = [_count() for _ in range(BATCH)]
    script = bench.client.register_script(COUNT.text)

    def pipeline() -> object:
        with bench.client.pipeline(transaction=False) as pipe:
            for _ in range(BATCH):
                script(keys=[INDEX], client=pipe)
            return [int(reply[1]) for reply in pipe.execute()]

    return _batch(bench, "index/count, which only reads", ops, pipeline)


def batch_of_writes(bench: Bench) -> Group:
    """A hundred calls that write, each exactly once; the pipeline sends the same text without that."""
    ops = [INCREMENT.op(INCREMENT.deduplicated) for _ in range(BATCH)]
    script = bench.client.register_script(INCREMENT.plain.text)
    plain = INCREMENT.op(INCREMENT.plain)

    def pipeline() -> object:
        with bench.client.pipeline(transaction=False) as pipe:
            for _ in range(BATCH):
                script(keys=plain.keys, args=plain.args, client=pipe)
            return [int(reply[1]) for reply in pipe.execute()]

    return _batch(bench, "record/increment, which writes", ops, pipeline)


def _batch(bench: Bench, what: str, ops: Sequence[Op[Any]], pipeline: Callable[[], object]) -> Group:
    engine = bench.engine
    single, together, theirs = f"{BATCH} x engine.run", f"one batch of {BATCH}", "redis-py pipeline of Script"
    return Group(
        f"{BATCH} calls of {what}; time per call",
        [
            Case(single, lambda: [engine.run(op) for op in ops], BATCH),
            Case(together, lambda: engine.run_all(ops), BATCH),
            Case(theirs, pipeline, BATCH),
        ],
        [Goal(together, single, 0.25), Goal(together, theirs, 1.0)],
    )


def _count() -> Op[int]:
    return entries.COUNT(KEYS)


def _second(reply: Any) -> int:
    return int(reply[1])


GROUPS: dict[str, Callable[[Bench], Group]] = {
    "call": one_call,
    "op-build": op_build,
    "threads": threads,
    "asyncio": awaited,
    "deduplication": deduplication,
    "batch-reads": batch_of_reads,
    "batch-writes": batch_of_writes,
}
