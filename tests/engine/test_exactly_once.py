"""One call, one effect, one true answer: through a proxy that loses, holds and cuts what passes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_state import (
    Engine,
    NotApplied,
    OutcomeUnknown,
    RecordMapping,
    RedisStateManager,
    ServerFull,
    ServerUnavailable,
)
from redis_state.state import RedisProgressState
from tests.support.proxy import Proxy
from tests.support.servers import Server, available, newest
from tests.support.workers import in_processes, in_threads

PROCESSES = 8
DROPPED = 0.05
NEWEST = newest()


@pytest.fixture
def times(request: pytest.FixtureRequest) -> int:
    """How often each process does it: in full on one server, and to be sure on the others."""
    return 1000 if request.node.callspec.params["server"] == NEWEST else 200


@pytest.fixture(scope="module", params=[*available()])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(available()[request.param]) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with server.client() as client:
        client.flushall()
    with Proxy(server.socket_path) as between:
        yield between


@pytest.fixture
def engine(proxy: Proxy) -> Iterator[Engine]:
    with Engine.from_url(proxy.url, deadline=5.0, socket_timeout=0.3) as made:
        yield made


def mapping(engine: Engine) -> RecordMapping:
    return RecordMapping("once", ttl=60, engine=engine, container_id="c1")


# --- what 8 processes do while replies are lost -------------------------------------------------------------


def busy(url: str) -> Engine:
    return Engine.from_url(url, deadline=60.0)


def add(url: str, times: int) -> None:
    m = mapping(busy(url))
    for _ in range(times):
        m["k"]["n"] += 1


def increment(url: str, times: int) -> list[Any]:
    m = mapping(busy(url))
    return [m.increment("k", "n") for _ in range(times)]


def advance(url: str, times: int) -> int:
    state = RedisProgressState(engine=busy(url))
    return sum(state.advance("run").completed_now for _ in range(times))


def pop(url: str, times: int) -> list[str]:
    m = mapping(busy(url))
    return [name for name in (f"e{n}" for n in range(times)) if m.pop(name, None) is not None]


def setdefault(url: str, me: str, times: int) -> list[str]:
    m = mapping(busy(url))
    return [m.setdefault(f"e{n}", {"by": me})["by"] for n in range(times)]


def create_session(url: str, times: int) -> int:
    manager = RedisStateManager("once", engine=busy(url))
    return sum(manager.create_session(f"e{n}", {"a": 1}, ttl=60) for n in range(times))


def test_nested_additions_through_lost_replies_are_all_there(server: Server, proxy: Proxy, times: int) -> None:
    with busy(server.url) as direct:
        m = mapping(direct)
        m["k"] = {"n": 0}
        proxy.drop_replies(DROPPED, seed=1)
        in_processes(add, [(proxy.url, times)] * PROCESSES)
        assert proxy.stats().dropped["EVALSHA"] > times / 4
        assert m["k"] == {"n": PROCESSES * times}


def test_every_increment_is_answered_with_a_number_of_its_own(proxy: Proxy, times: int) -> None:
    proxy.drop_replies(DROPPED, seed=2)
    answers = in_processes(increment, [(proxy.url, times)] * PROCESSES)
    assert sorted(sum(answers, [])) == list(range(1, PROCESSES * times + 1))
    assert all(answer == sorted(answer) for answer in answers)


def test_every_advance_counts_once_and_one_caller_completes(server: Server, proxy: Proxy, times: int) -> None:
    with busy(server.url) as direct:
        state = RedisProgressState(engine=direct)
        state.begin("run", PROCESSES * times + 1)
        proxy.drop_replies(DROPPED, seed=3)
        in_processes(advance, [(proxy.url, times)] * PROCESSES)
        assert state.get("run").processed == PROCESSES * times  # type: ignore[union-attr]
        proxy.drop_next(1)
        assert sum(in_processes(advance, [(proxy.url, 2)] * PROCESSES)) == 1


def test_every_entry_is_popped_by_one_process(server: Server, proxy: Proxy, times: int) -> None:
    with busy(server.url) as direct:
        mapping(direct).put_many({f"e{n}": {"n": n} for n in range(times)})
    proxy.drop_replies(DROPPED, seed=4)
    taken = in_processes(pop, [(proxy.url, times)] * PROCESSES)
    assert Counter(sum(taken, [])) == Counter(f"e{n}" for n in range(times))


def test_setdefault_has_one_winner_for_each_entry(proxy: Proxy, times: int) -> None:
    proxy.drop_replies(DROPPED, seed=5)
    seen = in_processes(setdefault, [(proxy.url, f"p{n}", times) for n in range(PROCESSES)])
    assert all(len(set(said)) == 1 for said in zip(*seen, strict=True))


def test_a_session_is_created_once(proxy: Proxy, times: int) -> None:
    proxy.drop_replies(DROPPED, seed=6)
    assert sum(in_processes(create_session, [(proxy.url, times)] * PROCESSES)) == times


# --- one call, step by step ---------------------------------------------------------------------------------


def test_a_request_that_arrives_after_its_retry_and_100_other_calls_changes_nothing(
    proxy: Proxy, engine: Engine
) -> None:
    m = mapping(engine)
    m["k"] = {"n": 1}
    proxy.hold_next(1, mode="reset")
    assert m.increment("k", "n", 10) == 11
    for n in range(100):
        m["k"] = {"n": n}
        m.increment("k", "n", 1000)
    before = m["k"], m.ttl("k")
    (late,) = proxy.release()
    assert late[0] in (b"superseded", b"void")
    assert m["k"] == before[0]
    assert m["k"].version == before[0].version


def test_a_request_that_arrives_after_its_time_changes_nothing(proxy: Proxy, engine: Engine, server: Server) -> None:
    with Engine.from_url(proxy.url, deadline=0.3, socket_timeout=0.2) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 1}
        proxy.hold_next(9)
        with pytest.raises(OutcomeUnknown) as unknown:
            m.increment("k", "n")
        time.sleep(0.05)
        late = proxy.release()
        assert late
        assert {reply[0] for reply in late} == {b"void"}
        assert m["k"] == {"n": 1}
        with pytest.raises(NotApplied):
            engine.resolve(unknown.value)


def test_an_unknown_outcome_that_was_applied_is_resolved_to_its_result(proxy: Proxy, engine: Engine) -> None:
    with Engine.from_url(proxy.url, deadline=0.4, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 41}
        m.increment("k", "n", 0)  # the server has the script
        proxy.blackhole(only=("EVALSHA", "EVAL"))
        with pytest.raises(OutcomeUnknown, match=r"record/increment: sent to .*; engine.resolve") as unknown:
            m.increment("k", "n")
        proxy.blackhole(False)
        assert engine.resolve(unknown.value) == 42
        assert engine.resolve(unknown.value) == 42
        assert m["k"] == {"n": 42}


def test_an_unknown_outcome_stays_so_while_nobody_can_tell(proxy: Proxy, engine: Engine) -> None:
    with Engine.from_url(proxy.url, deadline=0.4, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 41}
        m.increment("k", "n", 0)
        proxy.blackhole(only=("EVALSHA", "EVAL"))
        with pytest.raises(OutcomeUnknown) as unknown:
            m.increment("k", "n")
        proxy.blackhole(False)
        proxy.refuse()
        proxy.reset_all()
        with pytest.raises(OutcomeUnknown) as again:
            hasty.resolve(unknown.value)
        assert again.value is unknown.value
        assert isinstance(again.value.__cause__, ServerUnavailable)
        proxy.refuse(False)
        assert engine.resolve(unknown.value) == 42


def test_an_entry_that_was_created_is_returned_though_nobody_answers_any_more(proxy: Proxy) -> None:
    with Engine.from_url(proxy.url, deadline=0.4, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        proxy.blackhole(only=("HGETALL",))
        assert m.setdefault("k", {"n": 1}) == {"n": 1}
        proxy.blackhole(False)
        assert m["k"] == {"n": 1}


def test_an_unknown_outcome_that_was_not_applied_is_proven_so(proxy: Proxy, engine: Engine) -> None:
    with Engine.from_url(proxy.url, deadline=0.4, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 41}
        proxy.blackhole(execute=False, only=("EVALSHA", "EVAL"))
        with pytest.raises(OutcomeUnknown) as unknown:
            m.increment("k", "n")
        proxy.blackhole(False)
        with pytest.raises(NotApplied, match="never ran, and now never will"):
            engine.resolve(unknown.value)
        assert m["k"] == {"n": 41}


def test_an_outcome_is_undecided_while_a_copy_may_still_arrive(proxy: Proxy, engine: Engine) -> None:
    with Engine.from_url(proxy.url, deadline=2.0, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 1}
        proxy.blackhole(execute=False, only=("EVALSHA", "EVAL"))
        with pytest.raises(OutcomeUnknown) as unknown:
            m.increment("k", "n")
        identity = unknown.value.identity
        unknown.value.identity = type(identity)(identity.record, identity.number, identity.void_at + 60_000)
        proxy.blackhole(False)
        with pytest.raises(OutcomeUnknown) as again:
            engine.resolve(unknown.value)
        assert again.value is unknown.value


def test_the_calls_after_an_unknown_one_are_not_taken_for_it(proxy: Proxy, engine: Engine) -> None:
    with Engine.from_url(proxy.url, deadline=0.4, socket_timeout=0.1) as hasty:
        m = mapping(hasty)
        m["k"] = {"n": 0}
        m.increment("k", "n", 0)  # the server has the script: what is lost below is the answer of a call that ran
        proxy.blackhole(only=("EVALSHA", "EVAL"))
        with pytest.raises(OutcomeUnknown) as unknown:
            m.increment("k", "n", 100)
        proxy.blackhole(False)
        assert [m.increment("k", "n") for _ in range(3)] == [101, 102, 103]
        assert engine.resolve(unknown.value) == 100


def test_a_read_that_nobody_answers_is_not_in_doubt(proxy: Proxy) -> None:
    with Engine.from_url(proxy.url, deadline=0.3, socket_timeout=0.1) as hasty:
        proxy.blackhole()
        with pytest.raises(ServerUnavailable, match=r"no answer from a server at .*proxy.sock for 0.3 s"):
            mapping(hasty).get("k")


def test_a_call_that_no_connection_took_was_not_applied(proxy: Proxy) -> None:
    with Engine.from_url(proxy.url, deadline=0.3, socket_timeout=0.1) as hasty:
        proxy.refuse()
        with pytest.raises(ServerUnavailable):
            mapping(hasty).put("k", {"n": 1})


@pytest.mark.parametrize("cut", ["cut_after", "cut_requests_after"])
def test_a_batch_cut_in_the_middle_runs_each_operation_once(proxy: Proxy, engine: Engine, cut: str) -> None:
    m = mapping(engine)
    m["k"] = {"n": 0}
    increments = [m.entries.increment("k", "n") for _ in range(100)]
    assert engine.run_all(increments) == list(range(1, 101))
    getattr(proxy, cut)(50)
    answers = engine.run_all(increments)
    assert sorted(answers) == list(range(101, 201))
    assert answers[:50] == list(range(101, 151))
    assert m["k"] == {"n": 200}
    assert engine.status().replies_lost >= 50


def test_a_batch_that_lost_replies_at_random_has_every_answer_right(proxy: Proxy, engine: Engine) -> None:
    m = mapping(engine)
    proxy.drop_replies(0.02, seed=7)
    names = [f"e{n}" for n in range(300)]
    creates: list[Any] = [m.entries.create(name, {"by": name}) for name in names]
    assert all(engine.run_all(creates))
    found = engine.run_all([m.entries.get(name) for name in names])
    assert [seen.fields for seen in found if seen] == [{"by": name} for name in names]
    assert proxy.stats().dropped["EVALSHA"] > 0


def test_a_batch_block_gives_each_its_result_or_its_error(engine: Engine) -> None:
    m = mapping(engine)
    m["text"] = {"n": "x"}
    with pytest.raises(TypeError) as failed, engine.batch() as batch:
        fine = batch.add(m.entries.increment("a", "n", 2))
        wrong = batch.add(m.entries.increment("text", "n"))
        also = batch.add(m.entries.increment("a", "n", 3))
        with pytest.raises(RuntimeError, match="has not run yet"):
            fine.result()
    assert "operation 2 of a batch of 3; 1 failed in all" in failed.value.__notes__
    assert (fine.result(), also.result()) == (2, 5)
    with pytest.raises(TypeError, match="is no number"):
        wrong.result()


def test_a_block_that_raises_sends_nothing(engine: Engine) -> None:
    m = mapping(engine)
    with pytest.raises(ZeroDivisionError), engine.batch() as batch:
        batch.add(m.entries.put("a", {"n": 1}))
        raise ZeroDivisionError
    assert "a" not in m


def test_threads_share_an_engine(proxy: Proxy, engine: Engine) -> None:
    proxy.drop_replies(DROPPED, seed=8)
    m = mapping(engine)
    answers = in_threads(lambda: [m.increment("k", "n") for _ in range(100)], [()] * 16)
    assert sorted(sum(answers, [])) == list(range(1, 1601))
    assert engine.status().connections <= 16


def test_an_interrupted_call_leaves_the_engine_usable(proxy: Proxy, engine: Engine, server: Server) -> None:
    m = mapping(engine)
    m["k"] = {"n": 0}
    m.increment("k", "n", 0)  # the server has the script now: what it answers to the interrupted call is a count

    class Interrupt(BaseException):
        pass

    connection = engine._idle[-1]
    exchange = type(connection).exchange

    def interrupted(self: Any, ask: Any) -> Any:
        self._wire.socket.sendall(ask.payload)
        raise Interrupt

    type(connection).exchange = interrupted  # type: ignore[method-assign]
    try:
        with pytest.raises(Interrupt):
            m.increment("k", "n")
    finally:
        type(connection).exchange = exchange  # type: ignore[method-assign]
    time.sleep(0.05)
    assert m.increment("k", "n", 10) in (10, 11)  # the answer belongs to this call, not to the one before
    assert m.get("k")["n"] in (10, 11)


def test_a_full_server_refuses_a_write_and_it_was_not_applied(server: Server, engine: Engine) -> None:
    m = mapping(engine)
    m["k"] = {"n": 1}
    with server.client() as admin:
        admin.config_set("maxmemory", 1)
        try:
            with pytest.raises(ServerFull, match="raise maxmemory"):
                m.increment("k", "n")
            assert m["k"] == {"n": 1}
            assert m.delete("k")
        finally:
            admin.config_set("maxmemory", 0)


def test_a_foreign_key_is_corrupt_and_stays_as_it_is(server: Server, engine: Engine) -> None:
    m = mapping(engine)
    with server.client() as admin:
        admin.set("rs:{once}:r:k", "foreign")
        for attempt in (lambda: m["k"], lambda: m.increment("k", "n"), lambda: m.put("k", {"n": 1})):
            with pytest.raises(ValueError, match="data of another kind"):
                attempt()
        assert admin.get("rs:{once}:r:k") == "foreign"


def test_an_error_in_a_script_names_the_file_and_the_line(engine: Engine, server: Server) -> None:
    m = mapping(engine)
    with server.client() as admin:
        admin.hset("rs:{once}:r:k", mapping={"@version": "x", "@ttl": "y"})
        with pytest.raises(Exception, match=r"record/patch.lua:\d+: .*"):
            m.patch("k", {"n": 1})


def test_a_plain_client_would_have_counted_twice(proxy: Proxy) -> None:
    client = redis.Redis(unix_socket_path=proxy.socket_path, retry=Retry(NoBackoff(), 3))
    proxy.drop_next(1, only=("INCR", "INCRBY"))
    client.incr("n")
    assert client.get("n") == b"2"
    client.close()
