"""Progress counts a set, whatever is marked in whatever order; completion is held by at most one, until confirmed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.machines.machine import TTL, Machine, Snapshot, everywhere, run
from property_tests.machines.server_snapshot import near, numbers_of
from property_tests.models.base import Table
from property_tests.models.progress import Progress as Model
from property_tests.models.progress import Told
from redis_state import BegunAnew
from redis_state.state import Progress, RedisProgressState

LEASE = 200.0
tracks = st.sampled_from(["t", "{u}:v"])
totals = st.integers(1, 9)
segments = st.integers(-1, 9)
whose = st.sampled_from([0, 1])


class Runs(Machine):
    """Two runs, counted by two containers, each of which knows the run, and the completion, that it saw last."""

    indexed = "r"
    companions = "bn"

    def start(self) -> None:
        self.states = [RedisProgressState(name, self.engine, TTL, LEASE) for name in ("c1", "c2")]
        self.other = RedisProgressState("c3", self.observer, TTL, LEASE)
        self.model = Model()
        self.offered: dict[str, float] = {}  # how many seconds ago a completion was given to somebody
        self.owners: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.numbers = count(1)
        self.generations: dict[str, int] = {}
        self.completions: dict[str, int] = {}
        self.saw: dict[tuple[int, str], int] = {}
        self.given: dict[tuple[int, str], int] = {}

    def stock(self) -> None:
        if "t" not in self.model.runs:
            self.begin_one("t", 4, 0, restart=False)

    def older(self, seconds: float) -> None:
        for track in self.expired(seconds):
            self.model = self.model.remove(True, track)
        for track in self.model.leases:
            self.model = self.model.expire(None, track)
        self.offered = {track: ago + seconds for track, ago in self.offered.items()}
        if not Snapshot(self.client).of("completions"):  # completions are on offer for as long as a run lives
            assert not self.model.leases.keys() & self.model.runs.keys()
            self.model = Model(self.model.runs)

    def is_late(self, who: int, track: str) -> bool:
        """Tell whether a container means an earlier run."""
        saw = self.saw.get((who, track))
        return track in self.model.runs and saw is not None and saw != self.generations[track]

    def sees(self, who: int, track: str) -> None:
        if self.saw.get((who, track)) != self.generations[track]:
            self.given.pop((who, track), None)
        self.saw[who, track] = self.generations[track]

    def counts(self, who: int, verb: str, track: str, *args: Any, act: Callable[[], Progress]) -> None:
        """Do the same to both, unless it is late: that is refused."""
        if self.is_late(who, track):
            with self.refused(BegunAnew):
                act()
        else:
            self.told(who, verb, (track, *args), act)

    def told(self, who: int, verb: str, args: tuple[Any, ...], act: Callable[[], Progress | None]) -> Any:
        """Do the same to both, and note whose completion it is now."""

        def plain() -> Told | None:
            found = act()
            return found and Told(found.processed, found.total, found.status, found.completed_now)

        said = self.same(verb, args, plain)
        if isinstance(said, Told) and verb != "begin":
            self.sees(who, args[0])
        if isinstance(said, Told) and said.completed_now:
            self.offered[args[0]] = 0.0
            if verb != "claim":
                self.completions[args[0]] = next(self.numbers)
            self.given[who, args[0]] = self.completions[args[0]]
        return said

    @rule(track=tracks, total=totals, who=whose, restart=st.booleans())
    def begin_one(self, track: str, total: int, who: int, restart: bool) -> None:
        new, state = track not in self.model.runs, self.states[who]
        said = self.told(who, "begin", (track, total, restart), lambda: state.begin(track, total, restart=restart))
        self.refusing = not new and not restart
        if new or restart:
            self.generations[track] = next(self.numbers)
        if isinstance(said, Told):
            self.sees(who, track)
        if isinstance(said, Told) and new:
            self.owners[track] = f"c{who + 1}"
            self.titles.pop(track, None)

    @rule(track=tracks, segment=segments, who=whose)
    def mark(self, track: str, segment: int, who: int) -> None:
        run = self.model.runs.get(track)
        if run and segment in run.seen and not self.is_late(who, track):
            self.renewed.add(track)
        self.counts(who, "mark", track, segment, act=lambda: self.states[who].mark(track, segment))

    @rule(track=tracks)
    def mark_all(self, track: str) -> None:
        run = self.model.runs.get(track)
        for who in (0, 1):
            if run and self.is_late(who, track):
                self.look_at(track, who)
        for segment in range(run.total) if run else ():
            self.mark(track, segment, segment % 2)

    @rule(track=tracks, who=whose)
    def look_at(self, track: str, who: int) -> None:
        found = self.states[who].get(track)
        if found is None:
            self.saw.pop((who, track), None)
            self.given.pop((who, track), None)
        else:
            self.sees(who, track)

    @rule(track=tracks, by=st.integers(-12, 12), who=whose)
    def advance(self, track: str, by: int, who: int) -> None:
        run = self.model.runs.get(track)
        late = self.is_late(who, track)
        self.counts(who, "advance", track, by, act=lambda: self.states[who].advance(track, by))
        self.refusing = late or run is None or run.status == "completed"

    @rule(track=tracks, who=whose)
    def fail(self, track: str, who: int) -> None:
        self.counts(who, "fail", track, act=lambda: self.states[who].fail(track, "x"))

    @rule(track=tracks, who=whose)
    def confirm(self, track: str, who: int) -> None:
        given = self.given.get((who, track))
        other = track in self.model.runs and given is not None and given != self.completions.get(track)
        if self.is_late(who, track) or other:
            assert self.states[who].confirm_completion(track) is False
            self.refusing = True
        else:
            self.same("confirm", (track,), lambda: self.states[who].confirm_completion(track))

    @rule(track=tracks, who=whose)
    def claim(self, track: str, who: int) -> None:
        track = next((name for name, is_over in self.model.leases.items() if is_over), track)
        self.told(who, "claim", (track,), lambda: self.states[who].claim_completion(track))

    @rule(track=tracks)
    def nobody_confirms_in_time(self, track: str) -> None:
        self.mark_all(track)
        self.time_passes(times=1)
        self.claim(track, 1)

    @rule()
    def pending(self) -> None:
        """List what can be claimed; this forgets completions whose run is gone."""
        over = {track for track, is_over in self.model.leases.items() if is_over}
        done = {track for track, found in self.model.runs.items() if found.status == "completed"}
        assert set(self.states[0].pending_completions()) == over & done
        self.model = Model(
            self.model.runs, Table({t: is_over for t, is_over in self.model.leases.items() if t not in over - done})
        )

    @rule(track=tracks, pop=st.booleans())
    def remove(self, track: str, pop: bool) -> None:
        mapping = self.states[0].segment_progress
        self.same("remove", (track,), lambda: bool(mapping.pop(track, None)) if pop else mapping.delete(track))

    @rule(track=tracks, title=st.text("ab", max_size=3))
    def write_beside(self, track: str, title: str) -> None:
        assert self.states[0].segment_progress.patch(track, {"title": title}) is (track in self.model.runs)
        if track in self.model.runs:
            self.titles[track] = title

    def agrees(self, snapshot: Snapshot) -> None:
        records, bits, news = snapshot.of("r"), snapshot.of("b"), snapshot.of("n")
        assert records.keys() == self.model.runs.keys() == news.keys()
        for track, found in self.model.runs.items():
            assert self.model.get(Told(*_plain(self.other.get(track))), track)
            held = self.other.segment_progress[track]
            assert (held["processed_segments"], held["status"]) == (found.count, found.status)
            assert (held.get("title"), held.get("error")) == (
                self.titles.get(track),
                "x" if found.status == "failed" else None,
            )
            assert records[track].holds["@owner"] == self.owners[track]
            assert numbers_of(bits[track].holds if track in bits else "") == found.seen
            ((_, (_, told)),) = news[track].holds
            assert int(told) == found.count
        leases = snapshot.of("completions")[""].holds if "" in snapshot.of("completions") else {}
        assert leases.keys() == self.model.leases.keys()
        for track, ends in leases.items():
            assert (ends / 1000 <= snapshot.now) is self.model.leases[track]
            assert near(ends / 1000 - snapshot.now, LEASE - self.offered[track])


def _plain(found: Progress | None) -> tuple[Any, ...]:
    assert found is not None
    return found.processed, found.total, found.status, found.completed_now


@everywhere
def test_progress_equals_its_model(kind: str) -> None:
    run(Runs, kind, examples=50)
