"""What an owner may have open, what is given back, how an upload dies, and how it is assembled once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import (
    AlreadyClaimed,
    AlreadyDone,
    AttemptsExhausted,
    Engine,
    QuotaExceeded,
    StaleToken,
    UnknownSession,
    UploadClosed,
    UploadIncomplete,
)
from redis_state.state import RedisUploadState
from tests.support.servers import Server
from tests.support.waits import eventually

PATIENCE = 10.0  # seconds
SOON = 0.15  # seconds: a time to live that is over soon
LATER = 2.0  # seconds: one that is over later, even on a busy machine


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def engines(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Engine]:
    with Engine(engine.settings.with_changes(partitions=request.param)) as made:
        yield made


@pytest.fixture
def state(engines: Engine) -> RedisUploadState:
    return RedisUploadState(engine=engines, max_open_per_owner=2, max_bytes_per_owner=100)


@pytest.fixture
def mortal(engines: Engine) -> RedisUploadState:
    """The same, whose sessions die soon."""
    return RedisUploadState(engine=engines, ttl=SOON, max_open_per_owner=2, max_bytes_per_owner=100)


def opened(state: RedisUploadState, size: int | None = 10, owner: str | None = "ann", **fields: Any) -> str:
    return state.create_session({"total_size": size, "chunk_size": 10, "owner": owner, **fields})


# --- quotas -------------------------------------------------------------------------------------------


def test_an_owner_has_so_many_open_uploads(state: RedisUploadState) -> None:
    first, _ = opened(state), opened(state)
    with pytest.raises(QuotaExceeded, match="owner 'ann': 2 of 2 open uploads") as caught:
        opened(state)
    assert (caught.value.what, caught.value.used, caught.value.limit) == ("open uploads", 2, 2)
    opened(state, owner="bob")
    assert state.accept_chunk(first, 0, 10).completed_now
    opened(state)


def test_an_owner_has_so_many_bytes(state: RedisUploadState) -> None:
    opened(state, 70)
    with pytest.raises(QuotaExceeded, match="70 of 100 bytes"):
        opened(state, 31)
    opened(state, 30)
    assert state.usage("ann") == (2, 100)
    assert state.usage("bob") == (0, 0)


def test_uploads_without_an_owner_share_no_account(state: RedisUploadState) -> None:
    for _ in range(5):
        uid = opened(state, 100, owner=None)
        with pytest.raises(QuotaExceeded, match="0 of 100 bytes"):
            opened(state, 101, owner=None)
    unknown = opened(state, None, owner=None)
    state.accept_chunks(unknown, [(number, 10) for number in range(10)])
    with pytest.raises(QuotaExceeded, match="100 of 100 bytes"):
        state.accept_chunk(unknown, 10, 10)
    assert state.usage() == (6, 600)
    state.abort(uid)
    assert state.usage() == (5, 500)


def test_no_limit_is_no_number(engine: Engine) -> None:
    """However large uploads say they are, no other is refused where no limit is set; the account is exact again."""
    state = RedisUploadState(engine=engine)
    made = [state.create_session({"total_size": 2**53 - 1, "owner": "ann"}) for _ in range(1200)]
    assert state.usage("ann").transfers == 1200
    assert state.usage("ann").bytes > 2**63
    for uid in made:
        state.delete_session(uid)
    assert state.usage("ann") == (0, 0)
    opened(state, 7)
    assert state.usage("ann") == (1, 7)


def test_the_dead_are_counted_while_they_are_remembered(engines: Engine) -> None:
    state = RedisUploadState(engine=engines, max_open_per_owner=1)
    dead = []
    with pytest.raises(QuotaExceeded, match="20 of 20 dead uploads are remembered; .*delete_session") as caught:
        for _ in range(21):
            dead.append(opened(state))
            state.abort(dead[-1])
    assert (caught.value.what, len(dead)) == ("dead uploads", 20)
    opened(state, owner="bob")
    state.delete_session(dead[0])
    state.abort(opened(state))
    with pytest.raises(QuotaExceeded, match="dead"):
        opened(state)
    assert len(state.expired()) == 20


def test_one_that_is_opened_again_makes_room(engines: Engine) -> None:
    mortal = RedisUploadState(engine=engines, ttl=SOON)
    owner = RedisUploadState(engine=engines, max_open_per_owner=1)
    for number in range(20):
        opened(mortal, upload_id=f"u{number}")
    assert eventually(lambda: len(mortal.expired()) == 20)
    with pytest.raises(QuotaExceeded, match="dead"):
        opened(owner)
    opened(mortal, upload_id="u7")
    assert eventually(lambda: len(mortal.expired()) == 20)
    opened(mortal, upload_id="u7")
    owner.delete_session("u7")
    opened(owner)


def test_one_that_expired_is_forgotten_when_it_is_deleted(mortal: RedisUploadState) -> None:
    uid = opened(mortal)
    assert eventually(mortal.expired)
    assert mortal.delete_session(uid) is False
    assert mortal.expired() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": random.Random(1).randbytes(20_000)},
        {f"field {number}": "x" * 50 for number in range(300)},
        {"upload_id": "u" * 1025},
        {"owner": "a" * 1025},
    ],
    ids=["a large field", "many fields", "a long id", "a long owner"],
)
def test_what_a_client_chooses_is_bounded(state: RedisUploadState, server: Server, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most|may take"):
        state.create_session({"total_size": 1, **fields})
    uid = opened(state)
    if "owner" not in fields and "upload_id" not in fields:
        with pytest.raises(ValueError, match="may take 16384"):
            state.update_session(uid, fields)
    assert list(state.sessions) == [uid]


def test_what_is_remembered_of_the_dead_is_bounded(state: RedisUploadState) -> None:
    fields = {"first": "a", "large": random.Random(1).randbytes(8000), "last": "c"}
    uid = state.create_session({**fields, "total_size": 7, "owner": "a" * 1024, "upload_id": "é" * 1024})
    state.abort(uid)
    (dead,) = state.expired()
    assert (dead["upload_id"], dead["owner"], dead["total_size"], dead["first"]) == (uid, "a" * 1024, 7, "a")
    assert "large" not in dead


@pytest.mark.parametrize("field", ["totalsize", "Total-Size", "totalSize", "total_sizes", "chunkSize", "Owner"])
def test_a_near_miss_of_a_field_warns(state: RedisUploadState, field: str) -> None:
    with pytest.warns(UserWarning, match=rf"the field '{field}' is kept .* meant\?") as caught:
        state.create_session({field: 10})
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_a_field_of_ones_own_does_not_warn(state: RedisUploadState) -> None:
    state.create_session({"filename": "a", "size": 1, "total_size_mb": 1, "user": "ann", "chunks": 4, "owner_id": 7})


@pytest.mark.parametrize(
    "end",
    [
        lambda state, uid: state.accept_chunks(uid, [(number, 10) for number in range(10)]),
        lambda state, uid: state.abort(uid),
        lambda state, uid: state.delete_session(uid),
        lambda state, uid: state.sessions.pop(uid, None),
        lambda state, uid: state.sessions.clear(),
    ],
    ids=["complete", "abort", "delete", "pop", "clear"],
)
def test_what_ends_gives_back(state: RedisUploadState, end: Callable[[RedisUploadState, str], Any]) -> None:
    for _ in range(3):
        uid = opened(state, 100)
        with pytest.raises(QuotaExceeded):
            opened(state, 1)
        end(state, uid)
        assert state.usage("ann") == (0, 0)
        end(state, uid)
        assert state.usage("ann") == (0, 0), "given back once"


def test_what_expires_gives_back(mortal: RedisUploadState, state: RedisUploadState) -> None:
    for _ in range(2):
        opened(mortal, 40)
    with pytest.raises(QuotaExceeded):
        opened(state)
    assert eventually(lambda: len(state.sessions) == 0)
    time.sleep(0.1)  # the last one's account may end a moment after its entry
    opened(state, 100)  # the first that asks finds room
    assert state.usage("ann") == (1, 100)


def test_a_backlog_of_the_dead_is_no_obstacle(mortal: RedisUploadState, engines: Engine) -> None:
    unlimited = RedisUploadState(engine=engines, ttl=SOON)
    for number in range(450):
        opened(unlimited, owner=f"owner {number % 3}")
    opened(mortal, 100)
    time.sleep(2 * SOON)
    opened(mortal, 100)
    assert mortal.usage("owner 1") == (0, 0)


def test_what_lives_on_is_counted_on(engine: Engine) -> None:
    state = RedisUploadState(engine=engine, ttl=LATER)
    uid = opened(state, 100)
    deadline = time.monotonic() + 2 * LATER
    while time.monotonic() < deadline:
        state.accept_chunk(uid, 0, 10)
        assert state.usage("ann") == (1, 100)
        time.sleep(LATER / 20)


def test_an_unknown_size_reserves_what_has_arrived(state: RedisUploadState) -> None:
    uid = opened(state, None)
    opened(state, 60)
    state.accept_chunks(uid, [(0, 10), (1, 10), (1, 10)])
    assert state.usage("ann") == (2, 80)
    with pytest.raises(QuotaExceeded, match="80 of 100 bytes"):
        state.accept_chunks(uid, [(2, 10), (3, 10), (4, 10)])
    with pytest.raises(QuotaExceeded):
        state.declare_size(uid, 41)
    assert state.usage("ann") == (2, 80)
    state.declare_size(uid, 40)
    assert state.usage("ann") == (2, 100)
    assert state.accept_chunks(uid, [(2, 10), (3, 10)])[-1].completed_now
    assert state.usage("ann") == (1, 60)


def test_ranges_of_an_unknown_size_reserve(state: RedisUploadState) -> None:
    uid = opened(state, None)
    state.advance(uid, 0, 99)
    state.advance(uid, 0, 50)
    with pytest.raises(QuotaExceeded):
        state.advance(uid, 99, 2)
    assert state.advance(uid, 99, 1) == 100
    assert state.usage("ann") == (1, 100)


def test_an_empty_upload_needs_no_room(state: RedisUploadState) -> None:
    opened(state, 50), opened(state, 50)
    assert state.get_session(opened(state, 0))["status"] == "complete"  # type: ignore[index]
    assert state.usage("ann") == (2, 100)


@pytest.mark.parametrize("limit", [-1, 1.5, "2", True])
def test_limits_are_whole_numbers(engine: Engine, limit: Any) -> None:
    for name in ("max_open_per_owner", "max_bytes_per_owner"):
        with pytest.raises(ValueError, match=name):
            RedisUploadState(engine=engine, **{name: limit})


def race_to_open(engine: Engine, rank: int) -> int:
    state = RedisUploadState(engine=engine, max_open_per_owner=20, max_bytes_per_owner=10**6)
    won = 0
    for turn in range(40):
        try:
            uid = opened(state, 10, upload_id=f"{rank}:{turn}")
        except QuotaExceeded:
            continue
        won += 1
        if turn % 2:
            state.abort(uid)
            won -= 1
    return won


def test_processes_never_exceed_a_quota(engine: Engine, process_pool: Any) -> None:
    won = process_pool.race(engine, race_to_open)
    state = RedisUploadState(engine=engine)
    assert state.usage("ann") == (20, 200) == (sum(won), 10 * sum(won))


# --- death --------------------------------------------------------------------------------------------


def test_the_dead_are_told_with_what_they_were(mortal: RedisUploadState, state: RedisUploadState) -> None:
    uid = opened(mortal, 30, filename="a.wav")
    mortal.accept_chunk(uid, 1, 10)
    other = opened(state)
    assert state.expired() == []
    assert eventually(state.expired)
    (dead,) = state.expired(0)
    assert dead.pop("expired_at") == pytest.approx(time.time(), abs=60)
    expected = {"upload_id": uid, "filename": "a.wav", "total_size": 30, "chunk_size": 10, "owner": "ann"}
    assert dead == expected
    state.abort(other)
    assert [entry["upload_id"] for entry in state.expired()] == [uid, other]


def test_the_dead_are_told_since_a_time(state: RedisUploadState) -> None:
    names = [opened(state) for _ in range(2)]
    for name in names:
        state.abort(name)
        time.sleep(0.003)
    since = state.expired()[-1]["expired_at"]
    assert [entry["upload_id"] for entry in state.expired(since)] == names[1:]
    assert state.expired(since + 0.001) == []
    with pytest.raises(TypeError):
        state.expired("yesterday")  # type: ignore[arg-type]


def test_many_dead_are_told(engines: Engine) -> None:
    state = RedisUploadState(engine=engines, ttl=SOON)
    names = {opened(state) for _ in range(1100)}
    assert eventually(lambda: {entry["upload_id"] for entry in state.expired()} == names)


def test_the_stored_and_the_deleted_are_not_dead(mortal: RedisUploadState) -> None:
    stored, deleted = opened(mortal), opened(mortal)
    mortal.accept_chunk(stored, 0, 10)
    mortal.claim_assembly(stored).finish()
    mortal.delete_session(deleted)
    time.sleep(2 * SOON)
    assert len(mortal.sessions) == 0
    assert mortal.expired() == []


def test_one_that_is_opened_again_is_not_dead(mortal: RedisUploadState, state: RedisUploadState) -> None:
    opened(mortal, upload_id="u")
    assert eventually(mortal.expired)
    opened(state, upload_id="u", owner="bob")
    assert state.expired() == []
    assert (state.usage("ann"), state.usage("bob")) == ((0, 0), (1, 10))


def test_a_late_chunk_of_the_dead_is_told(mortal: RedisUploadState) -> None:
    uid = opened(mortal)
    time.sleep(2 * SOON)
    with pytest.raises(KeyError):
        mortal.accept_chunk(uid, 0, 10)
    assert mortal.get_session(uid) is None


# --- assembly -----------------------------------------------------------------------------------------


def complete(state: RedisUploadState) -> str:
    uid = opened(state)
    assert state.accept_chunk(uid, 0, 10).completed_now
    return uid


def test_an_assembly_runs_once(state: RedisUploadState, server: Server) -> None:
    uid = complete(state)
    assert state.awaiting_assembly() == [uid]
    with state.claim_assembly(uid) as claim:
        assert state.get_session(uid)["status"] == "assembling"  # type: ignore[index]
        assert state.awaiting_assembly() == []
        assert state.accept_chunk(uid, 0, 10).outcome == "duplicate"
        with pytest.raises(AlreadyClaimed):
            state.claim_assembly(uid)
        claim.update({"percent": 50})
        claim.finish({"path": "a.wav"})
    session = state.get_session(uid)
    assert session is not None
    assert (session["status"], session["result"], session["percent"]) == ("stored", {"path": "a.wav"}, 50)
    with pytest.raises(AlreadyDone) as caught:
        state.claim_assembly(uid)
    assert caught.value.result == {"path": "a.wav"}
    assert state.awaiting_assembly() == []
    with pytest.raises(UploadClosed):
        state.accept_chunk(uid, 0, 10)
    assert state.missing(uid) == []
    with server.client() as client:
        assert not client.exists(state.sessions.entries.keys.key("bitmap", uid)), "a stored upload needs it no more"


def test_an_incomplete_upload_is_not_assembled(state: RedisUploadState) -> None:
    uid = opened(state, 20)
    state.accept_chunk(uid, 1, 10)
    with pytest.raises(UploadIncomplete, match="10 of 20 bytes") as caught:
        state.claim_assembly(uid)
    assert (caught.value.received, caught.value.total) == (10, 20)
    with pytest.raises(UploadIncomplete, match="undeclared"):
        state.claim_assembly(opened(state, None))


def test_a_failed_assembly_renews_what_has_arrived(state: RedisUploadState, engines: Engine, server: Server) -> None:
    uid = opened(state, 30)
    state.accept_chunks(uid, [(n, 10, "sum") for n in range(3)])
    claim = state.claim_assembly(uid, auto_renew=False)
    keys = state.sessions.entries.keys
    with server.client() as client:
        chunks = [keys.key("bitmap", uid), keys.key("checksums", uid)]
        for key in chunks:
            client.pexpire(key, 5000)
        claim.fail("disk full")
        assert all(client.pttl(key) > 5000 for key in chunks)  # type: ignore[operator]


def test_who_assembled_an_upload_of_before_says_nothing_of_the_new_one(state: RedisUploadState) -> None:
    uid = opened(state)
    state.accept_chunk(uid, 0, 10)
    old = state.claim_assembly(uid, auto_renew=False)
    state.sessions.delete(uid)
    state.create_session({"upload_id": uid, "total_size": 20, "chunk_size": 10})
    state.accept_chunk(uid, 1, 10)
    for end in (lambda: old.fail("late"), old.finish):
        with pytest.raises(UnknownSession):
            end()
    assert state.missing(uid) == [range(1)]
    assert state.sessions[uid]["status"] == "uploading"


def test_a_failed_assembly_can_be_taken_again(state: RedisUploadState) -> None:
    uid = complete(state)
    for attempt in (1, 2):
        with pytest.raises(OSError, match="no disk"), state.claim_assembly(uid, backoff=0.0, max_attempts=2) as claim:
            assert claim.attempt == attempt
            raise OSError("no disk")
        session = state.get_session(uid)
        assert session is not None
        assert (session["status"], session["error"]) == ("complete", "OSError: no disk")
        assert state.missing(uid) == []
    with pytest.raises(AttemptsExhausted):
        state.claim_assembly(uid, max_attempts=2)
    assert state.awaiting_assembly() == [uid]
    assert state.retry_assembly(uid) is True
    with state.claim_assembly(uid, max_attempts=2) as claim:
        assert claim.attempt == 1


@pytest.mark.parametrize("end", [lambda claim: claim.finish(), lambda claim: claim.fail("x")], ids=["finish", "fail"])
def test_a_dead_assembler_is_replaced_and_ends_nothing(state: RedisUploadState, end: Callable[[Any], None]) -> None:
    uid = complete(state)
    dead = state.claim_assembly(uid, lease=0.05, auto_renew=False)
    assert eventually(state.awaiting_assembly) == [uid]
    with state.claim_assembly(uid) as claim:
        assert (claim.attempt, claim.previous["status"]) == (2, "assembling")  # type: ignore[index]
        with pytest.raises(StaleToken):
            dead.update({"percent": 1})
        with pytest.raises(StaleToken):
            end(dead)
        assert state.get_session(uid)["status"] == "assembling"  # type: ignore[index]
    assert state.get_session(uid)["status"] == "stored"  # type: ignore[index]


def test_an_abort_takes_the_assembly_away(state: RedisUploadState) -> None:
    uid = complete(state)
    claim = state.claim_assembly(uid, lease=0.3)
    assert state.abort(uid) is True
    assert claim.lost.wait(PATIENCE)
    with pytest.raises(StaleToken):
        claim.update({"percent": 1})
    with pytest.raises(UploadClosed, match="aborted"):
        claim.finish()
    assert state.get_session(uid)["status"] == "aborted"  # type: ignore[index]
    with pytest.raises(UploadClosed):
        state.claim_assembly(uid)


@pytest.mark.parametrize("end", [lambda claim: claim.finish(), lambda claim: claim.fail("x")], ids=["finish", "fail"])
def test_a_deleted_upload_is_not_brought_back(state: RedisUploadState, end: Callable[[Any], None]) -> None:
    uid = complete(state)
    claim = state.claim_assembly(uid)
    state.delete_session(uid)
    with pytest.raises(KeyError):
        end(claim)
    assert state.get_session(uid) is None


def test_an_assembly_keeps_its_upload_alive(engine: Engine) -> None:
    state = RedisUploadState(engine=engine, ttl=LATER)
    uid = complete(state)
    with state.claim_assembly(uid, lease=LATER / 4):
        time.sleep(2 * LATER)
        assert state.get_session(uid) is not None
        assert state.accept_chunk(uid, 0, 10).outcome == "duplicate"
    assert state.get_session(uid)["status"] == "stored"  # type: ignore[index]


@pytest.mark.parametrize("end", [lambda claim: claim.finish("stored"), lambda claim: claim.fail("no disk")])
def test_what_is_assembled_lives_as_long_as_the_lease(engine: Engine, end: Callable[[Any], None]) -> None:
    """Nothing renews it, and the lease is longer than an upload lives."""
    state = RedisUploadState(engine=engine, ttl=0.3)
    uid = state.create_session({"total_size": 10, "chunk_size": 10})
    state.accept_chunk(uid, 0, 10)
    claim = state.claim_assembly(uid, auto_renew=False, lease=60)
    claim.update({"percent": 40})
    time.sleep(0.5)
    assert state.expired() == []
    end(claim)
    assert state.get_session(uid)["percent"] == 40  # type: ignore[index]


def test_of_many_that_deliver_the_last_chunk_one_completes(state: RedisUploadState) -> None:
    uid = opened(state, 40)
    barrier = threading.Barrier(8)
    answers: list[bool] = []

    def deliver() -> None:
        barrier.wait()
        answers.extend([state.accept_chunk(uid, number, 10).completed_now for number in range(4)])

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answers) == 1
