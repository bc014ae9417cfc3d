"""Settings: where the server is, and how long to try. Pure: reads the environment, connects to nothing.

A URL wins over single variables. Every mistake is reported with the name that it was made under.
"""

from __future__ import annotations

import os
import platform
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any

from redis_state.durability import Replicas
from redis_state.errors import ConfigError
from redis_state.server_url import Server as Server
from redis_state.server_url import parse_url as parse_url
from redis_state.server_url import read_flag

LEAST_BUDGET, MOST_BUDGET = 1024, 2**48  # bytes
MAX_DEADLINE = 300.0  # seconds; the server remembers calls for three times as long
_PREFIX = r"[^{}\s]+"
_PREFIX_RULE = "one word without braces or spaces, like 'rs'"
_ONE_SERVER_ONLY = (
    "REDIS_FALLBACK_URL",
    "REDIS_FALLBACK_HOST",
    "REDIS_SENTINELS",
    "REDIS_CLUSTER_NODES",
)
_OURS = "REDIS_STATE_"
_NAMES = ("PREFIX", "DEADLINE", "SOCKET_TIMEOUT", "TEXT_BUDGET", "UNSAFE_SERVER", "SERVER")
_VARIABLES = tuple(_OURS + name for name in _NAMES)
_OF_KUBERNETES = re.compile(r"REDIS_STATE_(SERVICE_(HOST|PORT)\w*|PORT(_\d+_\w+)?)")  # of a service called redis-state
LOCAL = Server("tcp")
UNSAFE = ("error", "warn", "ignore")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an engine needs to know. Times are seconds.

    ``deadline`` ends the retries of one call; ``socket_timeout`` bounds one wait for the server.
    A call therefore ends within ``deadline + socket_timeout``, whatever the server does.
    """

    server: Server = LOCAL
    deadline: float = 10.0
    socket_timeout: float = 1.0
    connect_timeout: float = 1.0
    prefix: str = "rs"
    partitions: int = 1
    max_connections: int = 64  # of an AsyncEngine; a blocking engine has one for each thread inside a call
    unsafe_server: str = "warn"  # what to do where a server's settings can evict state: "error", "warn", "ignore"
    text_budget: int | None = None  # bytes, of a text cache that is given none
    cache_server: Server | None = None  # of the ready-made caches, where they have one of their own
    durability: Replicas | None = None  # how many replicas have a write before its call returns: see ``replicas``

    def __post_init__(self) -> None:
        for name in ("deadline", "socket_timeout", "connect_timeout"):
            seconds = getattr(self, name)
            if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= MAX_DEADLINE:
                raise ConfigError(f"{name}={seconds!r}: seconds, above 0 and at most {MAX_DEADLINE:.0f}")
        if not re.fullmatch(_PREFIX, str(self.prefix)) or type(self.prefix) is not str:
            raise ConfigError(f"prefix={self.prefix!r}: {_PREFIX_RULE}")
        for name, least, most in (("partitions", 1, 1024), ("max_connections", 1, 65535)):
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or not least <= count <= most:
                raise ConfigError(f"{name}={count!r}: a whole number from {least} to {most}")
        if self.unsafe_server not in UNSAFE:
            raise ConfigError(f"unsafe_server={self.unsafe_server!r}: one of {', '.join(UNSAFE)}")
        if self.text_budget is not None:
            checked_budget("text_budget", self.text_budget)
        if self.durability is not None and not isinstance(self.durability, Replicas):
            raise ConfigError(f"durability={self.durability!r}: None, or redis_state.replicas(n)")
        if self.durability is not None and self.server.kind == "embedded":
            raise ConfigError("durability: an embedded server has no replicas")

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> Settings:
        """Read a URL; keyword arguments set the other fields."""
        return cls().with_changes(url=url, **settings)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``REDIS_URL``, or ``REDIS_HOST`` and its companions, and the ``REDIS_STATE_*`` variables."""
        env = _Environment(os.environ if environ is None else environ)
        default = cls()
        for name in _ONE_SERVER_ONLY:
            if env.text(name):
                raise ConfigError(f"{name} is set, but this version speaks to one server; unset it and use REDIS_URL")
        env.warn_of_unknown()
        url, cache_url = env.text("REDIS_URL"), env.text("REDIS_CACHE_URL")
        if url:
            server = env.agreeing(parse_url(url, said_by="REDIS_URL"))
        else:
            server = Server(
                "tcp",
                host=env.host("REDIS_HOST") or "localhost",
                port=env.whole("REDIS_PORT", 6379, 1, 65535),
                db=env.whole("REDIS_DB", 0, 0, 2**31),
                username=env.text("REDIS_USERNAME"),
                password=env.text("REDIS_PASSWORD"),
                tls=env.flag("REDIS_TLS") or False,
            )
        cache_server = parse_url(cache_url, said_by="REDIS_CACHE_URL") if cache_url else None
        if cache_server and env.flag("REDIS_TLS") and not cache_server.tls:
            raise ConfigError("REDIS_CACHE_URL contradicts REDIS_TLS: write rediss:// there, or unset REDIS_TLS")
        return cls(
            server=server,
            cache_server=cache_server,
            text_budget=env.whole("REDIS_STATE_TEXT_BUDGET", 0, LEAST_BUDGET, MOST_BUDGET) or None,
            unsafe_server=env.matching("REDIS_STATE_UNSAFE_SERVER", "|".join(UNSAFE), f"one of {', '.join(UNSAFE)}")
            or default.unsafe_server,
            deadline=env.seconds("REDIS_STATE_DEADLINE", default.deadline),
            socket_timeout=env.seconds("REDIS_STATE_SOCKET_TIMEOUT", default.socket_timeout),
            prefix=env.matching("REDIS_STATE_PREFIX", _PREFIX, _PREFIX_RULE) or default.prefix,
        )

    def with_changes(self, *, url: str | None = None, cache_url: str | None = None, **settings: Any) -> Settings:
        """Return a copy with some fields changed."""
        if url is not None:
            settings["server"] = parse_url(url, said_by="url")
        if cache_url is not None:
            settings["cache_server"] = parse_url(cache_url, said_by="cache_url")
        try:
            return replace(self, **settings)
        except TypeError:
            known = [name for name in self.__slots__ if name not in ("server", "cache_server")]
            wrong = sorted(set(settings) - set(self.__slots__))
            there_are = ", ".join(["url", "cache_url", *known])
            raise ConfigError(f"no setting is called {', '.join(wrong)}; there are: {there_are}") from None


def checked_budget(name: str, budget: int) -> int:
    """Refuse what is no number of bytes for a text cache."""
    if type(budget) is not int or not LEAST_BUDGET <= budget <= MOST_BUDGET:
        raise ConfigError(f"{name}={budget!r}: bytes, a whole number from {LEAST_BUDGET} to {MOST_BUDGET}")
    return budget


@cache
def container_id(given: str | None = None) -> str:
    """Return the id that was given; else ``CONTAINER_ID``, or host name and process id. Found once in each process."""
    return given or os.environ.get("CONTAINER_ID") or f"{platform.node()}-{os.getpid()}"


os.register_at_fork(after_in_child=container_id.cache_clear)


class _Environment:
    """Typed look-ups whose errors name the variable, and show what may be shown."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def matching(self, name: str, pattern: str, rule: str) -> str | None:
        text = self.text(name)
        if text is not None and not re.fullmatch(pattern, text):
            raise _wrong(name, text, rule)
        return text

    def host(self, name: str) -> str | None:
        return self.matching(name, r"[^\s/@?#]+", "a host name or an address; a URL goes into REDIS_URL")

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,12}", text.strip()) or not least <= int(text) <= most:
            link = "; Kubernetes sets it so for a service of that name" if text.startswith("tcp://") else ""
            raise _wrong(name, text, f"a whole number from {least} to {most}{link}")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= MAX_DEADLINE:
            raise _wrong(name, text, f"seconds, above 0 and at most {MAX_DEADLINE:.0f}")
        return seconds

    def flag(self, name: str) -> bool | None:
        text = self.text(name)
        return read_flag(name, text) if text is not None else None

    def agreeing(self, server: Server) -> Server:
        """Return the server of REDIS_URL; refuse a variable beside it that says otherwise: it would not be used."""
        said = {
            "REDIS_TLS": (self.flag("REDIS_TLS"), server.tls),
            "REDIS_USERNAME": (self.text("REDIS_USERNAME"), server.username),
            "REDIS_PASSWORD": (self.text("REDIS_PASSWORD"), server.password),
            "REDIS_DB": (self.whole("REDIS_DB", server.db, 0, 2**31), server.db),
        }
        for name, (alone, in_url) in said.items():
            if alone is not None and alone != in_url:
                raise ConfigError(f"REDIS_URL contradicts {name}, and would win: say it in the URL, and unset {name}")
        return server

    def warn_of_unknown(self) -> None:
        """Warn of a variable that has our prefix and no meaning: it may be misspelt."""
        for name in sorted(self._environ):
            if not name.startswith(_OURS) or name in _VARIABLES or _OF_KUBERNETES.fullmatch(name):
                continue
            near = get_close_matches(name.removeprefix(_OURS), _NAMES, 1)
            hint = f"is it {_OURS}{near[0]}?" if near else f"there are {', '.join(_VARIABLES)}"
            warnings.warn(f"{name} is set and means nothing; {hint}", RuntimeWarning, stacklevel=2)


def _wrong(name: str, text: str, rule: str) -> ConfigError:
    may_be_secret = "@" in text or ("://" in text and not text.startswith("tcp://"))
    shown = "" if may_be_secret else f"={text!r}"
    return ConfigError(f"{name}{shown}: {rule}")
