"""What the stored bytes promise: equal values of equal types come back, and nothing else ever does."""
# ruff: noqa: DTZ001, DTZ901 - a datetime without a zone is a value like any other

from __future__ import annotations

import json
import random
import subprocess
import sys
import time as clock
from collections import Counter, OrderedDict, defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
import zstandard

from redis_state import codec
from redis_state.codec import COMPRESS_FROM, MAX_CONTAINERS, MAX_DECODED, MAX_DEPTH, MAX_ITEMS, as_json, decode, encode
from redis_state.errors import CorruptValue, UnsupportedType
from tests.support import ROOT

MESSAGEPACK, ZSTD = b"\xc1", b"\x28\xb5\x2f\xfd"
TIMINGS = [{"word": f"word{i % 321}", "start": i / 8, "end": i / 8 + 0.1} for i in range(2000)]

SAMPLES: list[Any] = [
    *(None, True, False, 0, 7, -7, 2**63, 2**64, -(2**63) - 1, 10**700, -(10**5000), 0.0, -0.0, 1.0, 1e22, 5e-324),
    *(float("nan"), float("inf"), float("-inf"), "", 'ä\x00\n"\\\u2028😀', "x" * 5000, b"", b"\x00\xff", b"x" * 5000),
    *([], {}, (), set(), frozenset(), [[]], [()], ((),), [None], {"": ""}, {"a": {"b": [1, 2.0, "3", True]}}),
    *({1: "int", "1": "str", b"1": "bytes", (1, (2,)): "tuple", None: 0, 2.5: 0}, {frozenset({1, 2}): {"x"}}),
    *([1, True, 1.0], {"n": float("nan")}, {"n": 2**70}, [2**70, b""], {"n": 10**5000}),
    *(Decimal("1.10"), Decimal("NaN"), Decimal("-0"), Decimal("1E+400"), UUID(int=2**127 + 5)),
    *(date(2024, 2, 29), time(1, 2, 3, 4), time(1, tzinfo=UTC), timedelta(days=-1, microseconds=1)),
    *(timedelta.max, timedelta.min, datetime.min, datetime.max, datetime(2024, 10, 27, 2, 30, fold=1)),
    *(
        datetime(2024, 5, 6, 7, 8, 9, 10, UTC),
        datetime(2024, 5, 6, tzinfo=timezone(timedelta(hours=5.5), "IST")),
    ),
    *(datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), ZoneInfo("UTC"), UTC),
    *(TIMINGS, {"text": "so it goes " * 900, "raw": b"\x00" * 900}, [(i, i + 1) for i in range(900)]),
]


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are equal and of equal types all the way down; NaN equals NaN, -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(map(same, left.items(), right.items()))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, set | frozenset):
        return sorted(map(shape, left)) == sorted(map(shape, right))
    if isinstance(left, float | Decimal | timezone):
        return repr(left) == repr(right)
    if isinstance(left, datetime | time):
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None)
            and left.fold == right.fold
            and same(left.tzinfo, right.tzinfo)
        )
    return bool(left == right)


def shape(value: Any) -> str:
    """Write a hashable value so that equal texts mean equal values of equal types, whatever the order of its sets."""
    if isinstance(value, tuple):
        return f"({', '.join(map(shape, value))})"
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(shape, value))})"
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize("value", SAMPLES, ids=lambda value: type(value).__name__)
def test_what_goes_in_comes_out(value):
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (5, b"5"),
        (-5, b"-5"),
        (2**64, b"18446744073709551616"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (1e22, b"1e+22"),
        (2.0, b"2.0"),
        (None, b"null"),
        (True, b"true"),
        ("Grüße", '"Grüße"'.encode()),
        ({"status": "done", "parts": [1, 2.5, None]}, b'{"status":"done","parts":[1,2.5,null]}'),
    ],
)
def test_small_plain_values_are_json_that_redis_cli_shows(value, stored):
    assert encode(value) == stored


@pytest.mark.parametrize("value", [b"x", (1,), {1: 2}, {"a": float("nan")}, [{"a": {b"x"}}], float("inf")])
def test_what_json_would_lose_is_messagepack(value):
    assert encode(value)[:1] == MESSAGEPACK


@pytest.mark.parametrize("value", [TIMINGS, "so it goes " * 900, {"raw": b"\x00" * 5000}])
def test_large_values_are_compressed_frames_that_say_their_size(value):
    frame = encode(value)
    assert frame[:4] == ZSTD
    assert zstandard.get_frame_parameters(frame).content_size == len(zstandard.decompress(frame)) > len(frame)
    assert zstandard.decompress(frame)[:1] == MESSAGEPACK


def test_compression_is_kept_only_where_it_is_smaller():
    noise = random.Random(1).randbytes(4000)
    assert encode(noise)[:1] == MESSAGEPACK
    assert encode("x" * (COMPRESS_FROM - 3))[:1] == b'"'
    assert encode("x" * COMPRESS_FROM)[:4] == ZSTD


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b"5", 5),
        (b"-12", -12),
        (b"0", 0),
        (b"0.30000000000000004", 0.30000000000000004),
        (b"1e+22", 1e22),
        (b"-1.5e-07", -1.5e-07),
        (b"9007199254740993", 9007199254740993),
        (zstandard.compress(b'{"a": 1}'), {"a": 1}),
    ],
)
def test_numbers_that_redis_and_lua_wrote_keep_their_type(stored, value):
    assert same(decode(stored), value)


class TrackedInt(int):
    def __plain__(self) -> int:
        return int(self)


class TrackedFloat(float):
    def __plain__(self) -> float:
        return float(self)


class FrozenList(list):
    def __plain__(self) -> list[Any]:
        return list(self)


class FrozenDict(dict):
    def __plain__(self) -> dict[Any, Any]:
        return dict(self)


@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [
        (TrackedInt(5), 5),
        (TrackedInt(2**70), 2**70),
        (TrackedFloat(0.5), 0.5),
        (FrozenList([TrackedInt(1)]), [1]),
        (FrozenDict(a=FrozenList([FrozenDict()])), {"a": [{}]}),
        ({"a": [FrozenDict(b=TrackedFloat(1.5))]}, {"a": [{"b": 1.5}]}),
        ((TrackedInt(2**70), FrozenList([b""])), (2**70, [b""])),
        (FrozenList(map(FrozenDict, TIMINGS)), TIMINGS),
    ],
)
def test_a_class_with_plain_is_stored_as_its_base(wrapped, plain):
    assert encode(wrapped) == encode(plain)
    assert same(decode(encode(wrapped)), plain)


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


@dataclass
class Point:
    x: int


Pair = namedtuple("Pair", "a b")
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
WIDE_CYCLE: list[Any] = []
WIDE_CYCLE += [WIDE_CYCLE, WIDE_CYCLE]
DEEP: Any = 1
for _ in range(MAX_DEPTH + 1):
    DEEP = [DEEP]


class Other(tzinfo):
    """A tzinfo of somebody else."""


@pytest.mark.parametrize(
    ("value", "path", "advice"),
    [
        (object(), "value", "plain data"),
        (1j, "value", "plain data"),
        ([1, object()], "value[1]", "plain data"),
        ({"timings": [0, 1, 2, {"word": object()}]}, "value.timings[3].word", "plain data"),
        ({"a b": {'"': object()}}, 'value["a b"]["\\""]', "plain data"),
        ({1: {(2, 3): object()}}, "value[1][(2, 3)]", "plain data"),
        ({"k": {object(): 1}}, "a key of value.k", "plain data"),
        ({"k": {Name("n"): 1}}, "a key of value.k", "str(x)"),
        ({1, Level.LOW, "x"} - {1} | {Level.LOW}, "an element of value", "x.value"),
        ({"s": (b"", frozenset({(Color.RED,)}))}, "an element of value.s[1][0]", "x.value"),
        ({"b": bytearray(b"x")}, "value.b", "bytes(x)"),
        ([memoryview(b"x")], "value[0]", "bytes(x)"),
        (bytearray(2000), "value", "bytes(x)"),
        ([FrozenList([bytearray(b"x")])], "value[0][0]", "bytes(x)"),
        ([*TIMINGS, {"b": bytearray(b"x")}], "value[2000].b", "bytes(x)"),
        ({"t": [msgpack.ExtType(1, b"")]}, "value.t[0]", "tuple(x)"),
        ((msgpack.Timestamp(1),), "value[0]", "plain data"),
        (Level.LOW, "value", "x.value"),
        (Pair(1, 2), "value", "tuple(x)"),
        ({"p": Point(1)}, "value.p", "dataclasses.asdict(x)"),
        (OrderedDict(a=1), "value", "dict(x)"),
        ([defaultdict(list)], "value[0]", "dict(x)"),
        ({"c": Counter("abc")}, "value.c", "dict(x)"),
        ({"n": Name("x")}, "value.n", "str(x)"),
        ({"s": "\ud800"}, "value.s", "surrogatepass"),
        ("\udfff" * 2000, "value", "surrogatepass"),
        ({"\ud800": 1}, "a key of value", "surrogatepass"),
        (datetime(2024, 1, 1, tzinfo=Other()), "value.tzinfo", "plain data"),
        ((x for x in ()), "value", "plain data"),
        (CYCLE, "value" + "[0]" * MAX_DEPTH, "holds itself"),
        (WIDE_CYCLE, "value" + "[0]" * MAX_DEPTH, "holds itself"),
        (DEEP, "value" + "[0]" * MAX_DEPTH, f"deeper than {MAX_DEPTH}"),
        ({"k": DEEP[0]}, "value.k" + "[0]" * (MAX_DEPTH - 1), f"deeper than {MAX_DEPTH}"),
    ],
)
def test_what_would_not_come_back_is_refused_by_its_path(value, path, advice):
    with pytest.raises(UnsupportedType) as caught:
        encode(value)
    words = str(caught.value)
    assert words.startswith((f"{path} is ", f"{path} holds "))
    assert advice in words


def test_the_path_starts_with_the_name_of_the_field():
    with pytest.raises(UnsupportedType, match=r"^timings\[3\]\.word is of type object"):
        encode([0, 1, 2, {"word": object()}], path="timings")


def test_nesting_is_accepted_up_to_the_limit():
    assert same(decode(encode(DEEP[0])), DEEP[0])
    tuples: Any = b"x"
    for _ in range(MAX_DEPTH):
        tuples = (tuples,)
    assert same(decode(encode(tuples)), tuples)


def test_a_value_over_the_limit_is_refused():
    with pytest.raises(UnsupportedType, match="store it in parts"):
        encode({"raw": bytes(MAX_DECODED)})


def frame_claiming(size: int) -> bytes:
    """Build a frame whose header claims ``size`` bytes, around one block of 128 KB of zeros."""
    return ZSTD + b"\xe0" + size.to_bytes(8, "little") + (128 * 1024 << 3 | 3).to_bytes(3, "little") + b"\x00"


def without_size(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(body)


FRAME = encode(TIMINGS)


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b" ",
            b"\xc1",
            b"5 ",
            b" 5",
            b"05",
            b"00",
            b"+5",
            b"5_0",
            b"5.",
            b".5",
            b"0x1",
            b"nan",
            b"-inf",
            b"inf",
            b"NaN",
        ),
        *(
            b"-Infinity",
            b"[NaN]",
            b"tru",
            b'"a',
            b'"a" ',
            b'"\xff"',
            b'"\n"',
            b"{}{}",
            b"{'a':1}",
            b"\xff",
            b"\x80\x04N.",
        ),
        *(b"9" * 5000, b"[" + b"9" * 5000 + b"]", b"[" * 100_000, b'{"a":' * 100_000, b"\xc1" + b"\x91" * 100_000),
        *(b"\xc1\xc1", b"\xc1\x01\x02", b"\xc1\x92\x01", b"\xc1\x81\x90\x01", b"\xc1\x81\x80\x01", b"\xc1\xa1\xff"),
        b"\xc1\xc7\x00\x01",  # a mark that opens no list
        b"\xc1\x92\x01\xc7\x00\x01",  # in second place
        b"\xc1\x92\xc7\x00\x02\x90",  # a set of a list
        b"\xc1\x91\xc7\x00\x63",  # an unknown type
        b"\xc1\x92\xd4\x01\x00\x01",  # a mark with content
        b"\xc1\x92\xc7\x00\x05\xa1x",  # Decimal("x")
        b"\xc1\x92\xc7\x00\x0c\xa9../../etc",  # a zone outside the data base
        *(ZSTD, FRAME[:-1], FRAME + b"\x00", FRAME + FRAME, without_size(b"[1]"), zstandard.compress(b"")),
        *(zstandard.compress(FRAME), zstandard.compress(b"(")),
        *(frame_claiming(0), frame_claiming(1), frame_claiming(MAX_DECODED), frame_claiming(2**64 - 1)),
    ],
    ids=lambda data: repr(data[:16]),
)
def test_bytes_that_we_did_not_write_are_corrupt(data):
    with pytest.raises(CorruptValue):
        decode(data)


def test_a_timestamp_of_messagepack_itself_is_read_as_a_datetime():
    assert same(decode(MESSAGEPACK + msgpack.packb(msgpack.Timestamp(86400))), datetime(1970, 1, 2, tzinfo=UTC))


def test_a_flipped_bit_inside_a_frame_is_noticed():
    damaged = bytearray(FRAME)
    damaged[len(FRAME) // 2] ^= 1
    with pytest.raises(CorruptValue):
        decode(bytes(damaged))


def confined(body: str, megabytes: int) -> None:
    """Run Python in a process of its own that may not take more memory than that beyond what its imports took."""
    start = f"""
import random, resource, sys, time
import msgpack, zstandard
sys.path[:0] = {[str(ROOT), str(Path(codec.__file__).parents[2])]!r}
from tests.codec import test_codec
from redis_state.codec import decode, encode
from redis_state.errors import CorruptValue
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {megabytes << 20},) * 2)
"""
    done = subprocess.run(
        [sys.executable, "-c", start + body], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS holds on Linux")


@linux
def test_a_bomb_is_refused_before_it_inflates():
    confined(
        """
chunk, bomb = bytes(1 << 20), zstandard.ZstdCompressor().compressobj(size=1 << 30)
frame = b"".join(bomb.compress(chunk) for _ in range(1024)) + bomb.flush()
assert len(frame) < 100_000
for data in (frame, test_codec.frame_claiming((1 << 30) - 1), test_codec.frame_claiming(64 << 20)):
    try:
        decode(data)
    except CorruptValue:
        continue
    raise SystemExit("inflated")
""",
        megabytes=48,
    )


@linux
def test_lists_that_claim_more_than_there_is_allocate_nothing():
    confined(
        """
for length in (1000, 4000, 100_000, 8_000_000):
    header = b"\\xdd" + (length - 10).to_bytes(4, "big")
    try:
        decode(b"\\xc1" + header * 1000 + bytes(max(0, length - 5000)))
    except CorruptValue:
        continue
    raise SystemExit("built")
""",
        megabytes=100,
    )


def bombs():
    """Make stored values of too many things, one after the other."""
    many = MAX_CONTAINERS + 1
    header = b"\xc1\xdd" + many.to_bytes(4, "big")
    yield header + b"\x90" * many  # empty lists
    yield header + b"\x91\xc7\x00\x02" * many  # sets
    yield b"[" + b"[]," * many + b"1]"
    yield b"[" + b"{}," * many + b"1]"
    yield b"[" + b"1," * MAX_ITEMS + b"1]"
    texts = (1 << 22).to_bytes(4, "big") + b"\xa2ab" * ((1 << 22) - 1)
    yield b"\xc1" + (b"\xdd" + texts) * 3  # the last item of each list is the next list


@linux
def test_values_of_too_many_things_are_refused_before_they_are_made():
    confined(
        """
for place, bomb in enumerate(test_codec.bombs()):
    try:
        decode(zstandard.ZstdCompressor(level=1).compress(bomb))
    except CorruptValue:
        continue
    raise SystemExit(f"made number {place}")
""",
        megabytes=400,
    )


@pytest.mark.parametrize(
    ("many", "said"),
    [
        (lambda: [[]] * MAX_CONTAINERS, "more than 1048576 containers"),
        (lambda: [{}] * MAX_CONTAINERS, "more than 1048576 containers"),
        (lambda: [0.1] * MAX_CONTAINERS + [[]] * MAX_CONTAINERS, "more than 1048576 containers"),
    ],
    ids=["lists", "dicts", "lists behind floats"],
)
def test_what_would_not_be_read_is_not_stored(many, said):
    with pytest.raises(UnsupportedType, match=f"value holds {said}: store it in parts"):
        encode(many())


@pytest.mark.parametrize(
    "make",
    [
        lambda: [[]] * (MAX_CONTAINERS - 1),
        lambda: [0.1] * 1_000_000 + [(1, 2.5)] * 100_000,
        lambda: ["ab"] * 1_500_000,
        lambda: [random.Random(1).randbytes(1 << 20)] * 3,
        lambda: ["\u0431" * 100] * 10_000,
    ],
    ids=["lists", "floats and tuples", "texts", "bytes", "letters"],
)
def test_large_values_are_kept(make):
    value = make()
    assert decode(encode(value)) == value


@linux
def test_a_hundred_thousand_damaged_values_give_a_value_or_corrupt_value():
    confined("test_codec.mutate(100_000)", megabytes=160)


def mutate(rounds: int) -> None:
    """Decode damaged copies of real stored values of all formats. Ends with an error if one does anything third."""
    dice = random.Random(20240229)
    words = [{"word": "so", "start": 0.5, "raw": b"\x00", "pair": (1, {2}), "at": datetime(2024, 1, 1)}] * 40
    whole = [encode(value) for value in SAMPLES if len(encode(value)) < 4000] + [
        encode(words),
        encode("so it goes " * 300),
    ]
    whole += [
        zstandard.compress(b'{"status": "done", "parts": [1, 2.5, null]}' * 1),
        MESSAGEPACK + zstandard.decompress(encode(words))[1:],
    ]
    ends = Counter[str]()
    for _ in range(rounds):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            damage(data, dice, whole)
        try:
            decode(bytes(data))
            ends["value"] += 1
        except CorruptValue:
            ends["corrupt"] += 1
    assert min(ends["value"], ends["corrupt"]) > rounds // 20, ends


def damage(data: bytearray, dice: random.Random, whole: list[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    kind = dice.randrange(7)
    if kind == 0:
        del data[at:]
    elif kind == 1:
        data[at:] = dice.choice(whole)[dice.randrange(20) :]
    elif kind == 2:
        data[at:at] = dice.randbytes(dice.randrange(1, 9))
    elif kind == 3 and len(data) > 8:  # the header of a frame: its flags and its size
        data[4 + dice.randrange(min(10, len(data) - 4))] = dice.randrange(256)
    elif kind == 4:  # lengths and extensions of MessagePack
        data[at : at + 5] = dice.choice(
            (b"\xdd", b"\xdf", b"\xc6", b"\xc9", b"\xdb", b"\xc7\x00", b"\xd7\xff")
        ) + dice.randbytes(4)
    elif at < len(data):
        data[at] ^= 1 << dice.randrange(8)


def test_eight_threads_share_the_codec():
    values = [TIMINGS, {"raw": b"x" * 3000}, (1, (2, {3})), {"a": 1}, "text", [(i, {i}) for i in range(500)], 2**70]
    until = clock.monotonic() + 1.0
    switch = sys.getswitchinterval()

    def work(number: int) -> int:
        count = 0
        while not count or clock.monotonic() < until:
            value = values[(number + count) % len(values)]
            assert same(decode(encode(value)), value)
            count += 1
        return count

    try:
        sys.setswitchinterval(1e-5)
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(switch)


def test_a_hook_that_encodes_while_it_is_encoded_harms_neither():
    class Nested(list):
        def __plain__(self) -> list[Any]:
            assert decode(encode([(9,)] * 300)) == [(9,)] * 300
            return list(self)

    assert same(decode(encode([(1,), Nested([2]), (3,)])), [(1,), [2], (3,)])


def test_as_json_shows_any_value_to_a_reader():
    value = {
        "raw": b"\x00\xff",
        "pair": (1, 2.5),
        1: float("nan"),
        b"k": {date(2024, 2, 29)},
        (1, b""): Decimal("1.10"),
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "for": timedelta(hours=1),
        "n": 16**5000,
    }
    assert json.loads(as_json(value)) == {
        "raw": "AP8=",
        "pair": [1, 2.5],
        "1": None,
        "aw==": ["2024-02-29"],
        '[1, ""]': "1.10",
        "at": "2024-01-01T00:00:00+00:00",
        "for": "1:00:00",
        "n": "0x1" + "0" * 5000,
    }
    assert as_json("Grüße") == '"Grüße"'
