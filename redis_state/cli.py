"""The command ``redis-state``: a table of subcommands, each in a module of its own.

Such a module has ``arguments(parser)``, which says what it takes, and ``main(given)``, which does it
and returns the exit code. Errors of this package end as one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING

from redis_state import __version__
from redis_state.errors import RedisStateError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {  # name: (module, what it is for)
    "status": ("redis_state.commands.status", "see what a server and its namespaces hold"),
    "demo": ("redis_state.demo.command", "see three containers share progress while one of them is killed"),
}
EXAMPLES = """\
examples:
  redis-state status                                what the server of REDIS_URL holds
  redis-state demo                                  with a private server of its own
  redis-state demo --url redis://localhost:6379/0   on your server; leaves no key behind
  redis-state demo --json | tail -1                 the verdict, for a script
"""
INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="redis-state",
        description="Shared state for applications that run in several containers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"redis-state {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
        implementation = importlib.import_module(module)
        implementation.arguments(command)
        command.set_defaults(main=implementation.main)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = build_parser().parse_args(words)
    try:
        return int(given.main(given))
    except RedisStateError as error:
        print(f"redis-state: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("redis-state: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as in `redis-state demo | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
