"""What hooks cost: the same call without a hook, with one, and with the log at DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.harness import Case, Goal, Group
from redis_state import Engine, events
from redis_state.engine.op import command


class Dropped(logging.Handler):
    """A handler that formats nothing and writes nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        pass


def hooks(bench: Bench) -> Group:
    """The cheapest call there is, so that a hook shows most."""
    op = command(None, "PING", read=bytes)

    def with_hook(hook: events.Hook | None) -> Callable[[], object]:
        engine = bench.closing.enter_context(Engine.from_url(bench.url))
        if hook is not None:
            engine.on_event(hook)
        return lambda: engine.run(op)

    log = logging.getLogger("redis_state.engine")
    log.propagate = False
    log.addHandler(Dropped())

    def at_debug() -> object:
        log.setLevel(logging.DEBUG)
        try:
            return logged()
        finally:
            log.setLevel(logging.NOTSET)

    logged = with_hook(events.log)
    return Group(
        "Events: a PING",
        [
            Case("no hook", with_hook(None)),
            Case("a hook", with_hook(lambda event: None)),
            Case("the log at WARNING, as a hook", logged),
            Case("the log at DEBUG", at_debug),
        ],
        [Goal("a hook", "no hook", 1.15)],
    )


GROUPS = {"events": hooks}
