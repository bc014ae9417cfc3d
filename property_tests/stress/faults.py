"""What goes wrong, and when. The seed decides it all, before a round begins."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy import Proxy
from servers import Server

from property_tests.stress.crew import Crew

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
PAUSES = {"outside": 0.7, "inside": 0.5}  # seconds between two of a kind, on average


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something goes wrong, or (``over``) is mended."""

    at: float  # seconds after the round began
    kind: str
    over: bool = False
    place: int = 0  # of the process


def planned(seed: str, seconds: float, processes: int) -> list[Fault]:
    """Decide what goes wrong in a round. On the server's side one after the other, and beside that to processes."""
    found: list[Fault] = []
    for kinds, pause in ((OUTSIDE, PAUSES["outside"]), (INSIDE, PAUSES["inside"])):
        chance = random.Random(f"{seed} {list(kinds)}")
        at = chance.expovariate(1 / pause)
        while at < seconds:
            kind = chance.choices(list(kinds), [weight for weight, _ in kinds.values()])[0]
            place, lasts = chance.randrange(processes), chance.uniform(*kinds[kind][1])
            found += [Fault(at, kind, False, place), Fault(at + lasts, kind, True, place)]
            at += lasts + chance.expovariate(1 / pause)
    return sorted(found)


class Storm:
    """Lets it happen."""

    def __init__(self, server: Server, proxy: Proxy, crew: Crew, *, loses_data: bool) -> None:
        self._server, self._proxy, self._crew = server, proxy, crew
        self._loses_data = loses_data
        self.happened: Counter[str] = Counter()

    def rage(self, plan: list[Fault], tell: Callable[[float], None]) -> None:
        """Follow the plan to its end; ``tell`` is called now and then with the seconds since it began."""
        began = time.monotonic()
        self._usual()
        for fault in plan:
            if self._crew.failed() and not fault.over:
                continue
            while (left := began + fault.at - time.monotonic()) > 0:
                tell(time.monotonic() - began)
                time.sleep(min(left, 0.25))
            self._mend(fault) if fault.over else self._break(fault)

    def calm(self) -> None:
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
            "process killed": lambda: self._crew.kill(fault.place),
            "process stopped": lambda: self._crew.stop(fault.place),
        }
        happen[fault.kind]()

    def _mend(self, fault: Fault) -> None:
        if fault.kind == "server stopped":
            self._server.resume()
        elif fault.kind == "server crashed":
            self._server.restart(keep_data=not self._loses_data)
        elif fault.kind == "process stopped":
            self._crew.resume(fault.place)
        elif fault.kind in OUTSIDE:
            self.calm()
            self._usual()

    def _forget_scripts(self) -> None:
        with self._server.client() as client:
            client.script_flush()
