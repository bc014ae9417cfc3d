"""Operations as values: what to send, and what the reply means. Pure.

An ``Op[T]`` is one call: a script (see ``operation``), a plain command, several commands in a transaction, or a
script with a command behind it; together with the function that turns its reply into a ``T``. Each kind knows its
bytes, how many replies there are, and what to send instead of a copy; what carries it needs no more.

A ``Plan[T]`` is several steps written as a generator: it yields ops (alone, or several to be sent in one write) and
pauses, and returns a ``T``. Only an engine sends, so the same operation runs blocking, on asyncio, alone, in a batch
or in a test without a server.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from redis_state.engine.packing import Word as Word
from redis_state.engine.packing import pack
from redis_state.keys import Keys, Partition

if TYPE_CHECKING:
    from redis_state.engine.script import Script

T = TypeVar("T")
_MULTI, _EXEC = pack(("MULTI",)), pack(("EXEC",))


@dataclass(frozen=True, slots=True)
class Broken:
    """What stands in place of a reply when the connection broke."""

    error: BaseException


class Numbered(Protocol):
    """The identity of a call that is deduplicated, as its script is told it."""

    record: str  # the key of the caller's record
    number: int
    void_at: int  # server time in ms


class Op(Generic[T]):
    """One call. ``partition`` is where its keys are; None for what asks the server and has no keys.

    ``blocks`` is how many seconds the server may hold the reply back on purpose (BLPOP, XREAD). Such
    a wait is over, with None as its result, when its connection breaks.

    ``until`` is the caller's own time-out, in seconds of ``redis_state.clock.monotonic()``: set it where the caller
    has one, and the call ends by then plus one ``socket_timeout``, though the engine's deadline is later.
    It is tried once at least, also when ``until`` is over. Of a batch the earliest one counts for all.
    """

    __slots__ = ("blocks", "partition", "until")

    partition: Partition | None
    blocks: float
    until: float | None
    replies = 1  # to what is sent, without the script
    script: Script | None = None  # None: what is sent reads only, so a copy of it is harmless

    @property
    def name(self) -> str:
        """The script, or the verb of the command."""
        raise NotImplementedError

    @property
    def keys(self) -> Sequence[str]:
        """The keys that it reads or writes, all of one partition."""
        raise NotImplementedError

    @property
    def fallback(self) -> Op[T] | None:
        """What is sent in place of a copy, or at the memory limit; None: itself."""
        return None

    def encode(self, identity: Numbered | None, *, bring_script: bool = False) -> bytes:
        """Return the bytes to send. ``bring_script``: the server lacks it, so load it first."""
        raise NotImplementedError

    def split(self, replies: list[Any]) -> Any:
        """Return of its replies what is read: the first error among them, or what ``read`` is given."""
        return replies[0]

    def read(self, reply: Any) -> T:
        """Return what a reply means, or raise it."""
        raise NotImplementedError

    def tag_of(self, reply: Any) -> str:
        """Return the tag of a reply, as "counted"; "" where there is none."""
        return ""

    def __repr__(self) -> str:
        return f"<Op {self.name} {' '.join(self.keys)}>"


class Command(Op[T]):
    """A plain command that may be repeated: a read, or a wait."""

    __slots__ = ("_read", "words")

    def __init__(self, partition: Partition | None, words: tuple[Word, ...], read: Callable[[Any], T]) -> None:
        self.partition = partition
        self.words = words
        self._read = read
        self.blocks = 0.0
        self.until = None

    @property
    def name(self) -> str:
        return str(self.words[0])

    @property
    def keys(self) -> Sequence[str]:
        return keys_among(self.partition, self.words)

    def encode(self, identity: Numbered | None, *, bring_script: bool = False) -> bytes:
        return pack(self.words)

    def read(self, reply: Any) -> T:
        return self._read(reply)


def command(
    where: Keys | Partition | None, *words: Word, read: Callable[[Any], T], name: str = "", blocks: float = 0.0
) -> Command[T]:
    """Return an op for a plain command, which only reads or waits.

    ``where`` is the partition of all its keys, or the keys of a namespace, of which it is the partition of ``name``;
    None for a command without keys.
    """
    op = Command(None if where is None else where.of(name), words, read)
    op.blocks = blocks
    return op


def keys_among(partition: Partition | None, words: Sequence[Word]) -> list[str]:
    """Return those words of a command that are keys of a partition."""
    if partition is None:
        return []
    return [word for word in words if isinstance(word, str) and word.startswith(partition.head)]


class Transaction(Op[T]):
    """Plain commands that only read, run at one instant; ``read`` is given the list of their replies.

    A script of the same commands would copy every field of a hash twice.
    """

    __slots__ = ("_read", "commands", "replies")

    def __init__(
        self, partition: Partition, commands: Sequence[tuple[Word, ...]], read: Callable[[list[Any]], T]
    ) -> None:
        self.partition = partition
        self.commands = commands
        self._read = read
        self.replies = len(commands) + 2
        self.blocks = 0.0
        self.until = None

    @property
    def name(self) -> str:
        return "MULTI"

    @property
    def keys(self) -> Sequence[str]:
        return [key for words in self.commands for key in keys_among(self.partition, words)]

    def encode(self, identity: Numbered | None, *, bring_script: bool = False) -> bytes:
        return b"".join((_MULTI, *map(pack, self.commands), _EXEC))

    def split(self, replies: list[Any]) -> Any:
        *queued, answers = replies
        return _first_error(queued) or _first_error(answers if isinstance(answers, list) else replies) or answers

    def read(self, reply: Any) -> T:
        return self._read(reply)


class ScriptThenRead(Op[T]):
    """A script that notes a read, and after it in the same write the plain command that reads.

    ``read`` is given both replies in a list; another call may have run in between. It is for
    what is so large that a script, which copies it twice, would cost more.
    """

    __slots__ = ("_read", "note", "script", "words")

    replies = 2

    def __init__(self, note: Op[Any], words: tuple[Word, ...], read: Callable[[list[Any]], T]) -> None:
        self.note = note
        self.script = note.script
        self.partition = note.partition
        self.words = words
        self._read = read
        self.blocks = 0.0
        self.until = None

    @property
    def name(self) -> str:
        return self.note.name

    @property
    def keys(self) -> Sequence[str]:
        return self.note.keys

    @property
    def fallback(self) -> Op[T] | None:
        note = self.note.fallback
        return None if note is None else ScriptThenRead(note, self.words, self._read)

    def encode(self, identity: Numbered | None, *, bring_script: bool = False) -> bytes:
        return self.note.encode(identity, bring_script=bring_script) + pack(self.words)

    def tag_of(self, reply: Any) -> str:
        return self.note.tag_of(reply and reply[0])

    def split(self, replies: list[Any]) -> Any:
        return _first_error(replies) or replies

    def read(self, reply: Any) -> T:
        return self._read(reply)


def _first_error(replies: Sequence[Any]) -> Broken | BaseException | None:
    for reply in replies:
        if isinstance(reply, (Broken, BaseException)):
            return reply
    return None


def earliest(ops: Sequence[Op[Any]]) -> float:
    """Return when the first of their callers' own time-outs is over; infinity when none has one."""
    first = inf
    for op in ops:
        if op.until is not None and op.until < first:
            first = op.until
    return first


def just(value: T) -> Callable[..., T]:
    """Return a meaning that is ``value``, whatever follows the tag of the reply."""
    return lambda *_: value


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds, then go on with the plan."""

    seconds: float


Step: TypeAlias = Op[Any] | Sequence[Op[Any]] | Pause
Plan: TypeAlias = Generator[Step, Any, T]


def do(op: Op[T]) -> Plan[T]:
    """Run one op inside a plan: ``answer = yield from do(op)``."""
    result: T = yield op
    return result


def do_all(ops: Sequence[Op[T]]) -> Plan[list[T]]:
    """Run several ops inside a plan, in one write. The first error, if any, is raised after all have run."""
    results: list[T] = yield ops
    return results


def pause(seconds: float) -> Plan[None]:
    """Wait inside a plan."""
    yield Pause(seconds)
