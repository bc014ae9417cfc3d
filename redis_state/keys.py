"""Every key this package writes: its pattern, its type, what it holds and how long it lives.

::

    {prefix}:{{namespace}}:{kind}:{name}        rs:{progress}:r:track-7:voice:2
    {prefix}:{{namespace.3}}:{kind}:{name}      one of several partitions: number
                                                crc16(name) mod their count, see partition_tags

    kind        type     holds                                                     lives
    r:<name>    hash     a record: a field per entry, and @owner @version @ttl     the entry's TTL
                         @created @updated @fence @generation ...; a field "@x"
                         is stored "@@x"
    v:<name>    string   an opaque value                                           the entry's TTL
    index       zset     the partition's index of records: name -> expiry in ms    as its longest entry, at least
    values      zset     the same of values                                        as its longest entry, at least
    l:<name>    hash     a lock that is held: owner fence container since note     the lease
    f:<name>    hash     the last fencing token of the lock of that name           24 h + lease
    q:<name>    zset     who waits for it: waiter -> time in ms until which it      4 s after the last one asked
                         counts; negative: it left, and until when that is kept     (who left: 5 minutes)
    w:<name>    list     the wake-up on its way to a waiter                        10 s
    leases      zset     the locks held: name -> end of lease in ms; who died       2 days
                         holding stays for a day
    b:<name>    string   bitmap of finished segments, of accepted chunks            as the record
    k:<name>    hash     checksums of accepted chunks: number -> checksum           as the record
    open        zset     transfers not ended: name -> when to look, in ms, whether  2 to 4 days, or longer than
                         it is still alive                                          the longest record
    reserved    hash     name -> bytes it reserves (-: none) and its owner          as open
    accounts    hash     n:<owner> -> open transfers, b:<owner> -> bytes,           as open
                         d:<owner> -> dead ones remembered
    dead        zset     uploads that died: name -> when, in ms; kept for 2 days    4 days after the last death
    snapshots   hash     name -> the fields that an upload was opened with          as open
    n:<name>    stream   news: its last entry tells watchers of a change            as the record
                         of a value that callers wait for: how computing it ended   10 s
    tokens      hash     the last token of all values that are computed once       24 h + lease
    t:<name>    string   a caller waits for the value of that name                 3 s
    completions zset     not confirmed yet: name -> end of lease in ms              62 days, or 2 x the TTL
    texts       hash     text cache: name -> 8 random bytes and the text            as the last entry put there,
    metadata    hash     text cache: name -> packed metadata; field 0xFF: totals    and 2 to 3 days more
    lru         zset     text cache: name -> last use, in us                        (these four end together)
    expiries    zset     text cache: name -> expiry, in ms
    y:<name>    string   how computing the value of that name failed               as long as it is kept
    s:<name>    zset     voice access: segment -> last access, in us               2 h after the last access,
    g:<name>    hll      voice access: how many segments there were                   as r:<name> of the voice
    j:<track>   zset     voice access: voices of a track -> last access, in us
    voices      zset     voice access: those of the partition -> last access, in us
    c:<caller>  string   a caller's last call: number and reply                    15 minutes
    c:replicas  string   a mark behind a write that replicas are to confirm        a minute

The braces put all keys of a partition into one hash slot, so that one script may change a record,
its index, its companions and the record of the call together. A namespace holds no braces; a name
may hold anything, since it stands behind the first tag.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from redis_state.errors import ConfigError

HASH_SLOTS = 16384


def text_of(name: object, what: str = "a key") -> str:
    """Return a name as its text: a member of ``class K(str, Enum)`` names the same thing as what it holds."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    raise TypeError(f"{what} is a string, not {type(name).__name__}: {name!r}")


# Namespaces in which more than records lies beside a record: a record written past its owner would contradict that.
BUILT_IN = {
    "progress": "progress_state",
    "upload": "upload_state",
    "download": "download_state",
    "voice_access": "voice_access_tracker",
    "upload_stats": "upload_stats",
}


def of_records(namespace: str) -> str:
    """Return the namespace of a mapping of records. ``ConfigError`` for one that a built-in object keeps for itself."""
    namespace = text_of(namespace, "a namespace")
    if namespace in BUILT_IN:
        raise ConfigError(
            f"namespace {namespace!r} is that of {BUILT_IN[namespace]}, which keeps more there than records; "
            f"use {BUILT_IN[namespace]}, or another name"
        )
    return namespace


class Slot(NamedTuple):
    """A key slot of the scripts: the key's kind, behind which a name stands if it ends with a colon."""

    key: str
    holds: str  # the comment of the slot in each Lua file

    @property
    def named(self) -> bool:
        return self.key.endswith(":")


# The key slots of lua/, by name. One that is no key of a name is one key of each partition.
SLOTS: Mapping[str, Slot] = {
    "entry": Slot("r:", "hash: the record"),
    "partition": Slot("index", "zset: the index"),
    "value": Slot("v:", "string: the value"),
    "values": Slot("values", "zset: the index of values"),
    "lock": Slot("l:", "hash: owner, fence, container, since, note; lives for the lease"),
    "fence": Slot("f:", "hash: the last token of the lock"),
    "queue": Slot("q:", "zset: waiter -> time in ms until which it counts; negative: it left"),
    "wake": Slot("w:", "list: the wake-up on its way"),
    "leases": Slot("leases", "zset: name -> end of lease, in ms"),
    "bitmap": Slot("b:", "string: a bit for each finished segment, or accepted chunk"),
    "checksums": Slot("k:", "hash: number -> checksum, where there is one"),
    "news": Slot("n:", "stream: its last entry is the latest news"),
    "completions": Slot("completions", "zset: name -> end of lease, in ms"),
    "tokens": Slot("tokens", "hash: the last token of all values of the partition"),
    "waiting": Slot("t:", "string: there while a caller waits"),
    "failure": Slot("y:", "string: the error of a failed computation, while it is kept"),
    "open": Slot("open", "zset: name -> when it may be dead, in ms"),
    "reserved": Slot("reserved", "hash: name -> bytes reserved and owner"),
    "accounts": Slot("accounts", "hash: the counts of each owner"),
    "dead": Slot("dead", "zset: name -> when it died, in ms"),
    "snapshots": Slot("snapshots", "hash: name -> the fields it was opened with"),
    "texts": Slot("texts", "hash: name -> 8 bytes and the text"),
    "metadata": Slot("metadata", "hash: name -> packed metadata, and the totals"),
    "lru": Slot("lru", "zset: name -> last use, in us"),
    "expiries": Slot("expiries", "zset: name -> expiry, in ms"),
    "voice": Slot("r:", "hash: count, segments, first, last (in us), full"),
    "recent": Slot("s:", "zset: segment -> last access, in us"),
    "sketch": Slot("g:", "hyperloglog of the segments"),
    "track": Slot("j:", "zset: voices of the track -> last access, in us"),
    "voices": Slot("voices", "zset: voices of the partition -> last access, in us"),
    "record": Slot("c:", "string: number and reply of the caller's last call"),
}
_NAMED = frozenset(slot for slot in SLOTS if SLOTS[slot].named)


class Partition:
    """A part of a namespace that is one hash slot: all its keys begin with ``head``."""

    __slots__ = ("head", "namespace", "slot", "starts")

    def __init__(self, prefix: str, namespace: str, tag: str) -> None:
        self.namespace = namespace
        self.head = f"{prefix}:{{{tag}}}:"
        self.slot = hash_slot(tag)
        self.starts = {slot: self.head + SLOTS[slot].key for slot in SLOTS}  # of keys, by what they fill

    @classmethod
    def of_key(cls, key: str) -> Partition:
        """Return the partition of one of our keys."""
        prefix, _, rest = key.partition(":{")
        tag = rest[: rest.index("}")]
        return cls(prefix, tag, tag)

    def __repr__(self) -> str:
        return f"<Partition {self.head} slot {self.slot}>"

    def of(self, name: str) -> Partition:
        """Return this one, whatever the name: what takes the keys of a namespace takes one partition as well."""
        return self

    def key(self, slot: str, name: str = "") -> str:
        """Return the key that fills a slot. A name is joined with ``+``, which takes its text, whatever it shows."""
        start = self.starts[slot]
        return start + name if slot in _NAMED else start


class Keys:
    """The keys of one namespace. A name is joined to them with ``+``, which takes its text, whatever it shows."""

    __slots__ = ("namespace", "partitions", "parts", "prefix")

    def __init__(self, namespace: str, *, prefix: str = "rs", partitions: int = 1) -> None:
        namespace, prefix = text_of(namespace, "a namespace"), text_of(prefix, "a prefix")
        if not namespace or "{" in namespace or "}" in namespace:
            raise ConfigError(f"namespace {namespace!r}: some text without braces (they mark the hash slot)")
        self.namespace = namespace
        self.prefix = prefix
        self.partitions = partitions
        self.parts = tuple(Partition(prefix, namespace, tag) for tag in partition_tags(namespace, partitions))

    def __repr__(self) -> str:
        return f"Keys({self.namespace!r}, prefix={self.prefix!r}, partitions={self.partitions})"

    def of(self, name: str) -> Partition:
        """Return the partition of a name."""
        if type(name) is not str:
            name = text_of(name)
        parts = self.parts
        if len(parts) == 1 and name.isascii():
            return parts[0]
        try:
            return parts[crc_hqx(name.encode(), 0) % len(parts)]
        except UnicodeEncodeError as error:
            raise ValueError(f"the key {name!r} is not text that UTF-8 can hold: {error.reason}") from None

    def key(self, slot: str, name: str) -> str:
        """Return the key of a name that fills a slot."""
        return self.of(name).key(slot, name)

    def all(self, slot: str) -> list[str]:
        """Return the key that fills a slot in each partition."""
        return [part.key(slot) for part in self.parts]


def hash_slot(tag: str) -> int:
    """Return the hash slot of a tag, as the specification of Redis Cluster defines it."""
    return crc_hqx(tag.encode(), 0) % HASH_SLOTS


@lru_cache(maxsize=256)
def partition_tags(namespace: str, partitions: int) -> tuple[str, ...]:
    """Return the hash tags of the partitions, one in each of so many equal ranges of hash slots.

    Nodes of a cluster carry equal ranges, so they carry equal shares. The tag of partition i is the first of
    ``{namespace.0}``, ``{namespace.1}``, ... that falls into range i: the same in every process, 5 ms for 256.
    """
    if partitions == 1:
        return (namespace,)
    tags: dict[int, str] = {}
    candidates = (f"{namespace}.{number}" for number in count())
    while len(tags) < partitions:
        tag = next(candidates)
        tags.setdefault(hash_slot(tag) * partitions // HASH_SLOTS, tag)
    return tuple(tags[number] for number in range(partitions))
