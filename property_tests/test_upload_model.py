"""Whatever arrives, in whatever order: an upload says and holds what a plain Python model of it does."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from redis_state import (
    ChunkConflict,
    ChunkOutOfRange,
    ChunkSizeMismatch,
    Engine,
    QuotaExceeded,
    RedisStateError,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.state import RedisUploadState

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from servers import Server, available

CHUNK = 8
QUOTA = 150
NUMBERS = st.integers(-1, 12)
SIZES = st.one_of(st.just(CHUNK), st.integers(-1, CHUNK + 1))
SUMS = st.sampled_from([None, "a", "b"])
TOTALS = st.integers(0, 90)
_names = itertools.count()


class Model:
    """What an upload is: a dict of its chunks."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.chunks: dict[int, tuple[int, str | None]] = {}
        self.state = "open"

    @property
    def received(self) -> int:
        return sum(size for size, _ in self.chunks.values())

    @property
    def ends(self) -> int | None:
        """Where the upload ends, by its size or by its short chunk."""
        short = [CHUNK * number + size for number, (size, _) in self.chunks.items() if size < CHUNK]
        return self.total if self.total is not None else short[0] if short else None

    @property
    def complete(self) -> bool:
        return self.received == self.total

    def judge(self, number: int, size: int, checksum: str | None) -> Any:
        """Return accepted, duplicate, or the error."""
        ends = self.ends
        count = -(-ends // CHUNK) if ends is not None else 2**23
        if not 0 <= number < count:
            return ChunkOutOfRange
        expected = min(CHUNK, ends - CHUNK * number) if ends is not None else CHUNK
        if number in self.chunks:
            had_size, had = self.chunks[number]
            agrees = size == had_size and (had is None or checksum is None or had == checksum)
            return "duplicate" if agrees else ChunkConflict
        if ends is None and 0 < size < CHUNK and number > max(self.chunks, default=-1):
            return "accepted"
        return "accepted" if size == expected else ChunkSizeMismatch


class Uploads(RuleBasedStateMachine):
    """One upload after the other, on one server."""

    engine: Engine

    @initialize(total=st.one_of(st.none(), TOTALS))
    def open(self, total: int | None) -> None:
        self.state = RedisUploadState(engine=self.engine, max_bytes_per_owner=QUOTA)
        self.owner = f"owner {next(_names)}"
        self.model = Model(total)
        data = {"total_size": total, "chunk_size": CHUNK, "owner": self.owner}
        self.uid = self.state.create_session(data)
        self.completions = 1 if total == 0 else 0
        self.previous = self.model.complete

    @rule(chunks=st.lists(st.tuples(NUMBERS, SIZES, SUMS), min_size=1, max_size=4))
    def arrive(self, chunks: list[tuple[int, int, str | None]]) -> None:
        after = Model(self.model.total)
        after.chunks = dict(self.model.chunks)
        outcomes: list[Any] = []
        for number, size, checksum in chunks:
            outcome = UploadClosed if self.model.state != "open" else after.judge(number, size, checksum)
            outcomes.append(outcome)
            if outcome == "accepted":
                after.chunks[number] = size, checksum
            elif outcome != "duplicate":
                break
        if isinstance(outcomes[-1], str):
            receipts = self.state.accept_chunks(self.uid, chunks)
            assert [receipt.outcome for receipt in receipts] == outcomes
            self.completions += sum(receipt.completed_now for receipt in receipts)
            self.model.chunks = after.chunks
        else:
            with pytest.raises(RedisStateError) as caught:
                self.state.accept_chunks(self.uid, chunks)
            assert type(caught.value) is outcomes[-1]

    @rule(total=TOTALS, near=st.booleans())
    def declare(self, total: int, near: bool) -> None:
        model = self.model
        if near and model.ends is not None:
            total = model.ends
        least = CHUNK * (max(model.chunks) + 1) if model.chunks else 0
        fits = total == model.ends if model.ends is not None else total >= least
        if model.state != "open":
            with pytest.raises(UploadClosed):
                self.state.declare_size(self.uid, total)
        elif not fits:
            with pytest.raises(ChunkConflict):
                self.state.declare_size(self.uid, total)
        else:
            self.completions += self.state.declare_size(self.uid, total).completed_now
            model.total = total

    @precondition(lambda self: self.model.state == "open")
    @rule(size=st.integers(0, QUOTA))
    def another(self, size: int) -> None:
        """Try to open a second upload, in the room that the first one leaves."""
        room = QUOTA if self.model.complete else QUOTA - self.reserved()
        data = {"total_size": size, "owner": self.owner}
        if size > room:
            with pytest.raises(QuotaExceeded):
                self.state.create_session(data)
        else:
            assert self.state.delete_session(self.state.create_session(data))

    @rule(fails=st.booleans())
    def assemble(self, fails: bool) -> None:
        if self.model.state == "stored":
            return
        if self.model.state == "aborted":
            with pytest.raises(UploadClosed):
                self.state.claim_assembly(self.uid)
        elif not self.model.complete:
            with pytest.raises(UploadIncomplete):
                self.state.claim_assembly(self.uid)
        else:
            claim = self.state.claim_assembly(self.uid, backoff=0.0, max_attempts=1000)
            if fails:
                claim.fail("by chance")
            else:
                claim.finish()
                self.model.state = "stored"

    @rule(chance=st.integers(0, 5))
    def abort(self, chance: int) -> None:
        if chance:
            return
        assert self.state.abort(self.uid) == (self.model.state == "open")
        if self.model.state == "open":
            self.model.state = "aborted"

    def reserved(self) -> int:
        return self.model.received if self.model.total is None else self.model.total

    @invariant()
    def agrees(self) -> None:
        model = self.model
        session = self.state.get_session(self.uid)
        assert session is not None
        assert (session["bytes_received"], session["chunks_received"]) == (model.received, len(model.chunks))
        assert session["total_size"] == model.total
        assert self.completions == int(model.complete)
        if model.state != "open":
            assert session["status"] == model.state
            assert self.state.usage(self.owner) == (0, 0)
            return
        assert self.state.usage(self.owner) == ((0, 0) if model.complete else (1, self.reserved()))
        count = max(model.chunks, default=-1) + 1 if model.total is None else -(-model.total // CHUNK)
        missing = [number for gap in self.state.missing(self.uid) for number in gap]
        assert missing == [number for number in range(count) if number not in model.chunks]
        sums = {number: checksum for number, (_, checksum) in model.chunks.items() if checksum}
        assert self.state.checksums(self.uid) == sums


@pytest.fixture(scope="module", params=sorted(available()))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Server(available()[request.param]) as server, Engine.from_url(server.url) as made:
        yield made


def test_an_upload_is_what_its_model_is(engine: Engine) -> None:
    kept = settings(
        max_examples=120,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_machine(type("Bound", (Uploads,), {"engine": engine}), settings=kept)
