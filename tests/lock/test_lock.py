"""Locks, blocking: who holds, who waits, and how a holder learns that it lost."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis_state import Engine, Held, Lock, LockInfo, LockLost, Locks, LockTimeout, RecordMapping, StaleToken
from redis_state.lock import operations
from tests.support.machine_lag import MachineLag
from tests.support.servers import Server, available


@pytest.fixture
def locks(engine: Engine) -> Locks:
    return Locks("work", "c1", engine)


def held(lock: Lock, timeout: float | None = 5.0) -> Held:
    found = lock.acquire(timeout)
    assert found is not None
    return found


def in_thread(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for(condition: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


# --- holding ------------------------------------------------------------------------------------------------


def test_a_lock_is_held_by_one(locks: Locks) -> None:
    with locks.lock("a") as first:
        assert locks.lock("a").acquire(timeout=0) is None
        assert not first.lost.is_set()
        first.check()
        assert 29 < first.remaining() <= 30
    assert locks.inspect("a") is None
    with locks.lock("a"):
        pass


def test_locks_of_other_names_and_namespaces_are_other_locks(locks: Locks, engine: Engine) -> None:
    with locks.lock("a"), locks.lock("b"), Locks("elsewhere", engine).lock("a"):
        assert [info.name for info in locks.list()] == ["a", "b"]


def test_tokens_grow_from_holder_to_holder(locks: Locks) -> None:
    fences = []
    for _ in range(50):
        with locks.lock("a") as this:
            fences.append(this.fence)
    assert fences == sorted(set(fences))


def test_a_lease_ends_by_itself(locks: Locks, machine_lag: MachineLag) -> None:
    dead = held(locks.lock("a", lease=0.2, auto_renew=False))
    began = time.monotonic()
    with locks.lock("a") as next_one:
        assert 0.1 < time.monotonic() - began < 0.2 + machine_lag.slack
        assert next_one.fence > dead.fence
        assert dead.lost.is_set()
        with pytest.raises(LockLost, match="'a'.*lease is over"):
            dead.release()
        dead.release()  # said again: nothing happens
        assert locks.inspect("a") is not None


def test_release_said_twice_is_said_once(locks: Locks) -> None:
    first = held(locks.lock("a"))
    first.release()
    second = held(locks.lock("a"))
    first.release()
    assert second.remaining() > 0
    assert locks.inspect("a") is not None
    with pytest.raises(LockLost, match="released"):
        first.check()
    assert not first.lost.is_set(), "it was not lost: it was given back"
    second.release()


def test_metadata_is_seen_by_others(locks: Locks, engine: Engine) -> None:
    before = time.time()
    with locks.lock("a", note="converts track 7") as this:
        info = Locks("work", engine).inspect("a")
        assert [other.holder for other in locks.list()] == [info.holder if info else None]
        assert isinstance(info, LockInfo)
        assert (info.container, info.note, info.fence, info.waiters) == ("c1", "converts track 7", this.fence, 0)
        assert (this.container, this.note, this.name) == ("c1", "converts track 7", "a")
        assert info.since == this.since
        assert before - 5 < this.since < time.time() + 5
        assert 29 < info.remaining <= 30


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lease": 0}, ValueError),
        ({"lease": float("nan")}, ValueError),
        ({"lease": 90000}, ValueError),
        ({"lease": "1"}, TypeError),
        ({"max_hold": -1}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": True}, TypeError),
    ],
)
def test_bad_options_are_refused_at_once(locks: Locks, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="'a'"):
        locks.lock("a", **options)


def test_a_lock_is_not_reentrant_and_says_so(locks: Locks) -> None:
    lock = locks.lock("a")
    with lock:
        with pytest.raises(RuntimeError, match="not reentrant"), lock:
            pass
        with pytest.raises(RuntimeError, match="not reentrant"):
            lock.acquire(timeout=None)
        assert lock.acquire(timeout=0) is None
    with lock:
        pass


def test_one_lock_object_serves_many_threads(locks: Locks) -> None:
    lock, inside, most = locks.lock("a"), [0], [0]

    def work() -> None:
        for _ in range(20):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    for thread in [in_thread(work) for _ in range(6)]:
        thread.join()
    assert most == [1]


def test_a_decorated_function_runs_under_the_lock(locks: Locks) -> None:
    @locks.lock("a")
    def work(n: int) -> int:
        assert locks.inspect("a") is not None
        return n + 1

    assert work(1) == 2
    assert work.__name__ == "work"
    assert locks.inspect("a") is None
    with pytest.raises(TypeError, match="gives back control"):

        @locks.lock("a")
        async def coroutine() -> None: ...


# --- what a body and the end of a block do to each other ----------------------------------------------------


def test_a_body_keeps_its_own_exception(locks: Locks) -> None:
    with pytest.raises(ZeroDivisionError) as caught, locks.lock("a", lease=0.05, auto_renew=False):
        time.sleep(0.1)
        raise ZeroDivisionError
    assert "lease is over" in caught.value.__notes__[0]
    with pytest.raises(ZeroDivisionError), locks.lock("a"):
        raise ZeroDivisionError
    assert locks.inspect("a") is None


def test_leaving_a_block_whose_lock_was_lost_says_so(locks: Locks) -> None:
    with pytest.raises(LockLost), locks.lock("a", lease=0.05, auto_renew=False) as this:
        time.sleep(0.1)
        with pytest.raises(LockLost):
            this.check()


def test_a_lock_may_be_released_inside_its_block(locks: Locks) -> None:
    with locks.lock("a") as this:
        this.release()
        assert locks.inspect("a") is None


def test_what_acquire_returns_is_a_context_manager(locks: Locks) -> None:
    with held(locks.lock("a")):
        assert locks.inspect("a") is not None
    assert locks.inspect("a") is None


# --- waiting ------------------------------------------------------------------------------------------------


def test_a_waiter_gives_up_in_time_and_leaves_the_queue(locks: Locks, machine_lag: MachineLag) -> None:
    with locks.lock("a"):
        for timeout in (0.05, 0.3, 1.3):
            began = time.monotonic()
            assert locks.lock("a").acquire(timeout) is None
            assert timeout <= time.monotonic() - began < timeout + machine_lag.slack
            info = locks.inspect("a")
            assert info is not None
            assert info.waiters == 0
        with pytest.raises(LockTimeout, match=r"'a' was not free within 0\.1 s; c1 holds it"):
            locks.lock("a", timeout=0.1).__enter__()
        with pytest.raises(TimeoutError):
            locks.lock("a", timeout=0).__enter__()


def test_a_waiter_holds_soon_after_the_release(locks: Locks, machine_lag: MachineLag) -> None:
    first = held(locks.lock("a"))
    got: list[float] = []

    def wait() -> None:
        with locks.lock("a"):
            got.append(time.monotonic())

    thread = in_thread(wait)
    wait_for(lambda: locks.list()[0].waiters == 1)
    time.sleep(1.2)  # more than one round
    released = time.monotonic()
    first.release()
    thread.join()
    assert got[0] - released < 0.3 + machine_lag.slack  # woken: who had to ask again would come after most of a second


def test_waiters_hold_in_the_order_in_which_they_came(locks: Locks) -> None:
    first, order, threads = held(locks.lock("a")), list[int](), []

    def wait(place: int) -> None:
        with locks.lock("a"):
            order.append(place)

    for place in range(5):
        threads.append(in_thread(lambda place=place: wait(place)))
        wait_for(lambda place=place: locks.list()[0].waiters == place + 1)
        time.sleep(0.02)
    first.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_who_waits_for_a_dead_holder_holds_when_the_lease_is_over(locks: Locks, machine_lag: MachineLag) -> None:
    held(locks.lock("a", lease=0.7, auto_renew=False))
    began = time.monotonic()
    with locks.lock("a"):
        assert 0.6 < time.monotonic() - began < 0.7 + machine_lag.slack


@pytest.mark.parametrize("auto_renew", [True, False])
def test_a_lock_that_was_waited_for_has_its_whole_lease(locks: Locks, auto_renew: bool) -> None:
    first = held(locks.lock("a"))
    leases: list[float] = []

    def wait() -> None:
        with locks.lock("a", lease=20.0, auto_renew=auto_renew) as this:
            if auto_renew:
                assert this.remaining() > operations.WAKEUP_LEASE_S / 4
                wait_for(lambda: this.remaining() > 15, 1.0)
            leases.append(this.remaining())

    thread = in_thread(wait)
    wait_for(lambda: locks.list()[0].waiters == 1)
    first.release()
    thread.join()
    assert leases[0] > 15


def test_an_interrupted_waiter_leaves_the_queue(locks: Locks, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = engine.follow

    def interrupted(plan: Any) -> Any:
        engine.run(next(plan))  # the first attempt, which stands in the queue now
        monkeypatch.setattr(engine, "follow", follow)
        raise KeyboardInterrupt

    with locks.lock("a"):
        monkeypatch.setattr(engine, "follow", interrupted)
        with pytest.raises(KeyboardInterrupt):
            locks.lock("a").acquire()
        assert locks.list()[0].waiters == 0


# --- renewal ------------------------------------------------------------------------------------------------


def test_a_lease_is_renewed_while_it_is_held(locks: Locks) -> None:
    with locks.lock("a", lease=0.8) as this:
        time.sleep(2.0)
        this.check()
        assert locks.inspect("a") is not None


def test_one_thread_renews_all_leases_in_few_writes(engine: Engine, locks: Locks) -> None:
    before = set(threading.enumerate())
    many = [held(locks.lock(f"n{place}", lease=0.9)) for place in range(40)]
    renewals = engine.status().calls
    time.sleep(2.0)
    assert len(set(threading.enumerate()) - before) <= 1
    for this in many:
        this.check()
        this.release()
    assert engine.status().connections <= 2
    assert 40 * 4 <= engine.status().calls - renewals - 40 <= 40 * 9


def test_a_silent_server_costs_no_lease_on_another(locks: Locks) -> None:
    with Server(next(iter(available().values()))) as silent, Engine.from_url(silent.url) as engine:
        theirs = held(Locks("work", engine).lock("a", lease=1.0))
        with locks.lock("a", lease=1.0) as ours:
            silent.pause()
            assert theirs.lost.wait(5.0)
            time.sleep(1.5)
            ours.check()
        silent.resume()


def test_renewal_by_hand(locks: Locks) -> None:
    this = held(locks.lock("a", lease=0.4, auto_renew=False))
    for _ in range(4):
        time.sleep(0.2)
        this.renew()
        assert this.remaining() > 0.3
    time.sleep(0.45)
    with pytest.raises(LockLost):
        this.renew()


def test_renewal_cannot_bring_back_what_somebody_else_holds(locks: Locks, engine: Engine) -> None:
    this = held(locks.lock("a", lease=5.0, auto_renew=False))
    engine.run(operations.release(this._request))  # behind its back
    with locks.lock("a"):
        with pytest.raises(LockLost):
            this.renew()
        assert this.lost.is_set()


def test_a_renewing_holder_learns_that_its_lock_was_taken_away(locks: Locks, engine: Engine) -> None:
    this = held(locks.lock("a", lease=0.6))
    engine.run(operations.release(this._request))
    assert this.lost.wait(2.0)


def test_all_who_wait_hear_of_a_loss_long_before_the_lease_is_over(locks: Locks, engine: Engine) -> None:
    this = held(locks.lock("a", lease=6.0))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(this.lost.wait, 10.0) for _ in range(4)]
        engine.run(operations.release(this._request))  # so the first renewal is refused, after 2 s at the latest
        assert [one.result() for one in waiting] == [True] * 4
    assert time.monotonic() < this.lost.ends
    this.lost.clear()
    assert this.lost.wait(0.0)
    assert isinstance(this.lost, threading.Event)
    assert repr(this.lost) == "<Lost: set>"


def test_max_hold_ends_a_lease_that_is_renewed(locks: Locks, machine_lag: MachineLag) -> None:
    began = time.monotonic()
    this = held(locks.lock("a", lease=1.0, max_hold=1.1))
    assert this.lost.wait(5.0)
    assert 1.0 < time.monotonic() - began < 1.1 + machine_lag.slack
    with locks.lock("a", timeout=1.0):
        pass
    with pytest.raises(LockLost):
        this.release()


def test_lost_is_set_by_the_clock_alone(locks: Locks, machine_lag: MachineLag) -> None:
    this = held(locks.lock("a", lease=0.3, auto_renew=False))
    ends = time.monotonic() + this.remaining()
    assert not this.lost.wait(0.05)
    assert this.lost.wait(5.0)
    assert 0 <= time.monotonic() - ends < machine_lag.slack
    assert this.remaining() == 0.0


# --- fenced writes ------------------------------------------------------------------------------------------


def test_a_later_grant_refuses_the_earlier_holder_before_its_own_first_write(engine: Engine, locks: Locks) -> None:
    records = RecordMapping("work", ttl=60, engine=engine)
    old = held(locks.lock("a", lease=0.05, auto_renew=False))
    records.put("entry", {"by": "old", "n": 1}, fence=old)
    time.sleep(0.1)
    new = held(locks.lock("a"))
    for write in (
        lambda: records.put("entry", {"by": "late"}, fence=old),
        lambda: records.patch("entry", {"by": "late"}, fence=old),
        lambda: records.increment("entry", "n", fence=old),
        lambda: records.delete("entry", fence=old),
    ):
        with pytest.raises(StaleToken) as caught:
            write()
        assert (caught.value.token, caught.value.newest) == (old.fence, new.fence)
    assert dict(records["entry"]) == {"by": "old", "n": 1}
    records.put("entry", {"by": "new"}, fence=new)
    new.release()
    with pytest.raises(StaleToken):
        records.put("entry", {"by": "late"}, fence=old)


def test_errors_survive_pickling() -> None:
    for error in (LockTimeout("a", 1.5, "c1"), LockLost("a"), LockLost("a", "why")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
