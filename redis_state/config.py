"""Settings: where the server is, and how long to try. Pure: reads the environment, connects to nothing.

A URL wins over single variables. Every mistake is reported with the name that it was made under.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis_state.errors import ConfigError

SCHEMES = "redis://, rediss://, unix://, embedded://"
MAX_DEADLINE = 300.0  # seconds; the server remembers calls for three times as long
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_ONE_SERVER_ONLY = (
    "REDIS_FALLBACK_URL",
    "REDIS_FALLBACK_HOST",
    "REDIS_SENTINELS",
    "REDIS_CLUSTER_NODES",
    "REDIS_CACHE_URL",
)


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
            return f"{self.host}:{self.port}"
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

    def __post_init__(self) -> None:
        for name in ("deadline", "socket_timeout", "connect_timeout"):
            seconds = getattr(self, name)
            if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= MAX_DEADLINE:
                raise ConfigError(f"{name}={seconds!r}: seconds, above 0 and at most {MAX_DEADLINE:.0f}")
        if not re.fullmatch(r"[^{}\s]+", self.prefix):
            raise ConfigError(f"prefix={self.prefix!r}: one word without braces or spaces, like 'rs'")
        for name, least, most in (("partitions", 1, 1024), ("max_connections", 1, 65535)):
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or not least <= count <= most:
                raise ConfigError(f"{name}={count!r}: a whole number from {least} to {most}")

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
        return cls(
            server=server,
            deadline=env.seconds("REDIS_STATE_DEADLINE", default.deadline),
            socket_timeout=env.seconds("REDIS_STATE_SOCKET_TIMEOUT", default.socket_timeout),
            prefix=env.text("REDIS_STATE_PREFIX") or default.prefix,
        )

    def with_changes(self, *, url: str | None = None, **settings: Any) -> Settings:
        """Return a copy with some fields changed."""
        if url is not None:
            settings["server"] = parse_url(url, said_by="url")
        try:
            return replace(self, **settings)
        except TypeError:
            known = [name for name in self.__slots__ if name != "server"]
            wrong = sorted(set(settings) - set(self.__slots__))
            raise ConfigError(f"no setting is called {', '.join(wrong)}; there are: url, {', '.join(known)}") from None


def container_id(environ: Mapping[str, str] | None = None) -> str:
    """Return ``CONTAINER_ID``, or host name and process id when it is unset."""
    given = (os.environ if environ is None else environ).get("CONTAINER_ID")
    return given or f"{platform.node()}-{os.getpid()}"


def parse_url(url: str, *, said_by: str) -> Server:
    """Read a server's URL. The password never appears in an error."""
    if not isinstance(url, str):
        raise ConfigError(f"{said_by}: a string like redis://localhost:6379/0, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{said_by}: the port is a number from 1 to 65535, as in redis://localhost:6379/0") from None
    options = dict(parse_qsl(parts.query))
    scheme = parts.scheme or url.partition(":")[0]
    if scheme == "embedded":
        _only(said_by, scheme, options, ())
        if parts.netloc:
            raise ConfigError(f"{said_by}: a directory has three slashes, embedded:///{parts.netloc}{parts.path}")
        return Server("embedded", path=unquote(parts.path))
    db = _database(said_by, options.pop("db", "") or (parts.path.strip("/") if scheme != "unix" else ""))
    who: dict[str, Any] = {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }
    if scheme == "unix":
        _only(said_by, scheme, options, ())
        if not parts.path:
            raise ConfigError(f"{said_by}: a unix socket's URL is unix:///path/to/socket")
        return Server("unix", path=unquote(parts.path), db=db, **who)
    if scheme in ("redis", "rediss"):
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
    raise ConfigError(f"{said_by}: unknown scheme {scheme!r}; there are {SCHEMES}")


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
