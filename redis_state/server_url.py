"""A server's URL, read into its address and how to be let in. Pure.

No part of a URL is ever shown: wherever a mistake was made, it may be the password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis_state.errors import ConfigError

SCHEMES = "redis://, rediss://, unix://, embedded://"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Server:
    """The address of one server and how to be let in."""

    kind: str  # "tcp" | "unix" | "embedded"
    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str | None = field(default=None, repr=False)  # a password, where its colon was forgotten
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: tuple[tuple[str, str | bool], ...] = ()

    def __str__(self) -> str:
        if self.kind == "tcp":
            return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return self.path or "an embedded server"


def parse_url(url: str, *, said_by: str) -> Server:
    """Read a server's URL. No text of it appears in an error."""
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
    if scheme not in ("redis", "rediss", "unix", "embedded") or not url.lstrip()[len(scheme) :].startswith("://"):
        raise ConfigError(f"{said_by}: not a URL of a known scheme; there are {SCHEMES}")
    if parts.fragment or "@" in parts.query or ("@" in parts.path and (scheme != "unix" or ":" in parts.path)):
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
    _only(said_by, scheme, options, tuple(_TLS_OPTIONS) if tls else ())
    host, port = unquote(parts.hostname or "localhost"), port or 6379
    return Server("tcp", host=host, port=port, db=db, tls=tls, tls_options=_tls_options(said_by, options), **who)


def read_flag(said_by: str, text: str) -> bool:
    """Read yes or no."""
    word = text.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise ConfigError(f"{said_by}: yes or no")


def _requirement(said_by: str, text: str) -> str:
    """Read what is required of a certificate, as redis-py or as celery spells it."""
    word = text.strip().lower().removeprefix("cert_")
    if word not in ("none", "optional", "required"):
        raise ConfigError(f"{said_by}: one of none, optional, required")
    return word


def _file(said_by: str, text: str) -> str:
    return text  # that it is there, and what it should be, is looked at when an engine is made


_TLS_OPTIONS: dict[str, Callable[[str, str], str | bool]] = {
    "ssl_ca_certs": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_cert_reqs": _requirement,
    "ssl_check_hostname": read_flag,
}


def _tls_options(said_by: str, options: Mapping[str, str]) -> tuple[tuple[str, str | bool], ...]:
    """Read the options of an encrypted connection; an empty one is an unset one."""
    return tuple(
        (name, _TLS_OPTIONS[name](f"{said_by}: {name}", text)) for name, text in sorted(options.items()) if text
    )


def _database(said_by: str, text: str) -> int:
    if text and not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(f"{said_by}: the database is a whole number, as in redis://localhost:6379/0")
    return int(text or 0)


def _only(said_by: str, scheme: str, options: Mapping[str, str], known: tuple[str, ...]) -> None:
    wrong = sorted(set(options) - set(known))
    if not wrong:
        return
    if not known and set(wrong) <= set(_TLS_OPTIONS):
        raise ConfigError(f"{said_by}: {scheme}:// is not encrypted, so it takes no ssl_ options; rediss:// does")
    there_are = f"there are db, {', '.join(known)}" if known else "there is db; timeouts and such are settings"
    raise ConfigError(f"{said_by}: {scheme}:// does not take an option that is given; {there_are}")
