"""Every key this package writes: its pattern, its type, what it holds and how long it lives.

::

    {prefix}:{{namespace}}:{kind}:{name}        rs:{progress}:r:track-7:voice:2
    {prefix}:{{namespace.3}}:{kind}:{name}      with partitions: 3 = crc16(name) mod partitions

    kind       type     holds                                                      lives
    r:<name>   hash     a record: a field per entry, and @owner @version @ttl      the entry's TTL
                        @created @updated @fence; a field "@x" is stored "@@x"
    v:<name>   string   an opaque value                                            the entry's TTL
    i          zset     the partition's index: name -> expiry in ms                as its longest entry, at least
    l:<name>   hash     a lock that is held: owner fence container since note      the lease
    f:<name>   hash     the last fencing token of the lock of that name            24 h + lease
    q:<name>   zset     who waits for it: waiter -> time in ms until which it       4 s after the last one asked
                        counts; negative: it left, and until when that is kept      (who left: 5 minutes)
    w:<name>   list     the wake-up on its way to a waiter                         10 s
    h          zset     the locks held: name -> end of lease in ms; who died        2 days
                        holding stays for a day
    b:<name>   string   bitmap of finished segments, of accepted chunks             as the record
    k:<name>   hash     checksums of accepted chunks: number -> checksum            as the record
    s          zset     transfers not ended: name -> when to look, in ms, whether   2 to 4 days, or longer than
                        it is still alive                                           the longest record
    o          hash     name -> bytes it reserves (-: none) and its owner           as s
    a          hash     accounts: n:<owner> -> open transfers, b:<owner> -> bytes   as s
    x          zset     uploads that died: name -> when, in ms; kept for 2 days     4 days after the last death
    z          hash     name -> what an upload was opened with                      as s
    n:<name>   stream   news: its last entry tells watchers that something changed as the record
    p          zset     completions not confirmed yet: name -> end of lease in ms  62 days, or 2 x the TTL
    d          hash     text cache: name -> 8 random bytes and the text            as the last entry put there,
    m          hash     text cache: name -> packed facts; field 0xFF: the totals     and 2 to 3 days more
    u          zset     text cache: name -> last use, in us                          (d m u e end together)
    e          zset     text cache: name -> expiry, in ms
    y:<name>   string   how computing the value of that name failed                as long as it is kept
    s:<name>   zset     voice access: segment -> last access, in us                2 h after the last access,
    g:<name>   hll      voice access: how many segments there were                    as r:<name> of the voice
    j:<track>  zset     voice access: voices of a track -> last access, in us
    c:<caller> string   a caller's last call: number and reply                     15 minutes

The braces put all keys of a partition into one hash slot, so that one script may change a record,
its index, its companions and the record of the call together. A namespace holds no braces; a name
may hold anything, since it stands behind the first tag.
"""

from __future__ import annotations

from binascii import crc_hqx

from redis_state.errors import ConfigError


class Keys:
    """The keys of one namespace."""

    __slots__ = ("_heads", "namespace", "partitions", "prefix")

    def __init__(self, namespace: str, *, prefix: str = "rs", partitions: int = 1) -> None:
        if not isinstance(namespace, str):
            raise TypeError(f"a namespace is a string, not {type(namespace).__name__}")
        if not namespace or "{" in namespace or "}" in namespace:
            raise ConfigError(f"namespace {namespace!r}: some text without braces (they mark the hash slot)")
        self.namespace = namespace
        self.prefix = prefix
        self.partitions = partitions
        tags = [namespace] if partitions == 1 else [f"{namespace}.{n}" for n in range(partitions)]
        self._heads = tuple(f"{prefix}:{{{tag}}}:" for tag in tags)

    def __repr__(self) -> str:
        return f"Keys({self.namespace!r}, prefix={self.prefix!r}, partitions={self.partitions})"

    def head(self, name: str) -> str:
        """Return what all keys of the name's partition begin with."""
        if type(name) is not str and not isinstance(name, str):
            raise TypeError(f"a key is a string, not {type(name).__name__}: {name!r}")
        heads = self._heads
        if len(heads) == 1 and name.isascii():
            return heads[0]
        try:
            return heads[crc_hqx(name.encode(), 0) % len(heads)]
        except UnicodeEncodeError as error:
            raise ValueError(f"the key {name!r} is not text that UTF-8 can hold: {error.reason}") from None

    def partition(self, name: str) -> int:
        """Return the number of the name's partition."""
        return self._heads.index(self.head(name))

    def record(self, name: str) -> str:
        return f"{self.head(name)}r:{name}"

    def of_record(self, name: str) -> tuple[str, str]:
        """Return ``record`` and ``index``."""
        head = self.head(name)
        return f"{head}r:{name}", f"{head}i"

    def value(self, name: str) -> str:
        return f"{self.head(name)}v:{name}"

    def index(self, name: str) -> str:
        return f"{self.head(name)}i"

    def indexes(self) -> list[str]:
        """Return the index of each partition."""
        return [f"{head}i" for head in self._heads]

    def lock(self, name: str) -> str:
        return f"{self.head(name)}l:{name}"

    def fence(self, name: str) -> str:
        return f"{self.head(name)}f:{name}"

    def queue(self, name: str) -> str:
        return f"{self.head(name)}q:{name}"

    def wake(self, name: str) -> str:
        return f"{self.head(name)}w:{name}"

    def leases(self, name: str) -> str:
        return f"{self.head(name)}h"

    def all_leases(self) -> list[str]:
        """Return the locks held of each partition."""
        return [f"{head}h" for head in self._heads]

    def bitmap(self, name: str) -> str:
        return f"{self.head(name)}b:{name}"

    def checksums(self, name: str) -> str:
        return f"{self.head(name)}k:{name}"

    def books(self, name: str) -> dict[str, str]:
        """Return where the transfers of the name's partition are accounted for."""
        head = self.head(name)
        kinds = {"open": "s", "facts": "o", "accounts": "a", "dead": "x", "memos": "z"}
        return {book: f"{head}{kind}" for book, kind in kinds.items()}

    def news(self, name: str) -> str:
        return f"{self.head(name)}n:{name}"

    def completions(self, name: str) -> str:
        return f"{self.head(name)}p"

    def all_completions(self) -> list[str]:
        """Return the completions of each partition."""
        return [f"{head}p" for head in self._heads]

    def shards(self) -> list[tuple[str, str, str, str]]:
        """Return the four keys of the text cache in each partition: texts, facts, uses, ends."""
        return [(f"{head}d", f"{head}m", f"{head}u", f"{head}e") for head in self._heads]

    def failure(self, name: str) -> str:
        return f"{self.head(name)}y:{name}"


def call_record(key: str, caller: str) -> str:
    """Return where the server remembers the caller's last call, in the hash slot of ``key``."""
    return f"{key[: key.index('}') + 1]}:c:{caller}"
