"""Frame of a subcommand: the options that all have, the engine that they give, and the exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from redis_state.engine.engine import Engine

OK, WARNED, FAILED = 0, 1, 2
EXIT_CODES = "exit code: 0 all is well, 1 there are warnings, 2 the server cannot be asked, 130 interrupted"


def add_options(parser: argparse.ArgumentParser, about: str, examples: str) -> None:
    """Give a subcommand its help, and the options that all have."""
    parser.description, parser.epilog = about, f"examples:\n{examples}\n{EXIT_CODES}\n"
    parser.add_argument(
        "--url",
        help="the server: redis://, rediss://, unix://, embedded:// (default: REDIS_URL, or REDIS_HOST and its "
        "companions); a password belongs in the environment, since others can read a command line",
    )
    parser.add_argument(
        "--prefix", help="what all keys begin with (default: REDIS_STATE_PREFIX if that is set, else rs)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else, on stdout")


def engine_of(given: argparse.Namespace) -> Engine:
    """Make the engine that the options name. A server that evicts is looked at all the same."""
    from redis_state.config import Settings
    from redis_state.engine.engine import Engine

    changes: dict[str, Any] = {"unsafe_server": "ignore"}
    if given.prefix is not None:
        changes["prefix"] = given.prefix
    return Engine(Settings.from_env().with_changes(url=given.url, **changes))


def print_json(facts: dict[str, Any]) -> None:
    """Print facts as one JSON object."""
    print(json.dumps(facts, indent=2, ensure_ascii=False))
