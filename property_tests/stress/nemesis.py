"""What goes wrong, and when. The seed decides it all, before a round begins."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from property_tests.stress.processes import Processes
from tests.support.clock import SteppedServer
from tests.support.proxy import Proxy
from tests.support.servers import Server

LOST_REPLIES = 0.02  # of all, all the time
LOST_REQUESTS = 0.01

# kind: how likely, and how many seconds it lasts
OUTSIDE = {
    "connections cut": (3, (0.0, 0.0)),
    "most replies lost": (2, (0.2, 1.5)),
    "requests held back": (5, (1.2, 2.8)),  # longer than a time-out: released, they come behind their repetition
    "connections refused": (2, (0.1, 1.5)),
    "silence": (2, (0.2, 4.5)),  # longer than a call's deadline, at times
    "server stopped": (2, (0.1, 2.0)),
    "server crashed": (4, (0.0, 1.0)),
    "scripts forgotten": (3, (0.0, 0.0)),
}
INSIDE = {"process killed": (2, (0.0, 0.0)), "process stopped": (3, (0.1, 2.5))}  # longer than a lease, at times
CLOCK = {
    "clock put forward": (2, (0.0, 0.0)),
    "clock put back": (3, (0.0, 0.0)),
    "clock put forward behind lost replies": (1, (0.5, 1.5)),  # so far that nothing remembers those calls
}
STEPS = (2, 30, 300, 1200)  # seconds, at most
LONG = 1200.0
# A call may act twice when the clock is put far ahead, until its record is gone, and back before its deadline, as
# docs/exactly-once says. So behind a large step forward only small ones come back, until calls from before are over.
FAR, SMALL, APART = 200.0, 30.0, 6.0  # seconds; the last one longer than a call's deadline and a time-out
PAUSES = {"outside": 0.7, "inside": 0.5, "clock": 1.0}  # seconds between two of a kind, on average


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something goes wrong, or (``over``) is mended."""

    at: float  # seconds after the round began
    kind: str
    over: bool = False
    place: int = 0  # of the process
    by: float = 0.0  # seconds of a step of the clock


@dataclass(frozen=True, slots=True)
class Step:
    """The server's clock was put forward by so many seconds, or back, between these two times."""

    began: float
    ended: float
    by: float


def planned(seed: str, seconds: float, processes: int, *, clock_steps: bool = False) -> list[Fault]:
    """Decide what goes wrong in a round: on the server's side one after the other, and beside that to processes.

    ``clock_steps``: and to the server's clock.
    """
    found: list[Fault] = []
    tracks = [(OUTSIDE, PAUSES["outside"]), (INSIDE, PAUSES["inside"])]
    for kinds, pause in [*tracks, (CLOCK, PAUSES["clock"])] if clock_steps else tracks:
        chance = random.Random(f"{seed} {list(kinds)}")
        at, far_until = chance.expovariate(1 / pause), 0.0
        while at < seconds:
            kind = chance.choices(list(kinds), [weight for weight, _ in kinds.values()])[0]
            place, lasts = chance.randrange(processes), chance.uniform(*kinds[kind][1])
            by = chance.uniform(0.8, 1.0) * (LONG if lasts else chance.choice(STEPS))
            if kind == "clock put back":
                by = -min(by, SMALL if at < far_until else by)
            elif kinds is CLOCK and by > FAR:
                far_until = at + lasts + APART
            found += [Fault(at, kind, False, place, by), Fault(at + lasts, kind, True, place, by)]
            at += lasts + chance.expovariate(1 / pause)
    return sorted(found)


class Nemesis:
    """Nemesis of one round: carries out the plan."""

    def __init__(self, server: Server, proxy: Proxy, processes: Processes, *, loses_data: bool) -> None:
        self._server, self._proxy, self._processes = server, proxy, processes
        self._loses_data = loses_data
        self.happened: Counter[str] = Counter()
        self.steps: list[Step] = []

    def follow(self, plan: list[Fault], tell: Callable[[float], None]) -> None:
        """Follow the plan to its end; ``tell`` is called now and then with the seconds since it began."""
        began = time.monotonic()
        self._usual()
        for fault in plan:
            if self._processes.failed() and not fault.over:
                continue
            while (left := began + fault.at - time.monotonic()) > 0:
                tell(time.monotonic() - began)
                time.sleep(min(left, 0.25))
            self._mend(fault) if fault.over else self._break(fault)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._proxy.clear()
        self._proxy.release()

    def _usual(self) -> None:
        self._proxy.drop_replies(LOST_REPLIES, seed=1)
        self._proxy.drop_requests(LOST_REQUESTS, seed=2)

    def _break(self, fault: Fault) -> None:
        self.happened[fault.kind] += 1
        happen: dict[str, Callable[[], Any]] = {
            "connections cut": self._proxy.reset_all,
            "most replies lost": lambda: self._proxy.drop_replies(0.6, seed=3),
            "requests held back": lambda: self._proxy.hold_next(6),
            "connections refused": lambda: (self._proxy.refuse(), self._proxy.reset_all()),
            "silence": self._proxy.blackhole,
            "server stopped": self._server.pause,
            "server crashed": self._server.kill,
            "scripts forgotten": self._forget_scripts,
            "clock put forward": lambda: self._step(fault.by),
            "clock put back": lambda: self._step(fault.by),
            "clock put forward behind lost replies": lambda: self._proxy.drop_replies(1.0),
            "process killed": lambda: self._processes.kill(fault.place),
            "process stopped": lambda: self._processes.stop(fault.place),
        }
        happen[fault.kind]()

    def _mend(self, fault: Fault) -> None:
        if fault.kind == "server stopped":
            self._server.resume()
        elif fault.kind == "server crashed":
            self._server.restart(keep_data=not self._loses_data)
        elif fault.kind == "process stopped":
            self._processes.resume(fault.place)
        elif fault.kind == "clock put forward behind lost replies":
            self._step(fault.by)
            self.heal()
            self._usual()
        elif fault.kind in OUTSIDE:
            self.heal()
            self._usual()

    def _step(self, by: float) -> None:
        assert isinstance(self._server, SteppedServer), "the clock of this server cannot be stepped"
        began = time.monotonic()
        self._server.step(by)
        self.steps.append(Step(began, time.monotonic(), by))

    def _forget_scripts(self) -> None:
        with self._server.client() as client:
            client.script_flush()
