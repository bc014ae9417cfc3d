"""Progress counts a set, whatever is marked in whatever order; completion is held by at most one, until confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from looks import near, numbers_of
from machines import TTL, Look, Machine, everywhere, run
from models.base import Table
from models.progress import Progress as Model
from models.progress import Told

from redis_state.state import Progress, RedisProgressState

LEASE = 200.0
tracks = st.sampled_from(["t", "{u}:v"])
totals = st.integers(1, 9)
segments = st.integers(-1, 9)
whose = st.sampled_from([0, 1])


class Runs(Machine):
    """Two runs, counted by two containers."""

    indexed = "r"
    companions = "bn"

    def start(self) -> None:
        self.states = [RedisProgressState(name, self.engine, TTL, LEASE) for name in ("c1", "c2")]
        self.other = RedisProgressState("c3", self.observer, TTL, LEASE)
        self.model = Model()
        self.offered: dict[str, float] = {}  # how many seconds ago a completion was given to somebody
        self.owners: dict[str, str] = {}
        self.titles: dict[str, str] = {}

    def stock(self) -> None:
        if "t" not in self.model.runs:
            self.begin_one("t", 4, 0, restart=False)

    def older(self, seconds: float) -> None:
        for track in self.expired(seconds):
            self.model = self.model.remove(True, track)
        for track in self.model.leases:
            self.model = self.model.expire(None, track)
        self.offered = {track: ago + seconds for track, ago in self.offered.items()}
        if not Look(self.client).of("p"):  # completions are on offer for as long as a run lives
            assert not self.model.leases.keys() & self.model.runs.keys()
            self.model = Model(self.model.runs)

    def told(self, verb: str, args: tuple[Any, ...], act: Callable[[], Progress | None]) -> Any:
        """Do the same to both, and note whose completion it is now."""

        def plain() -> Told | None:
            found = act()
            return found and Told(found.processed, found.total, found.status, found.completed_now)

        said = self.same(verb, args, plain)
        if isinstance(said, Told) and said.completed_now:
            self.offered[args[0]] = 0.0
        return said

    @rule(track=tracks, total=totals, who=whose, restart=st.booleans())
    def begin_one(self, track: str, total: int, who: int, restart: bool) -> None:
        new, state = track not in self.model.runs, self.states[who]
        said = self.told("begin", (track, total, restart), lambda: state.begin(track, total, restart=restart))
        self.refusing = not new and not restart
        if isinstance(said, Told) and new:
            self.owners[track] = f"c{who + 1}"
            self.titles.pop(track, None)

    @rule(track=tracks, segment=segments, who=whose)
    def mark(self, track: str, segment: int, who: int) -> None:
        run = self.model.runs.get(track)
        if run and segment in run.seen:
            self.renewed.add(track)
        self.told("mark", (track, segment), lambda: self.states[who].mark(track, segment))

    @rule(track=tracks)
    def mark_all(self, track: str) -> None:
        run = self.model.runs.get(track)
        for segment in range(run.total) if run else ():
            self.mark(track, segment, segment % 2)

    @rule(track=tracks, by=st.integers(-12, 12), who=whose)
    def advance(self, track: str, by: int, who: int) -> None:
        run = self.model.runs.get(track)
        self.told("advance", (track, by), lambda: self.states[who].advance(track, by))
        self.refusing = run is None or run.status == "completed"

    @rule(track=tracks)
    def fail(self, track: str) -> None:
        self.told("fail", (track,), lambda: self.states[0].fail(track, "x"))

    @rule(track=tracks, who=whose)
    def confirm(self, track: str, who: int) -> None:
        self.same("confirm", (track,), lambda: self.states[who].confirm_completion(track))

    @rule(track=tracks, who=whose)
    def claim(self, track: str, who: int) -> None:
        track = next((name for name, is_over in self.model.leases.items() if is_over), track)
        self.told("claim", (track,), lambda: self.states[who].claim_completion(track))

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

    def agrees(self, look: Look) -> None:
        records, bits, news = look.of("r"), look.of("b"), look.of("n")
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
        leases = look.of("p")[""].holds if "" in look.of("p") else {}
        assert leases.keys() == self.model.leases.keys()
        for track, ends in leases.items():
            assert (ends / 1000 <= look.now) is self.model.leases[track]
            assert near(ends / 1000 - look.now, LEASE - self.offered[track])


def _plain(found: Progress | None) -> tuple[Any, ...]:
    assert found is not None
    return found.processed, found.total, found.status, found.completed_now


@everywhere
def test_progress_equals_its_model(kind: str) -> None:
    run(Runs, kind, examples=80)
