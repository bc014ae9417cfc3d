"""Whether a server keeps what it is given. Pure.

State must not be evicted, and all of it has a time to live: so no policy but ``noeviction`` will do,
``volatile-*`` included. And the text cache's budget must fit below ``maxmemory`` with room for the rest.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from redis_state.errors import UnsafeServer

HEADROOM = 1.1  # what is accounted is within 10 % of what is used
REST = 32 << 20  # bytes for state, connections and the server itself


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server says about its memory."""

    allocator: str = "jemalloc"  # | "libc": how it rounds what it is asked for
    maxmemory: int = 0  # bytes; 0: no limit
    policy: str = "noeviction"


def read_memory(info: Any) -> Memory:
    """Read the reply to ``INFO memory``. What a server does not say, or not to us, is taken to be well."""
    if not isinstance(info, bytes):
        return Memory()
    lines = info.decode(errors="replace").splitlines()
    said = dict(line.partition(":")[::2] for line in lines)
    return Memory(
        allocator="jemalloc" if said.get("mem_allocator", "jemalloc").startswith("jemalloc") else "libc",
        maxmemory=int(said.get("maxmemory", 0)),
        policy=said.get("maxmemory_policy", "noeviction"),
    )


def evicts(memory: Memory, server: str) -> str | None:
    """Say what is wrong with the policy, and what to do; None when nothing is."""
    if memory.policy == "noeviction":
        return None
    return (
        f"{server} has maxmemory-policy {memory.policy}: at its memory limit it throws away locks, progress and "
        "uploads. Set maxmemory-policy noeviction (CONFIG SET, redis.conf or the server's command line); "
        "the text cache keeps its own budget"
    )


def too_small(memory: Memory, server: str, budget: int) -> str | None:
    """Say that a budget does not fit, and what to do; None when it does."""
    needed = int(budget * HEADROOM) + REST
    if not memory.maxmemory or memory.maxmemory >= needed:
        return None
    return (
        f"{server} has maxmemory {memory.maxmemory}, and the text cache's budget of {budget} bytes needs {needed}: "
        f"raise maxmemory, or set REDIS_STATE_TEXT_BUDGET to {max(0, int((memory.maxmemory - REST) / HEADROOM))}"
    )


def enforce(fault: str | None, how: str) -> None:
    """Raise ``UnsafeServer``, warn or say nothing, as the setting ``unsafe_server`` wants it."""
    if fault is None or how == "ignore":
        return
    text = f"{fault} (REDIS_STATE_UNSAFE_SERVER=error|warn|ignore)"
    if how == "error":
        raise UnsafeServer(text)
    warnings.warn(text, RuntimeWarning, stacklevel=2)
