"""What was seen while a program ran: as a history to be judged, and as a time line to be read."""

from __future__ import annotations

from itertools import chain
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from property_tests.models import Call
from property_tests.parallel.linearize import Event
from property_tests.parallel.trace import drawn

if TYPE_CHECKING:
    from property_tests.parallel.clients import Client
    from property_tests.parallel.worker import Told

SERVER = "server"


class Attempt(NamedTuple):
    """A call, and how it ended: returned, refused, unheard, or died with its worker."""

    who: str
    call: Call
    start: float
    end: float
    how: str
    said: Any = None


class Row(NamedTuple):
    """A line of the trace."""

    at: float
    who: str
    text: str


class History:
    """Filled while a program runs."""

    def __init__(self, client: type[Client], *, copies: bool) -> None:
        self._client = client
        self._copies = copies  # whether a call may be sent more than once
        self._attempts: list[Attempt] = []
        self._called: dict[str, tuple[Call, float]] = {}
        self._wipes: list[tuple[float, float]] = []
        self.rows: list[Row] = []

    # --- being filled -----------------------------------------------------------------------------

    def tell(self, who: str, told: Told) -> None:
        """Write down what a worker told."""
        if told.what == "called":
            self._called[who] = told.value, told.at
            self.rows.append(Row(told.at, who, f"┌ {told.value!r}"))
        elif told.what != "skipped":
            self._ended(who, told.what, told.at, told.value)

    def died(self, who: str) -> None:
        """Write down that a worker is gone."""
        if who in self._called:
            self._ended(who, "died", monotonic())
        else:
            self.rows.append(Row(monotonic(), who, "died"))

    def note(self, text: str) -> None:
        """Write down a fault."""
        self.rows.append(Row(monotonic(), SERVER, text))

    def wiped(self, start: float, end: float) -> None:
        """Write down that all data was lost between these times."""
        self._wipes.append((start, end))
        self.rows.append(Row(end, SERVER, "all data is lost"))

    def _ended(self, who: str, how: str, at: float, said: Any = None) -> None:
        call, start = self._called.pop(who)
        self._attempts.append(Attempt(who, call, start, at, how, said))
        self.rows.append(Row(at, who, f"└ {said!r}" if how == "returned" else f"└ {how}"))

    # --- being judged -----------------------------------------------------------------------------

    def events(self) -> list[Event]:
        """Return the history, in the order of starting."""
        open_ends = [Attempt(who, *called, inf, "unheard") for who, called in self._called.items()]
        attempts = [*self._attempts, *open_ends]
        wipes = [Event(SERVER, Call("wipe"), start, end, None) for start, end in self._wipes]
        return sorted(
            chain(wipes, *map(self._happened, attempts), *map(self._before_a_wipe, attempts)),
            key=lambda event: event.start,
        )

    def _happened(self, attempt: Attempt) -> list[Event]:
        """Return what an attempt means."""
        who, call, start, end, how, said = attempt
        read = self._client.uses.get(call.verb) if self._copies else None
        events = []
        if how == "returned":
            events.append(Event(who, Call(read, call.args) if read else call, start, end, said))
        # Of copies of such a read the first counts, once or never, and perhaps late; the others only read.
        if how in ("unheard", "died") or read:
            events.append(Event(who, call, start, certain=False))
        if how == "unheard" and call.verb in self._client.gives_back:
            events.append(Event(who, Call("leave", call.args), start, certain=False))
        return events

    def _before_a_wipe(self, attempt: Attempt) -> list[Event]:
        """Return the copies that a call may have left in data that was then lost, with all memory of them."""
        who, call, start, end, *_ = attempt
        return [
            Event(who, call, start, wiped, certain=False)
            for wipe, wiped in self._wipes
            if start < wiped and wipe < end and self._copies
        ]

    def __str__(self) -> str:
        return drawn(self.rows)
