"""Settings: where the server is, and how long to try. Pure: reads the environment, connects to nothing.

A URL wins over single variables. Every mistake is reported with the name that it was made under.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis_state.errors import ConfigError

SCHEMES = "redis://, rediss://, unix://, embedded://"
LEAST_BUDGET, MOST_BUDGET = 1024, 2**48  # bytes
MAX_DEADLINE = 300.0  # seconds; the server remembers calls for three times as long
_PREFIX = r"[^{}\s]+"
_PREFIX_RULE = "one word without braces or spaces, like 'rs'"
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_ONE_SERVER_ONLY = (
    "REDIS_FALLBACK_URL",
    "REDIS_FALLBACK_HOST",
    "REDIS_SENTINELS",
    "REDIS_CLUSTER_NODES",
)
UNSAFE = ("error", "warn", "ignore")


@dataclass(frozen=True, slots=True)
class Server:
    """The address of one server and how to be let in."""

    kind: str  # "tcp" | "unix" | "embedded"
    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.kind == "tcp":
            return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return self.path or "an embedded server"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an engine needs to know. Times are seconds.

    ``deadline`` ends the retries of one call; ``socket_timeout`` bounds one wait for the server.
    A call therefore ends within ``deadline + socket_timeout``, whatever the server does.
    """

    server: Server = Server("tcp")
    deadline: float = 10.0
    socket_timeout: float = 1.0
    connect_timeout: float = 1.0
    prefix: str = "rs"
    partitions: int = 1
    max_connections: int = 64  # of an AsyncEngine; a blocking engine has one for each thread inside a call
    unsafe_server: str = "warn"  # what to do where a server's settings can evict state: "error", "warn", "ignore"
    text_budget: int | None = None  # bytes, of a text cache that is given none
    cache_server: Server | None = None  # of the ready-made caches, where they have one of their own

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
        if url := env.text("REDIS_URL"):
            server = parse_url(url, said_by="REDIS_URL")
        else:
            server = Server(
                "tcp",
                host=env.text("REDIS_HOST") or "localhost",
                port=env.whole("REDIS_PORT", 6379, 1, 65535),
                db=env.whole("REDIS_DB", 0, 0, 2**31),
                username=env.text("REDIS_USERNAME"),
                password=env.text("REDIS_PASSWORD"),
                tls=env.flag("REDIS_TLS"),
            )
        cache_url = env.text("REDIS_CACHE_URL")
        return cls(
            server=server,
            cache_server=parse_url(cache_url, said_by="REDIS_CACHE_URL") if cache_url else None,
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
def container_id() -> str:
    """Return ``CONTAINER_ID``, or host name and process id when it is unset. Looked up once in each process."""
    return os.environ.get("CONTAINER_ID") or f"{platform.node()}-{os.getpid()}"


os.register_at_fork(after_in_child=container_id.cache_clear)


def parse_url(url: str, *, said_by: str) -> Server:
    """Read a server's URL. The password never appears in an error."""
    if not isinstance(url, str):
        raise ConfigError(f"{said_by}: a string like redis://localhost:6379/0, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
        if port == 0:
            raise ValueError(port)
    except ValueError:
        raise ConfigError(f"{said_by}: the port is a number from 1 to 65535, as in redis://localhost:6379/0") from None
    scheme = parts.scheme
    if scheme not in ("redis", "rediss", "unix", "embedded"):
        wrong = f"unknown scheme {scheme!r}" if f"{scheme}://" in url and scheme else "not a URL"
        raise ConfigError(f"{said_by}: {wrong}; there are {SCHEMES}")  # the rest may hold a password: not shown
    if parts.fragment or "@" in parts.query or ("@" in parts.path and scheme in ("redis", "rediss")):
        raise ConfigError(f"{said_by}: in a name or password, / ? # and @ are written %2F %3F %23 and %40")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if scheme == "embedded":
        _only(said_by, scheme, options, ())
        if parts.netloc:
            raise ConfigError(f"{said_by}: a directory has three slashes, embedded:///path/to/directory")
        return Server("embedded", path=unquote(parts.path))
    db = _database(said_by, options.pop("db", "") or (parts.path.strip("/") if scheme != "unix" else ""))
    who: dict[str, Any] = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
    if scheme == "unix":
        _only(said_by, scheme, options, ())
        if not parts.path or parts.hostname:
            raise ConfigError(f"{said_by}: a unix socket's URL is unix:///path/to/socket")
        return Server("unix", path=unquote(parts.path), db=db, **who)
    tls = scheme == "rediss"
    _only(said_by, scheme, options, _TLS_OPTIONS if tls else ())
    return Server(
        "tcp",
        host=unquote(parts.hostname or "localhost"),
        port=port or 6379,
        db=db,
        tls=tls,
        tls_options=tuple(sorted(options.items())),
        **who,
    )


def _database(said_by: str, text: str) -> int:
    if text and not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(f"{said_by}: the database is a whole number, not {text!r}")
    return int(text or 0)


def _only(said_by: str, scheme: str, options: Mapping[str, str], known: tuple[str, ...]) -> None:
    if wrong := sorted(set(options) - set(known)):
        there_are = f"there are db, {', '.join(known)}" if known else "timeouts and such are settings, not options"
        raise ConfigError(f"{said_by}: {scheme}:// takes no option {wrong[0]!r}; {there_are}")


class _Environment:
    """Typed look-ups whose errors name the variable."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def matching(self, name: str, pattern: str, rule: str) -> str | None:
        text = self.text(name)
        if text is not None and not re.fullmatch(pattern, text):
            raise ConfigError(f"{name}={text!r}: {rule}")
        return text

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,12}", text.strip()) or not least <= int(text) <= most:
            raise ConfigError(f"{name}={text!r}: a whole number from {least} to {most}")
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
            raise ConfigError(f"{name}={text!r}: seconds, above 0 and at most {MAX_DEADLINE:.0f}")
        return seconds

    def flag(self, name: str) -> bool:
        text = (self.text(name) or "no").strip().lower()
        if text in ("1", "true", "yes", "on"):
            return True
        if text in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{name}={text!r}: yes or no")
