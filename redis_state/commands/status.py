"""``redis-state status``: what a server and its namespaces hold, on one screen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from redis_state.commands.frame import FAILED, OK, WARNED, add_options, engine_of, print_json
from redis_state.errors import ServerUnavailable

if TYPE_CHECKING:
    import argparse

ABOUT = """\
Ask a server who it is, how much memory it has left, which scripts it keeps, and what lies in each namespace:
records, values, locks and claims that are held, open transfers, completions not confirmed, cached texts. Changes
nothing. A handful of round trips; namespaces are looked for in the first 10,000 keys.
"""
EXAMPLES = """\
  redis-state status                                the server of REDIS_URL or REDIS_HOST
  redis-state status --url redis://localhost:6379/0
  redis-state status --prefix staging               another application on the same server
  redis-state status --json | jq .namespaces        for a script
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_options(parser, ABOUT, EXAMPLES)


def main(given: argparse.Namespace) -> int:
    """Print the status; return 1 when there are warnings, 2 when no server answers."""
    from redis_state.commands.server_facts import look

    with engine_of(given) as engine:
        try:
            facts = look(engine)
        except ServerUnavailable as error:
            if not given.json:
                raise
            print_json({"reachable": False, "server": str(engine.settings.server), "error": str(error)})
            return FAILED
    if given.json:
        print_json(facts)
    else:
        print(shown(facts))
        for warning in facts["warnings"]:
            print(f"warning: {warning}", file=sys.stderr)
    return WARNED if facts["warnings"] else OK


def shown(facts: dict[str, Any]) -> str:
    """Return the facts as a screen of text."""
    memory, scripts = facts["memory"], facts["scripts"]
    up = _time(facts["uptime_seconds"])
    limit = f"of {_size(memory['limit'])}" if memory["limit"] else "without a limit"
    lines = [
        f"server   {facts['server']}",
        f"version  {facts['version']}, {facts['role']}, up {up}, {facts['clients']} clients",
        f"memory   {_size(memory['used'])} {limit}, maxmemory-policy {memory['policy']}",
        f"scripts  {scripts['loaded']} of {scripts['known']} loaded",
        f"keys     {facts['keys']:,} in this database, prefix {facts['prefix']}",
    ]
    return "\n".join([*lines, "", *_table(facts["namespaces"])])


def _table(namespaces: dict[str, dict[str, int]]) -> list[str]:
    if not namespaces:
        return ["no namespace holds anything"]
    titles = [title for title in next(iter(namespaces.values())) if any(row[title] for row in namespaces.values())]
    widest = max(len("namespace"), *map(len, namespaces))
    lines = [f"{'namespace':{widest}}  " + "  ".join(f"{title:>11}" for title in titles)]
    for name, row in namespaces.items():
        lines.append(f"{name:{widest}}  " + "  ".join(f"{row[title]:>11,}" for title in titles))
    return lines


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.3g} {unit}"


def _time(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
