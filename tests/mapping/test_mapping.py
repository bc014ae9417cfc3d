"""What every mapping does: a dict that all containers share. Each claim holds for records and values, in one partition
and in four."""

from __future__ import annotations

import time
from binascii import crc_hqx
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from redis_state import Engine, RecordMapping, UnsupportedType, ValueMapping
from redis_state.keys import Keys
from redis_state.mapping import SharedMapping
from redis_state.mapping.record_operations import RecordOperations
from redis_state.mapping.value_operations import ValueOperations
from tests.support.servers import Server
from tests.support.waits import eventually

ODD_NAMES = [
    "",
    " ",
    "{",
    "}{",
    "{a}:b",
    ":",
    "a:b:c",
    "line\nbreak\r\n",
    "nul\0nul",
    "naïve ☃ 🎧 ḿ",
    "'\"\\",
    "*?[a]",
    "@version",
    "x" * 10_000,
]
KINDS = {"records": (RecordMapping, 1), "values": (ValueMapping, 1), "records in 4": (RecordMapping, 4)}
KINDS["values in 4"] = (ValueMapping, 4)


@pytest.fixture(params=list(KINDS))
def m(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Any]:
    kind, partitions = KINDS[request.param]
    with Engine(engine.settings.with_changes(partitions=partitions)) as made:
        yield kind("things", ttl=60, engine=made)


@pytest.fixture(params=[RecordMapping, ValueMapping])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def entries(count: int) -> dict[str, dict[str, int]]:
    return {f"k{n}": {"n": n} for n in range(count)}


# --- a dict -------------------------------------------------------------------------------------------


def test_it_is_a_mutable_mapping(m: Any) -> None:
    assert isinstance(m, MutableMapping)


def test_what_was_set_is_read(m: Any) -> None:
    m["a"] = {"n": 1}
    assert m["a"] == {"n": 1}
    assert m.get("a") == {"n": 1}


def test_setting_again_replaces_the_whole_entry(m: Any) -> None:
    m["a"] = {"n": 1, "old": True}
    m["a"] = {"n": 2}
    assert m["a"] == {"n": 2}


def test_what_is_absent_is_a_key_error_or_the_default(m: Any) -> None:
    for missing in (lambda: m["a"], lambda: m.__delitem__("a"), lambda: m.pop("a"), m.popitem):
        with pytest.raises(KeyError):
            missing()
    assert m.get("a") is None
    assert m.get("a", 5) == 5
    assert m.pop("a", None) is None
    assert m.pop("a", 5) == 5
    assert "a" not in m


def test_deleting_removes(m: Any) -> None:
    m.update(entries(2))
    del m["k0"]
    assert m == {"k1": {"n": 1}}
    assert m.delete("k1") is True
    assert m.delete("k1") is False
    assert not m


def test_pop_takes_the_entry_out(m: Any) -> None:
    m["a"] = {"n": 1}
    popped = m.pop("a", None)
    assert popped == {"n": 1}
    assert type(popped) is dict
    assert "a" not in m


def test_popitem_takes_each_entry_out_once(m: Any) -> None:
    m.update(entries(20))
    assert dict(m.popitem() for _ in range(20)) == entries(20)
    assert len(m) == 0


def test_popitem_looks_again_when_others_were_faster(m: Any) -> None:
    m["a"] = {"n": 1}
    plan = m.entries.pop_any()
    names = m.engine.run(next(plan))
    while not names[1]:
        names = m.engine.run(plan.send(names))
    m["b"] = {"n": 2}
    del m["a"]
    step = plan.send(names)
    with pytest.raises(StopIteration) as end:
        while True:
            step = plan.send(m.engine.run(step))
    assert end.value.value is not None
    assert end.value.value[0] == "b"
    assert len(m) == 0


def test_setdefault_writes_only_what_is_absent(m: Any) -> None:
    assert m.setdefault("a", {"n": 1}) == {"n": 1}
    assert m.setdefault("a", {"n": 2}) == {"n": 1}
    assert m["a"] == {"n": 1}


def test_update_takes_what_dict_update_takes(m: Any) -> None:
    m.update({"a": {"n": 1}})
    m.update([("b", {"n": 2})])
    m.update(c={"n": 3})
    m |= {"d": {"n": 4}}
    assert m == {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}, "d": {"n": 4}}


def test_clear_leaves_nothing(m: Any) -> None:
    m.update(entries(30))
    m.clear()
    assert len(m) == 0
    assert list(m) == []
    assert m.get("k0") is None


def test_views_show_what_is_there(m: Any) -> None:
    m.update(entries(5))
    assert set(m) == set(m.keys()) == set(entries(5))
    assert dict(m.items()) == entries(5)
    assert sorted(value["n"] for value in m.values()) == [0, 1, 2, 3, 4]
    assert len(m) == len(m.keys()) == len(m.items()) == len(m.values()) == 5
    assert ("k1", {"n": 1}) in m.items()
    assert ("k1", {"n": 2}) not in m.items()
    assert {"n": 1} in m.values()
    assert {"n": 9} not in m.values()
    assert "k1" in m.keys()  # noqa: SIM118


def test_it_equals_a_dict_with_the_same_entries(m: Any) -> None:
    m.update(entries(3))
    assert m == entries(3)
    assert entries(3) == m
    assert m != entries(2)
    assert m != {**entries(3), "k0": {"n": 5}}
    assert m != 5
    assert m == m.copy()


def test_a_copy_is_plain_and_apart(m: Any) -> None:
    m["a"] = {"list": [1, {"x": [2]}]}
    copied = m.copy()
    assert type(copied) is dict
    assert type(copied["a"]) is dict
    copied["a"]["list"][1]["x"].append(3)
    assert m["a"] == {"list": [1, {"x": [2]}]}


def test_it_cannot_be_hashed(m: Any) -> None:
    with pytest.raises(TypeError):
        hash(m)


def test_an_empty_entry_is_an_entry(m: Any) -> None:
    m["a"] = {}
    assert "a" in m
    assert m["a"] == {}
    assert m.get("a", 5) == {}
    assert list(m) == ["a"]
    assert m.pop("a") == {}


def test_dict_of_the_mapping_is_a_copy(m: Any) -> None:
    m.update(entries(3))
    assert dict(m) == entries(3)


# --- many entries -------------------------------------------------------------------------------------


def test_many_entries_are_written_read_and_iterated(m: Any) -> None:
    many = entries(1203)
    m.put_many(many)
    assert len(m) == 1203
    assert sorted(m) == sorted(many)
    assert m.get_many(many) == many
    assert dict(m.items()) == many
    m.clear()
    assert len(m) == 0


def test_get_many_leaves_out_what_is_absent_and_keeps_the_order(m: Any) -> None:
    m.update(entries(5))
    assert list(m.get_many(["k3", "none", "k1", "k3"]).items()) == [("k3", {"n": 3}), ("k1", {"n": 1})]
    assert m.get_many([]) == {}
    assert m.get_many(iter(["k2"])) == {"k2": {"n": 2}}


def test_put_many_takes_a_ttl(m: Any) -> None:
    m.put_many(entries(3), ttl=5)
    assert all(0 < m.ttl(key) <= 5 for key in m)


# --- names --------------------------------------------------------------------------------------------


def test_a_name_may_hold_anything(m: Any) -> None:
    for number, name in enumerate(ODD_NAMES):
        m[name] = {"n": number}
    assert sorted(m) == sorted(ODD_NAMES)
    assert [m[name]["n"] for name in ODD_NAMES] == list(range(len(ODD_NAMES)))
    assert m.get_many(ODD_NAMES) == dict(m.items())
    for name in ODD_NAMES:
        assert m.pop(name)["n"] == ODD_NAMES.index(name)
    assert not m


@pytest.mark.parametrize("key", [1, None, b"a", 1.5, ("a",)])
def test_a_key_that_is_no_string_is_refused_everywhere(m: Any, key: Any) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: m[key],
        lambda: m.get(key),
        lambda: m.__setitem__(key, {}),
        lambda: m.__delitem__(key),
        lambda: key in m,
        lambda: m.pop(key, None),
        lambda: m.setdefault(key, {}),
        lambda: m.put(key, {}),
        lambda: m.delete(key),
        lambda: m.ttl(key),
        lambda: m.touch(key),
        lambda: m.get_many([key]),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="a key is a string"):
            attempt()
    assert len(m) == 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({5: {"n": 1}}, TypeError),
        ({"half a pair \ud800": {"n": 1}}, ValueError),
        ({"x": {"n": object()}}, UnsupportedType),
        ({"x": {"n": "half a pair \ud800"}}, (ValueError, TypeError)),
        ({"x": None}, TypeError),
    ],
)
def test_many_are_all_checked_before_the_first_is_written(m: Any, wrong: Any, error: Any) -> None:
    for write in (m.update, m.put_many, m.__ior__):
        with pytest.raises(error):
            write({**entries(700), **wrong})
    assert len(m) == 0


def test_none_is_no_entry(m: Any) -> None:
    for write in (lambda: m.put("a", None), lambda: m.__setitem__("a", None), lambda: m.setdefault("a")):
        with pytest.raises(TypeError):
            write()
    assert "a" not in m


# --- time to live -------------------------------------------------------------------------------------


def test_an_entry_lives_as_long_as_the_mapping_says(m: Any) -> None:
    m["a"] = {"n": 1}
    assert 50 < m.ttl("a") <= 60


def test_put_gives_an_entry_its_own_time(m: Any) -> None:
    m.put("a", {"n": 1}, ttl=500)
    assert 490 < m.ttl("a") <= 500


def test_what_is_absent_has_no_time(m: Any) -> None:
    assert m.ttl("a") is None
    assert m.touch("a") is False
    assert m.touch("a", 5) is False
    assert len(m) == 0


def test_touch_renews_or_sets_the_time(m: Any) -> None:
    m["a"] = {"n": 1}
    assert m.touch("a", 500) is True
    assert m.ttl("a") > 490
    assert m.touch("a", 5) is True
    assert m.ttl("a") <= 5
    assert m["a"] == {"n": 1}


def test_touch_moves_the_entry_in_the_index_too(m: Any) -> None:
    m["a"] = {"n": 1}
    m.touch("a", 0.05)
    assert eventually(lambda: m.get("a") is None)
    assert len(m) == 0
    assert list(m) == []


def test_reading_renews_nothing(m: Any) -> None:
    m.put("a", {"n": 1}, ttl=60)
    before = m.ttl("a")
    time.sleep(0.02)
    _ = m["a"], m.get("a"), m.get_many(["a"]), "a" in m, list(m), len(m), dict(m.items())
    assert m.ttl("a") < before


def test_an_expired_entry_is_nowhere(m: Any) -> None:
    m.put("short", {"n": 1}, ttl=0.05)
    m.put("long", {"n": 2})
    assert eventually(lambda: m.get("short") is None)
    assert "short" not in m
    assert len(m) == 1
    assert list(m) == ["long"]
    assert dict(m.items()) == {"long": {"n": 2}}
    assert m.setdefault("short", {"n": 3}) == {"n": 3}


def test_writes_sweep_the_names_of_expired_entries(m: Any, server: Server) -> None:
    m.put_many(entries(20), ttl=0.02)
    assert eventually(lambda: len(m) == 0)
    for n in range(40):
        m[f"new{n}"] = {"n": n}
    with server.client() as client:
        assert sum(client.zcard(index) for index in m.entries.keys.all(m.entries.index_slot)) == 40


def test_an_index_outlives_its_entries(m: Any, server: Server) -> None:
    m.put("short", {"n": 1}, ttl=0.05)
    m.put("a", {"n": 1}, ttl=500)
    m.put("b", {"n": 1}, ttl=5)
    with server.client() as client:
        assert max(client.pttl(index) for index in m.entries.keys.all(m.entries.index_slot)) >= 500_000
    assert set(m) >= {"a", "b"}


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_time_that_cannot_be_is_refused(m: Any, ttl: float) -> None:
    for write in (lambda: m.put("a", {"n": 1}, ttl=ttl), lambda: m.put_many(entries(2), ttl=ttl)):
        with pytest.raises(ValueError, match="ttl"):
            write()
    with pytest.raises(ValueError, match="ttl"):
        type(m)("things", ttl=ttl)
    assert len(m) == 0


@pytest.mark.parametrize("ttl", ["5", True, None])
def test_a_time_is_a_number(kind: Any, ttl: Any) -> None:
    with pytest.raises(TypeError, match="ttl"):
        kind("things", ttl=ttl)


# --- where the keys are -------------------------------------------------------------------------------


def test_all_keys_of_a_partition_share_a_slot_and_the_mapping_is_spread(engine: Engine, server: Server) -> None:
    with Engine(engine.settings.with_changes(partitions=4)) as parted:
        RecordMapping("things", ttl=60, engine=parted).put_many(entries(40))
    with server.client() as client:
        tags = Counter(key[key.index("{") + 1 : key.index("}")] for key in client.keys("*"))
    assert set(tags) == {f"things.{n}" for n in range(4)}
    assert len({crc_hqx(tag.encode(), 0) % 16384 for tag in tags}) == 4


def test_namespaces_prefixes_and_kinds_are_apart(engine: Engine) -> None:
    one, other = (ValueMapping(name, ttl=60, engine=engine) for name in ("one", "other"))
    records = RecordMapping("records", ttl=60, engine=engine)
    with Engine(engine.settings.with_changes(prefix=f"{engine.settings.prefix}x")) as elsewhere:
        prefixed = ValueMapping("one", ttl=60, engine=elsewhere)
        one["a"], other["a"], records["a"], prefixed["a"] = 1, 2, {"n": 3}, 4
        assert (one, other, records, prefixed) == ({"a": 1}, {"a": 2}, {"a": {"n": 3}}, {"a": 4})
        one.clear()
        assert (other, records, prefixed) == ({"a": 2}, {"a": {"n": 3}}, {"a": 4})


def test_a_bad_namespace_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(ValueError, match="namespace"):
        kind("{}", ttl=60)


# --- the same as operations, on both engines ----------------------------------------------------------


@pytest.fixture(params=[RecordOperations, ValueOperations])
def stored(request: pytest.FixtureRequest, prefix: str) -> Any:
    return request.param(Keys("things", prefix=prefix), 60.0)


def test_operations_do_what_the_dict_does(ask: Any, stored: Any) -> None:
    assert ask(stored.create("a", {"n": 1})) is True
    assert ask(stored.create("a", {"n": 2})) is False
    assert ask(stored.contains("a")) is True
    assert set(ask(stored.get_many(["a", "b"]))) == {"a"}
    assert ask(stored.touch("a", 5)) is True
    assert ask(stored.ttl_of("a")) <= 5
    assert ask(stored.remove("a")) is True
    assert ask(stored.remove("a")) is False
    assert ask(stored.pop("a")) is None
    assert ask(stored.get("a")) is None


def test_many_operations_go_in_one_write(ask: Any, stored: Any) -> None:
    ask([stored.put(f"k{n}", {"n": n}) for n in range(600)])
    assert ask(stored.count()) == 600
    assert len(ask(stored.names())) == 600
    assert len(ask(stored.get_many([f"k{n}" for n in range(700)]))) == 600
    ask(stored.clear())
    assert ask(stored.count()) == 0


# --- eight processes at once --------------------------------------------------------------------------


def ours(engine: Engine, kind: type[Any]) -> Any:
    mapping: SharedMapping[Any] = kind("race", ttl=60, engine=engine)
    return mapping


def set_defaults(engine: Engine, rank: int, kind: type[Any]) -> list[str]:
    m = ours(engine, kind)
    return [key for n in range(50) if m.setdefault(key := f"k{n}", {"by": rank})["by"] == rank]


def pop_all(engine: Engine, rank: int, kind: type[Any]) -> list[str]:
    m = ours(engine, kind)
    return [f"k{n}" for n in range(100) if m.pop(f"k{n}", None) is not None]


def pop_items(engine: Engine, rank: int, kind: type[Any]) -> list[str]:
    m = ours(engine, kind)
    taken = []
    try:
        while True:
            taken.append(m.popitem()[0])
    except KeyError:
        return taken


def delete_all(engine: Engine, rank: int, kind: type[Any]) -> list[str]:
    m = ours(engine, kind)
    return [f"k{n}" for n in range(50) if m.delete(f"k{n}")]


def flicker(engine: Engine, rank: int, kind: type[Any]) -> int:
    """Create and take away the same entry; every answer must be the entry."""
    m = ours(engine, kind)
    seen = 0
    for _ in range(60):
        if rank % 2:
            m.pop("k", None)
        else:
            seen += m.setdefault("k", {"n": 7})["n"] == 7
    return seen


def test_of_many_setdefaults_one_writes(process_pool: Any, engine: Engine, kind: Any) -> None:
    winners = [key for keys in process_pool.race(engine, set_defaults, kind) for key in keys]
    assert sorted(winners) == sorted(f"k{n}" for n in range(50))


@pytest.mark.parametrize("take", [pop_all, pop_items, delete_all])
def test_each_entry_is_taken_by_exactly_one(process_pool: Any, engine: Engine, kind: Any, take: Any) -> None:
    count = 50 if take is delete_all else 100
    ours(engine, kind).put_many(entries(count))
    taken = [key for keys in process_pool.race(engine, take, kind) for key in keys]
    assert sorted(taken) == sorted(entries(count))
    assert len(ours(engine, kind)) == 0


def test_setdefault_answers_also_when_the_entry_is_taken_away_at_once(
    process_pool: Any, engine: Engine, kind: Any
) -> None:
    assert sum(process_pool.race(engine, flicker, kind)) == 60 * process_pool.size // 2
