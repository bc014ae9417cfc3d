"""What an error means for the call that met it. Pure.

Classified by class and by text: Redis 6.2 wraps the errors of scripts, and redis-py has a class for
some of them only.
"""

from __future__ import annotations

import re
from enum import Enum

from redis import exceptions as redis_errors

from redis_state.config import Server
from redis_state.errors import (
    ConfigError,
    CorruptValue,
    RedisStateError,
    ScriptFailed,
    ServerFull,
    ServerRefused,
    ServerUnavailable,
)


class Fault(Enum):
    """How to go on."""

    LOST = "the connection broke: the call may have run; connect again and send it again"
    NO_SCRIPT = "the server does not have the script: nothing ran; send it whole"
    NOT_NOW = "nothing ran, and it may work in a moment: connect again and send it again"
    FULL = "nothing ran: the server is at its memory limit"
    REFUSED = "nothing ran, and it never will: tell the caller"
    FAILED = "the script failed half way"


_NOT_NOW = re.compile(
    r"(?:^|[-\s])(LOADING|READONLY|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|BUSY|NOREPLICAS|MISCONF|UNBLOCKED)\b"
    r"|can't write against a read only replica|Server is in the process of shutting down",
)
# Of a server that is no primary any more, or will not be ours: other connections to it bring nothing better.
_LEAVE = re.compile(r"(?:^|[-\s])(READONLY|MASTERDOWN|UNBLOCKED|MISCONF)\b|can't write against a read only replica")
_FULL = re.compile(r"(?:^|[-\s])OOM\b|command not allowed when used memory")
_REFUSED = re.compile(r"(?:^|[-\s])(NOPERM|NOAUTH|WRONGPASS|MOVED|ASK|CROSSSLOT)\b|unknown command|ACL failure")
_CLUSTER = redis_errors.AskError | redis_errors.ClusterCrossSlotError  # MovedError is an AskError
_LINE = re.compile(r"user_script:(\d+)|@user_script: ?(\d+)|f_[0-9a-f]{40}:(\d+)")


def classify(error: BaseException) -> Fault:
    """Say what an error from the connection or from the server means."""
    text = str(error)
    if isinstance(error, redis_errors.NoScriptError) or "NOSCRIPT" in text:
        return Fault.NO_SCRIPT
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.AuthorizationError):
        return Fault.REFUSED
    if isinstance(error, redis_errors.OutOfMemoryError) or _FULL.search(text):
        return Fault.FULL
    not_now = (
        redis_errors.BusyLoadingError,
        redis_errors.ReadOnlyError,
        redis_errors.ClusterDownError,
        redis_errors.TryAgainError,
    )
    if isinstance(error, not_now):
        return Fault.NOT_NOW
    if isinstance(error, redis_errors.ConnectionError | redis_errors.TimeoutError | OSError | EOFError):
        return Fault.LOST
    if not isinstance(error, redis_errors.ResponseError):
        return Fault.LOST  # InvalidResponse and the like: the stream of replies cannot be trusted any more
    if _NOT_NOW.search(text):
        return Fault.NOT_NOW
    if isinstance(error, redis_errors.NoPermissionError | _CLUSTER) or _REFUSED.search(text):
        return Fault.REFUSED
    return Fault.FAILED


def is_to_leave(error: BaseException) -> bool:
    """Tell whether a server says that it is no primary any more, or takes no writes for long."""
    return isinstance(error, redis_errors.ReadOnlyError) or _LEAVE.search(str(error)) is not None


def as_ours(error: BaseException, fault: Fault, name: str, server: Server) -> RedisStateError:
    """Return the error to raise for a call of ``name`` that was answered with ``error``."""
    text = str(error)
    if fault is Fault.FULL:
        return ServerFull(f"{name}: {server} is at its memory limit; raise maxmemory or delete entries ({text})")
    if fault is Fault.REFUSED or fault is Fault.NOT_NOW:
        hint = ""
        if isinstance(error, _CLUSTER):
            hint = "; it is a node of a cluster, and this engine speaks to one server"
        return ServerRefused(f"{name}: {server} refused: {text}{hint}")
    if "WRONGTYPE" in text:
        return CorruptValue(f"{name}: a key holds data of another kind, written by something else ({text})")
    line = _LINE.search(text)
    where = f"{name}.lua:{next(filter(None, line.groups()))}" if line else name
    return ScriptFailed(f"{where}: {text}")


def cannot_connect(error: BaseException, server: Server) -> ConfigError | None:
    """Return a clear error when connecting can never work with these settings, else None."""
    text = str(error)
    if isinstance(error, redis_errors.AuthenticationError) or re.search(r"NOAUTH|WRONGPASS|invalid password", text):
        if "NOAUTH" in text or "uthentication required" in text:
            return ConfigError(f"{server} asks for a password; set REDIS_PASSWORD, or put it into the URL")
        return ConfigError(f"{server} does not accept this user name and password ({text})")
    if "DB index" in text or "invalid DB" in text:
        return ConfigError(f"{server} has no such database ({text})")
    if isinstance(error, redis_errors.ConnectionError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return ConfigError(
            f"{server} shows a certificate that is not trusted here; set ssl_ca_certs in the URL ({text})"
        )
    if classify(error) in (Fault.REFUSED, Fault.FAILED):
        return ConfigError(f"{server} refused the connection: {text}")
    return None


_NOBODY = re.compile(r"Errno (?:111|61|2)\]|[Cc]onnection refused|Connect call failed|No such file or directory")
_ADVICE = (
    (_NOBODY, "nothing listens there: start a server, or set REDIS_URL (embedded:// needs none)"),
    (
        re.compile(r"Errno -\d|[Nn]ame or service not known|name resolution|nodename|No address associated"),
        "no address is known here for that name: look at REDIS_URL or REDIS_HOST",
    ),
    (re.compile("max number of clients"), "raise its maxclients, or let fewer connections be open"),
    (re.compile("[Tt]imed? ?out"), "it hangs, is overloaded, or cannot be reached from here"),
    (re.compile("[Cc]losed|reset by peer|Broken pipe|cut"), "it ends connections: it may be restarting, or no Redis"),
)


def nothing_listens(error: BaseException) -> bool:
    """Tell whether a connection was refused, since there is no server at that address."""
    return _NOBODY.search(str(error)) is not None


def unavailable(error: BaseException | None, server: Server, seconds: float, name: str = "") -> ServerUnavailable:
    """Return the error for a call that no server answered in so many seconds, with what fits the trouble."""
    why = f": {str(error) or type(error).__name__}" if error else ""
    advice = next((f"; {advice}" for trouble, advice in _ADVICE if trouble.search(why)), "")
    whose = f"{name}: " if name else ""
    return ServerUnavailable(f"{whose}no answer from a server at {server} for {seconds:.3g} s{why}{advice}")
