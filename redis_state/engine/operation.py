"""Operations: a script bound to the meanings of its replies, once, at import. Pure.

::

    MARK = operation("progress/mark", counted=_counted, unknown=raises(UnknownSession), range=_range, ...)

    def mark(runs: RunOperations, track: str, segment: int, *, lease: float) -> Op[Progress]:
        return MARK(runs.keys, track, runs, saw=..., segment=segment, lease_ms=lease_ms(lease))

Calling it makes an ``Op``. Key slots are filled by name from ``keys.SLOTS``, argument slots from keywords, and the
argument slot ``name`` from the name. What each tag of the reply means is a function of the call and of what follows
the tag; ``call["segment"]`` is what the slot was filled with, ``call.about`` the third argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn, TypeAlias, TypeVar

from redis_state.engine.op import Numbered, Op
from redis_state.engine.packing import packed, texts
from redis_state.engine.registry import script as script_named
from redis_state.engine.script import Script
from redis_state.errors import ContractError
from redis_state.keys import SLOTS, Keys, Partition

T = TypeVar("T")
Meaning: TypeAlias = Callable[..., Any]  # of the call, and of what follows the tag


class ScriptOp(Op[T]):
    """One call of an operation. ``given`` holds its argument slots; ``about`` what else its meanings need."""

    __slots__ = ("_keys", "about", "args", "given", "meanings", "script")

    script: Script

    def __init__(
        self,
        script: Script,
        partition: Partition,
        keys: Sequence[str],
        args: Sequence[Any],
        meanings: Mapping[bytes, Meaning],
        given: Mapping[str, Any],
        about: Any,
    ) -> None:
        self.script = script
        self.partition = partition
        self._keys = keys
        self.args = args
        self.meanings = meanings
        self.given = given
        self.about = about
        self.blocks = 0.0
        self.until = None

    @property
    def name(self) -> str:
        return self.script.name

    @property
    def keys(self) -> Sequence[str]:
        return self._keys

    @property
    def fallback(self) -> ScriptOp[T] | None:
        instead = self.script.fallback
        return self.saying(script_named(instead)) if instead else None

    def saying(self, script: Script) -> ScriptOp[T]:
        """Return the same call of another script with the same slots and replies."""
        assert self.partition is not None
        return type(self)(script, self.partition, self._keys, self.args, self.meanings, self.given, self.about)

    def __getitem__(self, slot: str) -> Any:
        return self.given[slot]

    def encode(self, identity: Numbered | None, *, bring_script: bool = False) -> bytes:
        script, keys = self.script, self._keys
        verb = ("EVAL", script.text) if bring_script else ("EVALSHA", script.sha)
        if identity is None:
            words = (*verb, f"{len(keys)}", *keys, *texts(self.args))
        else:
            ours = f"{identity.number}", f"{identity.void_at}"
            words = (*verb, f"{len(keys) + 1}", *keys, identity.record, *texts(self.args), *ours)
        said = packed(words)
        return packed(("SCRIPT", "LOAD", script.text)) + said if bring_script else said

    def read(self, reply: Any) -> T:
        try:
            mean = self.meanings[reply[0]]
        except (KeyError, TypeError, IndexError):
            raise ContractError(f"{self.script.name} answered {reply!r}, which its text does not say") from None
        result: T = mean(self, *reply[1:])
        return result

    def tag_of(self, reply: Any) -> str:
        tag = reply[0] if type(reply) is list and reply else b""
        return tag.decode() if tag in self.meanings else ""


class Operation:
    """A script and the meanings of its replies. Call it to make an op."""

    __slots__ = (
        "_args",
        "_count",
        "_key_slots",
        "_meanings",
        "_pick",
        "_rest_of_args",
        "_rest_of_keys",
        "_rests",
        "script",
    )

    def __init__(self, script: Script, meanings: Mapping[str, Meaning]) -> None:
        """``ContractError`` unless the table of keys has every key slot, and every tag of the text has a meaning."""
        self.script = script
        _check(script, meanings)
        self._meanings = {tag.encode(): mean for tag, mean in meanings.items()}
        self._key_slots = tuple((slot, SLOTS[slot].named) for slot in script.keys)
        self._rest_of_keys, self._rest_of_args = script.rest_of_keys, script.rest_of_args
        self._rests = bool(self._rest_of_keys or self._rest_of_args)
        self._args = frozenset(("name", *filter(None, (*script.args, self._rest_of_keys, self._rest_of_args))))
        self._count = len(self._args)
        self._pick = _picker(script.args)

    def __call__(self, where: Keys | Partition, name: str = "", about: Any = None, /, **given: Any) -> ScriptOp[Any]:
        """Fill the slots. ``where``: the keys of a namespace, or one of its partitions.

        A key slot that is given as well is not the one of the name: it is the key of something else.
        A rest of keys is filled with the names of slots, a rest of arguments with a list.
        """
        partition = where.of(name)
        starts = partition.starts
        keys = [starts[slot] + name if named else starts[slot] for slot, named in self._key_slots]
        given["name"] = name
        if len(given) != self._count:
            self._elsewhere(keys, given)
        try:
            args = self._pick(given)
            if self._rests:
                if self._rest_of_keys:
                    keys += [partition.key(slot, name) for slot in given[self._rest_of_keys]]
                if self._rest_of_args:
                    args = (*args, *given[self._rest_of_args])
        except KeyError:
            raise self._misfit(given) from None
        return ScriptOp(self.script, partition, keys, args, self._meanings, given, about)

    def __repr__(self) -> str:
        return f"<Operation {self.script.name}>"

    def _elsewhere(self, keys: list[str], given: dict[str, Any]) -> None:
        """Put keys that are given into their places."""
        for slot in [slot for slot in given if slot not in self._args]:
            if slot not in self.script.keys:
                raise self._misfit(given)
            keys[self.script.keys.index(slot)] = given.pop(slot)

    def _misfit(self, given: Mapping[str, Any]) -> ContractError:
        slots = ", ".join(slot for slot in self.script.slots if slot not in ("name", *self.script.keys))
        told = ", ".join(slot for slot in given if slot != "name")
        return ContractError(f"{self.script.name} takes {slots or 'no arguments'}; it was given {told or 'none'}")


def operation(name: str, /, **meanings: Meaning) -> Operation:
    """Bind the script of that name: a function for each tag that it replies with."""
    return Operation(script_named(name), meanings)


def raises(error: type[Exception]) -> Meaning:
    """Return a meaning that raises ``error`` with the name, and whatever follows the tag."""

    def mean(call: ScriptOp[Any], *rest: Any) -> NoReturn:
        raise error(call["name"], *rest)

    return mean


def _check(script: Script, meanings: Mapping[str, Meaning]) -> None:
    unknown = [slot for slot in script.keys if slot not in SLOTS]
    unsaid, unmeant = sorted(meanings.keys() - script.tags), sorted(script.tags - meanings.keys())
    faults = [
        f"{fault} {', '.join(names)}"
        for fault, names in (
            ("keys.SLOTS has no", unknown),
            ("the Lua text never replies with", unsaid),
            ("no meaning is given for", unmeant),
        )
        if names
    ]
    if faults:
        raise ContractError(f"{script.name}: " + "; ".join(faults))


def _picker(slots: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(slots) > 1:
        return itemgetter(*slots)
    if slots:
        return lambda given: (given[slots[0]],)
    return lambda _: ()
