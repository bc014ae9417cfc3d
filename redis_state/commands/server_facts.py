"""Facts about a server, for the command line: read with plain commands, in one write where that can be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from redis_state.engine.op import Op, command
from redis_state.engine.registry import all_scripts
from redis_state.engine.server_check import evicts, read_memory, too_small
from redis_state.keys import BUILT_IN, Partition

if TYPE_CHECKING:
    from redis_state.engine.engine import Engine

MOST_KEYS = 10_000  # that are looked at for namespaces
PAGE = 1000
ROLES = {"master": "primary", "slave": "replica"}
# Column of the status, slot of `keys`, and the command that counts its entries ({}: those whose time is not over).
COUNTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "records": ("partition", ("ZCOUNT", "({now}", "+inf")),
    "values": ("values", ("ZCOUNT", "({now}", "+inf")),
    "held": ("leases", ("ZCOUNT", "({now}", "+inf")),
    "transfers": ("open", ("ZCARD",)),
    "completions": ("completions", ("ZCARD",)),
    "texts": ("lru", ("ZCARD",)),
    "died": ("dead", ("ZCARD",)),
}


def look(engine: Engine) -> dict[str, Any]:
    """Return what a server says about itself and holds. ``ServerUnavailable`` when it does not answer."""
    scripts = [script.sha for script in all_scripts()]
    ops: list[Op[Any]] = [
        command(None, "INFO", read=bytes),
        command(None, "TIME", read=lambda time: int(time[0]) * 1000 + int(time[1]) // 1000),
        command(None, "DBSIZE", read=int),
        command(None, "SCRIPT", "EXISTS", *scripts, read=sum),
    ]
    info, now, keys, loaded = engine.run_all(ops)
    said = _said(info)
    server = str(engine.settings.server)
    return {
        "reachable": True,
        "server": server,
        "version": _version(said),
        "role": ROLES.get(said.get("role", ""), "unknown"),
        "uptime_seconds": int(said.get("uptime_in_seconds", 0)),
        "clients": int(said.get("connected_clients", 0)),
        "memory": {
            "used": int(said.get("used_memory", 0)),
            "limit": int(said.get("maxmemory", 0)),
            "policy": said.get("maxmemory_policy", "unknown"),
            "evicted_keys": int(said.get("evicted_keys", 0)),
        },
        "scripts": {"loaded": loaded, "known": len(scripts)},
        "keys": keys,
        "prefix": engine.settings.prefix,
        "namespaces": _namespaces(engine, now),
        "warnings": _warnings(engine, info, said, server),
    }


def _said(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _version(said: dict[str, str]) -> str:
    if version := said.get("valkey_version"):
        return f"valkey {version}"
    return f"redis {said.get('redis_version', 'unknown')}"


def _warnings(engine: Engine, info: bytes, said: dict[str, str], server: str) -> list[str]:
    memory = read_memory(info)
    found = [evicts(memory, server)]
    if engine.settings.text_budget is not None:
        found.append(too_small(memory, server, engine.settings.text_budget))
    if int(said.get("evicted_keys", 0)):
        found.append(f"{server} has evicted {said['evicted_keys']} keys since it was started: state may be missing")
    if said.get("role") == "slave":
        found.append(f"{server} is a replica: it refuses writes, and what it says may be old")
    return [text for text in found if text is not None]


def _namespaces(engine: Engine, now: int) -> dict[str, dict[str, int]]:
    """Count what lies in each namespace; one that holds nothing is left out."""
    names = sorted(_found(engine) | BUILT_IN.keys())
    parts = [engine.keys(name).parts[0] for name in names]
    counts = iter(
        engine.run_all([_count(part, part.key(slot), words, now) for part in parts for slot, words in COUNTS.values()])
    )
    rows = {name: {title: next(counts) for title in COUNTS} for name in names}
    return {name: row for name, row in rows.items() if any(row.values())}


def _count(part: Partition, key: str, words: tuple[str, ...], now: int) -> Op[int]:
    verb, *rest = words
    return command(part, verb, key, *(word.format(now=now) for word in rest), read=int)


def _found(engine: Engine) -> set[str]:
    """Return the namespaces of the first keys that a scan finds; each partition of one counts as one."""
    start = f"{engine.settings.prefix}:{{"
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", start) + "*"
    names: set[str] = set()
    cursor = b"0"
    for _ in range(MOST_KEYS // PAGE):
        cursor, keys = engine.run(command(None, "SCAN", cursor, "MATCH", pattern, "COUNT", PAGE, read=tuple))
        names.update(key.decode(errors="replace").removeprefix(start).partition("}")[0] for key in keys)
        if cursor == b"0":
            break
    return {name for name in names if name and "{" not in name}
