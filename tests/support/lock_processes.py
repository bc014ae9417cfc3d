"""Processes that want the same lock, each started as ``python tests/support/lock_processes.py <what> <arguments>``.

Each writes what it sees to a file, a line at a time, so that nothing is missing when it is killed. Times are of the
machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from redis_state import AlreadyClaimed, AlreadyDone, Engine, LockLost, Locks, RecordMapping, StaleToken
from redis_state.state import RedisConversionState

NAMESPACE = "lockers"


class Log:
    """Lines of JSON, each written at once."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, **event: Any) -> None:
        os.write(self._file, json.dumps({**event, "pid": os.getpid()}).encode() + b"\n")


def events(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def believing(lost: Any, log: Log, fence: int, seconds: float, **facts: Any) -> None:
    """Do something for a while, as long as the lease is ours; write down from when to when we believed so."""
    started = time.monotonic()
    if lost.is_set():
        return
    log(event="enter", fence=fence, at=started, **facts)
    last = started
    while time.monotonic() - started < seconds:
        now = time.monotonic()
        if lost.is_set():
            break
        last = now
        time.sleep(0.001)
    log(event="leave", fence=fence, at=last, began=started, **facts)


def work(url: str, prefix: str, log_path: str, stop: str, lease: str) -> None:
    """Take the lock again and again, and write through its fence."""
    log, dice = Log(log_path), random.Random()
    with Engine.from_url(url, prefix=prefix) as engine:
        records = RecordMapping(NAMESPACE, ttl=600, engine=engine)
        lock = Locks(NAMESPACE, engine, str(os.getpid())).lock("a", lease=float(lease))
        log(event="ready")
        while not Path(stop).exists():
            held = lock.acquire(timeout=1.0)
            if held is None:
                continue
            believing(held.lost, log, held.fence, dice.uniform(0.0, 0.06))
            try:
                log(event="write", fence=held.fence, count=records.increment("a", "n", fence=held))
            except StaleToken as error:
                log(event="stale", fence=error.token, newest=error.newest)
            try:
                held.release()
            except LockLost:
                log(event="lost", fence=held.fence)


def claim(url: str, prefix: str, log_path: str, ids: str, lease: str) -> None:
    """Claim conversions in random order until all are done."""
    log, dice = Log(log_path), random.Random()
    left = [f"c{number}" for number in range(int(ids))]
    dice.shuffle(left)
    with Engine.from_url(url, prefix=prefix) as engine:
        state = RedisConversionState(str(os.getpid()), engine)
        while left:
            name = left.pop()
            try:
                with state.claim(name, lease=float(lease), max_attempts=1000) as claim:
                    believing(claim.lost, log, claim.fence, dice.uniform(0.0, 0.01), id=name, attempt=claim.attempt)
            except AlreadyClaimed as error:
                left.insert(dice.randrange(len(left) + 1), name)
                if len(left) == 1:
                    time.sleep(min(0.05, error.remaining))
            except AlreadyDone:
                log(event="done", id=name)
            except (StaleToken, LockLost):
                log(event="lost", id=name)
                left.insert(0, name)


def contend(url: str, prefix: str, processes: str, turns: str, hold: str) -> None:
    """Fork processes that take the lock so many times each; print what it cost the server, and how long they waited."""
    count = int(processes)
    cell = struct.Struct("qd")  # acquisitions, longest wait
    shared = mmap.mmap(-1, cell.size * count + 1)  # the last byte: go
    children = [
        _fork(lambda place=place: _contend(url, prefix, int(turns), float(hold), shared, cell, place))
        for place in range(count)
    ]
    client = redis.Redis.from_url(url)

    def commands() -> int:
        stats: dict[str, Any] = client.info("commandstats")  # type: ignore[assignment]
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "blpop"))

    while any(cell.unpack_from(shared, cell.size * place)[0] < 1 for place in range(count)):
        time.sleep(0.01)
    before, began = commands(), time.monotonic()
    shared[-1] = 1
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    took, spent = time.monotonic() - began, commands() - before
    acquired = count * int(turns)
    longest = max(cell.unpack_from(shared, cell.size * place)[1] for place in range(count))
    print(json.dumps({"commands": spent / acquired, "fair": took / int(turns), "longest": longest}))


def _contend(
    url: str, prefix: str, turns: int, hold: float, shared: mmap.mmap, cell: struct.Struct, place: int
) -> None:
    lock = Locks(NAMESPACE, Engine.from_url(url, prefix=prefix)).lock("a")
    with lock:
        pass
    cell.pack_into(shared, cell.size * place, 1, 0.0)
    while not shared[-1]:
        time.sleep(0.001)
    longest = 0.0
    for _ in range(turns):
        began = time.monotonic()
        with lock:
            longest = max(longest, time.monotonic() - began)
            time.sleep(hold)
    cell.pack_into(shared, cell.size * place, 2, longest)
    os._exit(0)


def _fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        body()
    finally:
        os._exit(1)


def wait(url: str, prefix: str, log_path: str) -> None:
    """Wait for the lock once, and hold it for ever."""
    log = Log(log_path)
    with Engine.from_url(url, prefix=prefix) as engine:
        held = Locks(NAMESPACE, engine, str(os.getpid())).lock("a").acquire()
        assert held is not None
        log(event="held", fence=held.fence, at=time.monotonic())
        time.sleep(600)


def fork(url: str, prefix: str) -> None:
    """Hold a lock and a claim, fork, and print what the child may do with them."""
    engine = Engine.from_url(url, prefix=prefix)
    locks, state = Locks(NAMESPACE, engine, "parent"), RedisConversionState("parent", engine)
    held, claim = locks.lock("a", lease=2.0).acquire(), state.claim("k", lease=2.0)
    assert held is not None
    child = os.fork()
    if not child:
        said: dict[str, Any] = {"lost": held.lost.is_set(), "remaining": held.remaining()}
        for name, act in {
            "check": held.check,
            "release": held.release,
            "renew": held.renew,
            "finish": claim.finish,
            "fail": lambda: claim.fail("child"),
            "update": lambda: claim.update({"by": "child"}),
        }.items():
            try:
                act()
                said[name] = "done"
            except LockLost as error:
                said[name] = error.why
        mine = locks.lock("b", lease=0.6).acquire(timeout=1)  # its own works, and is renewed
        time.sleep(1.5)
        said["own"] = mine is not None and not mine.lost.is_set()
        print(json.dumps(said), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(1.0)
    held.check()
    claim.check()
    held.release()
    claim.finish()
    print(json.dumps({"record": dict(state.active_conversions["k"])}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
