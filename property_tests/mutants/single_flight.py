"""Values that are computed once, for all who wait for them."""

from __future__ import annotations

from property_tests.mutants.mutant import Mutant

RESULTS = "tests/single_flight/test_single_flight_results.py::"

SINGLE_FLIGHT_MUTANTS = (
    Mutant(
        name="flight/computes-what-was-just-stored",
        file="redis_state/single_flight/compute.py",
        text="found = engine.follow(flight.work.poll())",
        wrong="found = None",
        why="who gets the lock does not look again, and computes what another has just stored",
        caught_by="property_tests/schedules/test_single_flight_schedules.py",
    ),
    Mutant(
        name="flight/everybody-computes",
        file="redis_state/single_flight/compute.py",
        text="else _arrive(engine, flight, found)\n",
        wrong='else Alone("", stores=True)\n',
        why="no caller asks whether another is computing",
        caught_by="property_tests/schedules/test_single_flight_schedules.py",
    ),
    Mutant(
        name="flight/failure-reaches-nobody",
        file="redis_state/single_flight/operations.py",
        text='self.outcome = "failed", told(error)',
        wrong='self.outcome = "done", ""',
        why="those who wait for a value are not told that computing it failed",
        caught_by="property_tests/machines/test_flight_model.py",
    ),
    Mutant(
        name="flight/failure-is-forgotten",
        file="lua/single_flight/end.lua",
        text="if how == 'failed' and kept_ms > 0 then",
        wrong="if false then",
        why="a failure that is to be remembered is computed again",
        caught_by="property_tests/machines/test_flight_model.py",
    ),
    Mutant(
        name="flight/told-where-no-caller-waits",
        file="lua/single_flight/end.lua",
        text="if redis.call('DEL', waiting) == 1 then",
        wrong="if true then",
        why="each name that is asked for leaves a stream of 4 KB",
        caught_by="property_tests/machines/test_flight_model.py",
    ),
    Mutant(
        name="flight/waiter-leaves-no-mark",
        file="lua/single_flight/lead.lua",
        text="if waits_ms > 0 then",
        wrong="if false then",
        why="those who wait are not told that the value is there, and look once a second",
        caught_by="property_tests/machines/test_flight_model.py",
    ),
    Mutant(
        name="flight/name-leaves-a-token",
        file="redis_state/single_flight/operations.py",
        text='"waits_ms": WAITS_MS if waits else 0}',
        wrong='"waits_ms": WAITS_MS if waits else 0, "tokens": request.partition.key("fence", request.name)}',
        why="each name that is asked for leaves a token for a day",
        caught_by="property_tests/machines/test_flight_model.py",
    ),
    Mutant(
        name="flight/success-is-thrown-away",
        file="redis_state/single_flight/operations.py",
        text='self.outcome = "unkept", self.unkept(error)',
        wrong="raise",
        why="a function that succeeded seems to fail where its value cannot be stored",
        caught_by=RESULTS + "test_a_result_that_cannot_be_kept_is_returned",
    ),
    Mutant(
        name="flight/waits-for-itself",
        file="redis_state/single_flight/chain.py",
        text="if one.place == place:",
        wrong="if False:",
        why="a computation that asks for its own value waits for itself",
        caught_by=RESULTS + "test_a_computation_that_asks_for_itself_is_refused",
    ),
)
