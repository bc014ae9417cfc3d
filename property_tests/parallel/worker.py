"""A process that runs branches: it obeys ``Open`` and ``Play``.

It tells what it does while it does it, so that nothing is missing when it is killed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from time import monotonic, sleep
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from property_tests.parallel.clients import Client
from property_tests.parallel.generator import Step
from redis_state import Engine, OutcomeUnknown, ServerUnavailable
from redis_state.engine.op import Op, command

ASKING = 1.0  # seconds for which it is asked again what became of a call


@dataclass(frozen=True)
class Open:
    """Get ready for a program."""

    client: type[Client]
    name: str
    url: str  # of the server, or of what stands in front of it
    direct: str  # of the server itself
    settings: dict[str, Any]
    insists: bool = False  # on learning what became of calls without an answer


@dataclass(frozen=True)
class Play:
    """Do these steps, not before ``at``."""

    steps: tuple[Step, ...]
    at: float = 0.0


class Told(NamedTuple):
    """What a worker tells.

    "ready", "called", and then how that ended: "returned", "refused" (it proved that it changed nothing) or "unheard";
    "skipped", when a step needs what was not got before; "played", when all steps are done.
    """

    what: str
    at: float = 0.0
    value: Any = None


class Insistent(Engine):
    """An engine that asks what became of a call that had no answer."""

    def run(self, op: Op[Any]) -> Any:
        try:
            return super().run(op)
        except OutcomeUnknown as unknown:
            give_up = monotonic() + ASKING
            while monotonic() < give_up:
                sleep(0.02)
                with suppress(OutcomeUnknown, ServerUnavailable):
                    return self.resolve(unknown)
            raise


@cache
def plain_client(url: str) -> redis.Redis:
    """Return a client that tries once."""
    return redis.Redis.from_url(url, socket_timeout=5.0, retry=Retry(NoBackoff(), 0))


def work(line: Connection) -> None:
    """Obey until the line is cut."""
    line.send(os.getpid())
    engine: Engine | None = None
    while True:
        order = line.recv()
        if isinstance(order, Open):
            if engine is not None:
                engine.close()
            engine = (Insistent if order.insists else Engine).from_url(order.url, **order.settings)
            with suppress(ServerUnavailable):
                engine.run(command(None, "PING", read=bool))  # connects
            client = order.client(engine, plain_client(order.direct), order.name)
            line.send(Told("ready"))
        else:
            sleep(max(0.0, order.at - monotonic()))
            for step in order.steps:
                play(client, step, line)
            line.send(Told("played"))


def play(client: Client, step: Step, line: Connection) -> None:
    """Do a step, and tell of it."""
    if step.pause:
        sleep(step.pause)
    call = client.prepared(step.call)
    if call is None:
        line.send(Told("skipped"))
        return
    line.send(Told("called", monotonic(), call))
    what, said = client.perform(call)
    line.send(Told(what, monotonic(), said))
