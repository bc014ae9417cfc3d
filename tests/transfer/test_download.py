"""A download counts each byte once, tells where to resume and how fast it is, and holds a place of its owner's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import ChunkOutOfRange, Engine, QuotaExceeded, UnknownSession
from redis_state.state import Download, RedisDownloadState
from tests.support.servers import Server
from tests.support.waits import eventually

SOON = 0.15  # seconds: a time to live that is over soon


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def engines(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Engine]:
    with Engine(engine.settings.with_changes(partitions=request.param)) as made:
        yield made


@pytest.fixture
def state(engines: Engine) -> RedisDownloadState:
    return RedisDownloadState(container_id="c1", engine=engines, max_active_per_owner=2)


def progress(download: Download) -> tuple[int, int]:
    return download.bytes_sent, download.offset


def test_a_download_tells_how_far_it_is(state: RedisDownloadState) -> None:
    assert state.begin("d", {"total_bytes": 100, "owner": "ann", "path": "a.wav"}) == Download(0, 0, 100, "active", 0.0)
    assert progress(state.advance("d", 0, 30)) == (30, 30)
    download = state.advance("d", 30, 45)
    assert (progress(download), download.fraction, download.complete) == ((75, 75), 0.75, False)
    assert state.advance("d", 75, 25).complete
    assert state.active_downloads["d"] == {
        "total_bytes": 100,
        "owner": "ann",
        "path": "a.wav",
        "bytes_sent": 100,
        "status": "active",
    }
    assert 3590 < state.active_downloads.ttl("d") <= 3600  # type: ignore[operator]


def test_each_byte_counts_once_in_whatever_ranges(state: RedisDownloadState) -> None:
    state.begin("d", {"total_bytes": 1000})
    found = [
        progress(state.advance("d", *each))
        for each in [(100, 50), (100, 50), (200, 50), (140, 30), (0, 0), (0, 10), (160, 40), (5, 200), (999, 1)]
    ]
    assert found == [
        (50, 0),
        (50, 0),
        (100, 0),
        (120, 0),
        (120, 0),
        (130, 10),
        (160, 10),
        (250, 250),
        (251, 250),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_ranges_are_a_set(state: RedisDownloadState, seed: int) -> None:
    import random

    chance = random.Random(seed)
    sent: set[int] = set()
    state.begin("d", {"total_bytes": 300})
    for _ in range(60):
        offset = chance.randrange(300)
        length = min(300 - offset, chance.choice([0, 1, 5, 40]))
        sent.update(range(offset, offset + length))
        first_gap = next(byte for byte in range(301) if byte not in sent)
        assert progress(state.advance("d", offset, length)) == (len(sent), first_gap)


def test_resuming_goes_on(state: RedisDownloadState) -> None:
    state.begin("d", {"total_bytes": 100})
    state.advance("d", 0, 40)
    assert progress(state.begin("d")) == (40, 40)
    assert progress(state.begin("d", {"total_bytes": 100})) == (40, 40)
    with pytest.raises(ValueError, match="under way with 100 bytes, not 99"):
        state.begin("d", {"total_bytes": 99})


def test_a_finished_one_stays_as_it_is(state: RedisDownloadState) -> None:
    state.begin("d", {"total_bytes": 100})
    state.advance("d", 0, 40)
    assert state.finish("d").status == "finished"
    assert progress(state.finish("d")) == (40, 40)
    late = state.advance("d", 40, 60)
    assert (progress(late), late.status) == ((40, 40), "finished")
    assert progress(state.begin("d", {"total_bytes": 7})) == (0, 0)
    assert state.advance("d", 0, 7).complete


def test_an_unknown_size_can_be_told_later(state: RedisDownloadState) -> None:
    download = state.begin("d")
    assert (download.total_bytes, download.fraction, download.eta, download.complete) == (None, None, None, False)
    state.advance("d", 0, 10**15)
    assert state.begin("d", {"total_bytes": 2 * 10**15}).fraction == 0.5


def test_a_size_below_what_was_sent_is_refused(state: RedisDownloadState) -> None:
    state.begin("d")
    state.advance("d", 50, 50)
    with pytest.raises(ValueError, match="bytes up to 100 already"):
        state.begin("d", {"total_bytes": 99})
    assert state.begin("d", {"total_bytes": 100}).bytes_sent == 50


def test_speed_is_measured_by_the_servers_clock(state: RedisDownloadState, server: Server) -> None:
    before = time.monotonic()
    state.begin("d", {"total_bytes": 10_000})
    began = time.monotonic()
    for offset in range(0, 1000, 100):
        time.sleep(0.02)
        ended = time.monotonic()
        download = state.advance("d", offset, 100)
    after = time.monotonic()
    grain = 0.003  # seconds: the server tells whole milliseconds
    assert 1000 / (after - before + grain) <= download.rate <= 1000 / (ended - began - grain)
    assert download.eta == pytest.approx(9000 / download.rate)
    state.advance("d", 1000, 9000)
    assert state.finish("d").eta == 0.0


def test_speed_forgets_what_is_long_past(state: RedisDownloadState, server: Server) -> None:
    state.begin("d", {"total_bytes": 10**9})
    state.advance("d", 0, 10**6)
    with server.client() as client:  # as if those were sent an hour ago
        seconds, _ = client.time()
        record = state.active_downloads.entries.keys.key("entry", "d")
        past = f"{seconds - 7200}000 0 {seconds - 6}000 1000000"
        client.hset(record, "@marks", past)
    state.advance("d", 10**6, 10**6)
    assert 10**5 < state.advance("d", 2 * 10**6, 10**6).rate < 10**6


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda state: state.advance("d", 0, 101), ChunkOutOfRange),
        (lambda state: state.advance("d", 101, 0), ChunkOutOfRange),
        (lambda state: state.advance("d", -1, 5), ValueError),
        (lambda state: state.advance("d", 0, -1), ValueError),
        (lambda state: state.advance("d", 2**53, 1), ValueError),
        (lambda state: state.advance("d", 0.0, 1), TypeError),
        (lambda state: state.begin("d", {"total_bytes": -1}), ValueError),
        (lambda state: state.begin("d", {"total_bytes": "9"}), TypeError),
        (lambda state: state.begin("d", {"owner": 9}), TypeError),
        (lambda state: state.begin("d", [1]), TypeError),
    ],
)
def test_bad_input_changes_nothing(
    state: RedisDownloadState, call: Callable[[Any], Any], error: type[Exception]
) -> None:
    state.begin("d", {"total_bytes": 100})
    state.advance("d", 3, 4)
    version = state.active_downloads["d"].version
    with pytest.raises(error):
        call(state)
    assert state.active_downloads["d"].version == version
    assert progress(state.advance("d", 0, 0)) == (4, 0)


def test_scattered_ranges_are_bounded(state: RedisDownloadState) -> None:
    state.begin("d")
    for number in range(512):
        state.advance("d", 2 * number, 1)
    with pytest.raises(ValueError, match="more than 512 ranges"):
        state.advance("d", 5000, 1)
    assert progress(state.advance("d", 1, 1)) == (513, 3)
    assert progress(state.advance("d", 5000, 1)) == (514, 3)


@pytest.mark.parametrize("call", [lambda state: state.advance("x", 0, 1), lambda state: state.finish("x")])
def test_an_unknown_download_is_a_key_error(state: RedisDownloadState, call: Callable[[Any], Any]) -> None:
    with pytest.raises(UnknownSession, match="'x'"):
        call(state)


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [lambda state: state.finish("a"), lambda state: state.active_downloads.delete("a")],
    ids=["finish", "delete"],
)
def test_an_owner_has_so_many(state: RedisDownloadState, end: Callable[[RedisDownloadState], Any]) -> None:
    for name in ("a", "b", "a", "b"):
        state.begin(name, {"owner": "ann"})
    with pytest.raises(QuotaExceeded, match="owner 'ann': 2 of 2 active downloads"):
        state.begin("c", {"owner": "ann"})
    state.begin("d", {"owner": "bob"})
    end(state)
    assert state.active("ann") == 1
    state.begin("c", {"owner": "ann"})
    assert state.active("ann") == 2


def test_one_that_expires_gives_its_place_back(state: RedisDownloadState, engines: Engine) -> None:
    mortal = RedisDownloadState(engine=engines, ttl=SOON)
    for number in range(300):
        mortal.begin(f"{number}", {"owner": "ann"})
    with pytest.raises(QuotaExceeded):
        state.begin("c", {"owner": "ann"})
    assert eventually(lambda: len(state.active_downloads) == 0)
    state.begin("c", {"owner": "ann"})
    assert state.active("ann") == 1


def test_the_dict_is_the_same_data(state: RedisDownloadState) -> None:
    state.active_downloads["d"] = {"total_bytes": 10, "file": "a"}
    assert progress(state.advance("d", 0, 4)) == (4, 4)
    assert state.begin("d", {"total_bytes": 10}).bytes_sent == 4
    state.active_downloads["d"]["file"] = "b"
    assert dict(state.active_downloads["d"])["file"] == "b"
    assert state.active(None) == 1
    del state.active_downloads["d"]
    assert state.active(None) == 0


def race_to_begin(engine: Engine, rank: int) -> int:
    state = RedisDownloadState(engine=engine, max_active_per_owner=20)
    won = 0
    for turn in range(30):
        try:
            state.begin(f"{rank}:{turn}", {"owner": "ann"})
        except QuotaExceeded:
            continue
        won += 1
        if turn % 2:
            state.finish(f"{rank}:{turn}")
            won -= 1
    return won


def test_processes_never_exceed_the_limit(engine: Engine, process_pool: Any) -> None:
    assert sum(process_pool.race(engine, race_to_begin)) == RedisDownloadState(engine=engine).active("ann") == 20
