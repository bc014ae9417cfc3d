"""Operations as values: what to send, and what the reply means. Pure.

An ``Op[T]`` is one call of a script, or one plain command, together with the function that turns its
reply into a ``T``. A ``Plan[T]`` is several steps written as a generator: it yields ops (alone, or
several to be sent in one write) and pauses, and returns a ``T``. Only an engine sends, so the same
operation runs blocking, on asyncio, alone, in a batch or in a test without a server.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar

from redis_state.errors import ContractError

if TYPE_CHECKING:
    from redis_state.engine.script import Script

T = TypeVar("T")
Word: TypeAlias = str | bytes | int | float
Meaning: TypeAlias = Callable[..., Any]


class Op(Generic[T]):
    """One call: a script with its slots filled, or a plain command that only reads.

    ``blocks`` is how many seconds the server may hold the reply back on purpose (BLPOP, XREAD). Such
    a wait is over, with None as its result, when its connection breaks.
    """

    __slots__ = ("args", "blocks", "keys", "read", "script")

    more = 0  # replies that follow the first one; if any do, `read` is given a list of all

    def __init__(
        self,
        script: Script | None,
        keys: Sequence[str],
        args: Sequence[Word],
        read: Callable[[Any], T],
        blocks: float = 0.0,
    ) -> None:
        self.script = script
        self.keys = keys
        self.args = args
        self.read = read
        self.blocks = blocks

    def __repr__(self) -> str:
        name = self.script.name if self.script else str(self.args[0])
        return f"<Op {name} {' '.join(self.keys)}>"


def command(*words: Word, read: Callable[[Any], T], blocks: float = 0.0) -> Op[T]:
    """Return an op for a plain command. It must be one that may be repeated: a read, or a wait."""
    return Op(None, (), words, read, blocks)


class Together(Op[T]):
    """Plain commands that only read, run at one instant; ``read`` is given the list of their replies.

    All keys are in one hash slot. A script of the same commands would copy every field of a hash twice.
    """

    __slots__ = ("commands", "more")

    def __init__(self, commands: Sequence[tuple[Word, ...]], read: Callable[[list[Any]], T]) -> None:
        super().__init__(None, (), commands[0], lambda replies: read(replies[-1]))
        self.commands = commands
        self.more = len(commands) + 1


class Beside(Op[T]):
    """A script that notes a read, and after it in the same write the plain command that reads.

    ``read`` is given both replies in a list; a call of somebody else may have run in between. It is for
    what is so large that a script, which copies it twice, would cost more.
    """

    __slots__ = ("command",)

    more = 1

    def __init__(self, call: Call, command: tuple[Word, ...], read: Callable[[list[Any]], T]) -> None:
        self.script, self.keys, self.args = call.script, call.keys, call.args
        self.read = read
        self.blocks = 0.0
        self.command = command


class Call:
    """A script with its slots filled. ``meaning`` makes it an op."""

    __slots__ = ("args", "keys", "script")

    def __init__(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> None:
        self.script = script
        self.keys = keys
        self.args = args

    def meaning(self, **meanings: Meaning) -> Op[Any]:
        """Say what each word of the reply means: a function of what follows the word.

        The words must be the ones that the Lua text replies with, else ``ContractError``.
        """
        return Op(self.script, self.keys, self.args, reader(self.script, meanings))

    def read_by(self, read: Callable[[Any], T]) -> Op[T]:
        """Make it an op whose reply is read by a ``reader`` made before, where a microsecond counts."""
        return Op(self.script, self.keys, self.args, read)


def reader(script: Script, meanings: Mapping[str, Meaning]) -> Callable[[Any], Any]:
    """Return the function that reads a script's reply: see ``Call.meaning``."""
    words = _words(script, meanings)

    def read(reply: Any) -> Any:
        try:
            mean = meanings[words[reply[0]]]
        except (KeyError, TypeError, IndexError):
            raise _unsaid(script, reply) from None
        return mean(*reply[1:])

    return read


def reader_about(script: Script, meanings: Mapping[str, Meaning]) -> Callable[[Any, Any], Any]:
    """Return a reader whose meanings are first given what a call is about: made once, bound with ``partial``."""
    words = _words(script, meanings)

    def read(about: Any, reply: Any) -> Any:
        try:
            mean = meanings[words[reply[0]]]
        except (KeyError, TypeError, IndexError):
            raise _unsaid(script, reply) from None
        return mean(about, *reply[1:])

    return read


def _words(script: Script, meanings: Mapping[str, Meaning]) -> Mapping[bytes, str]:
    if meanings.keys() != script.said:
        raise ContractError(_mismatch(script, set(meanings)))
    return script.words


def _unsaid(script: Script, reply: Any) -> ContractError:
    return ContractError(f"{script.name} answered {reply!r}, which its text does not say")


def _mismatch(script: Script, meant: set[str]) -> str:
    unsaid, unmeant = sorted(meant - script.said), sorted(script.said - meant)
    return f"{script.name}: " + "; ".join(
        text
        for text in (
            unsaid and f"the Lua text never replies with {', '.join(unsaid)}",
            unmeant and f"no meaning is given for {', '.join(unmeant)}",
        )
        if text
    )


def raises(error: type[Exception], *args: Any) -> Meaning:
    """Return a meaning that raises ``error`` with ``args`` and whatever follows the word."""

    def mean(*rest: Any) -> NoReturn:
        raise error(*args, *rest)

    return mean


def just(value: T) -> Callable[..., T]:
    """Return a meaning that is ``value``, whatever follows the word."""
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
