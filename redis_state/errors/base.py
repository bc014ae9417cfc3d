"""Errors of settings, calls and stored values."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 1024  # characters of what is kept of an exception


def told(error: object) -> str:
    """Return what others are told of an error: a text as it is, of an exception its kind and 1 KB of what it says."""
    if isinstance(error, str):
        return error
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:LONGEST_TEXT]


class RedisStateError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigError(RedisStateError, ValueError):
    """Settings that cannot work. The message names the variable and the remedy."""


class ContractError(RedisStateError, TypeError):
    """A Lua script and the Python that calls it disagree. Always a bug in one of the two."""


class CallError(RedisStateError):
    """A call to the server that did not end with its result."""


class NotApplied(CallError):
    """Proven: this call changed nothing, and no late copy of it ever will."""


class ServerUnavailable(NotApplied, ConnectionError):
    """No server answered inside the deadline, and nothing that writes was sent."""


class ServerFull(NotApplied, MemoryError):
    """The server is at its memory limit and refused before the first write."""


class ServerRefused(NotApplied):
    """The server answered with an error (ACL, wrong type, read only, ...) and wrote nothing."""


class OutcomeUnknown(CallError, TimeoutError):
    """The call was sent and no answer came before the deadline: it may or may not have happened.

    Pass it to ``engine.resolve`` (a second or more after it was raised) to learn which.
    ``op`` is the operation and ``identity`` what the server remembers it by.
    """

    def __init__(self, message: str, op: Any = None, identity: Any = None) -> None:
        super().__init__(message)
        self.op = op
        self.identity = identity

    def __reduce__(self) -> tuple[Any, ...]:  # the operation holds functions: it stays in its process
        return OutcomeUnknown, (self.args[0], None, self.identity)


class NotReplicated(CallError):
    """Applied by the primary, but fewer replicas than asked for have confirmed it in time.

    ``result`` is what the call would have returned, ``replicas`` how many have it for certain. The write stands, and
    may still reach the replicas; it is lost only if the primary is.
    """

    def __init__(self, message: str, result: Any = None, replicas: int = 0) -> None:
        super().__init__(message)
        self.result = result
        self.replicas = replicas

    def __reduce__(self) -> tuple[Any, ...]:
        return NotReplicated, (self.args[0], self.result, self.replicas)


class ScriptFailed(CallError):
    """A script ended with an error: a bug, or keys that something else wrote. The message names the line.

    Scripts check before they write, so most of these changed nothing; it is not proven for all.
    """


class UnsafeServer(RedisStateError):
    """The server's settings can evict or lose state. The message names the setting and the remedy."""


class UnsupportedType(RedisStateError, TypeError):
    """A value that would not come back equal. The message names the path, like ``timings[3].word``."""


class CorruptValue(RedisStateError, ValueError):
    """Stored bytes that this package did not write, or that were damaged since."""
