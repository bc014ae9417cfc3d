"""Settings: read from URLs and variables; each mistake is one line that names where it was made."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_state import ConfigError, Engine
from redis_state.config import _VARIABLES, Server, Settings, container_id, parse_url
from tests.support import ROOT

SECRET = "correct-horse"


def env(**variables: str) -> Settings:
    return Settings.from_env(variables)


def url(text: str) -> Server:
    return parse_url(text, said_by="REDIS_URL")


# --- what is understood -------------------------------------------------------------------------------


def test_the_defaults_are_localhost_6379() -> None:
    assert env().server == Server("tcp", host="localhost", port=6379)
    assert env().deadline == 10.0
    assert env().prefix == "rs"


def test_single_variables_say_it_all() -> None:
    server = env(
        REDIS_HOST="db", REDIS_PORT="7000", REDIS_PASSWORD=SECRET, REDIS_USERNAME="me", REDIS_DB="3", REDIS_TLS="yes"
    ).server
    assert server == Server("tcp", "db", 7000, db=3, username="me", password=SECRET, tls=True)


def test_a_url_wins_over_host_and_port() -> None:
    settings = env(REDIS_URL="redis://there:7001/2", REDIS_HOST="here", REDIS_PORT="7000")
    assert settings.server == Server("tcp", "there", 7001, db=2)


def test_an_empty_variable_is_an_unset_one() -> None:
    assert env(REDIS_URL="", REDIS_HOST="", REDIS_PORT="", REDIS_TLS="", REDIS_STATE_PREFIX="") == env()


def test_times_and_prefix_come_from_the_environment() -> None:
    settings = env(REDIS_STATE_DEADLINE="2.5", REDIS_STATE_SOCKET_TIMEOUT="0.5", REDIS_STATE_PREFIX="app")
    assert (settings.deadline, settings.socket_timeout, settings.prefix) == (2.5, 0.5, "app")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("redis://", Server("tcp")),
        ("redis://db", Server("tcp", "db")),
        ("redis://db:7000/5", Server("tcp", "db", 7000, db=5)),
        ("redis://db/?db=5", Server("tcp", "db", db=5)),
        ("redis://[::1]:7000/1", Server("tcp", "::1", 7000, db=1)),
        ("redis://[fe80::1]", Server("tcp", "fe80::1")),
        ("redis://me:p%40ss%2Fw@db", Server("tcp", "db", username="me", password="p@ss/w")),
        ("redis://:pw@db", Server("tcp", "db", password="pw")),
        ("rediss://db", Server("tcp", "db", tls=True)),
        (
            "rediss://db?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none",
            Server("tcp", "db", tls=True, tls_options=(("ssl_ca_certs", "/ca.pem"), ("ssl_cert_reqs", "none"))),
        ),
        (
            "rediss://db?ssl_cert_reqs=CERT_NONE",
            Server("tcp", "db", tls=True, tls_options=(("ssl_cert_reqs", "none"),)),
        ),
        (
            "rediss://db?ssl_cert_reqs=Optional",
            Server("tcp", "db", tls=True, tls_options=(("ssl_cert_reqs", "optional"),)),
        ),
        (
            "rediss://db?ssl_check_hostname=No",
            Server("tcp", "db", tls=True, tls_options=(("ssl_check_hostname", False),)),
        ),
        (
            "rediss://db?ssl_check_hostname=1",
            Server("tcp", "db", tls=True, tls_options=(("ssl_check_hostname", True),)),
        ),
        ("rediss://db?ssl_ca_certs=&ssl_check_hostname=", Server("tcp", "db", tls=True)),
        ("unix:///run/redis.sock", Server("unix", path="/run/redis.sock")),
        ("unix:///run/redis.sock?db=2", Server("unix", path="/run/redis.sock", db=2)),
        ("unix://me:pw@/run/r%20s", Server("unix", path="/run/r s", username="me", password="pw")),
        ("embedded://", Server("embedded")),
        ("embedded:///var/tmp/x", Server("embedded", path="/var/tmp/x")),
    ],
)
def test_a_url_says_where_the_server_is(text: str, server: Server) -> None:
    assert url(text) == server


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        (Server("tcp", "db", 7000), "db:7000"),
        (Server("tcp", "::1", 7000), "[::1]:7000"),
        (Server("unix", path="/run/s"), "/run/s"),
        (Server("embedded"), "an embedded server"),
    ],
)
def test_a_server_shows_its_address(server: Server, shown: str) -> None:
    assert str(server) == shown


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A container whose name was not looked up yet."""
    monkeypatch.delenv("CONTAINER_ID", raising=False)
    container_id.cache_clear()
    yield
    container_id.cache_clear()


def test_a_container_is_named_by_its_variable(unnamed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ID", "blue")
    assert container_id() == "blue"


@pytest.mark.usefixtures("unnamed")
def test_a_container_without_a_name_is_host_and_process_also_after_a_fork() -> None:
    assert container_id() == f"{platform.node()}-{os.getpid()}"
    child = os.fork()
    if not child:
        os._exit(0 if container_id() == f"{platform.node()}-{os.getpid()}" else 1)
    assert os.waitpid(child, 0)[1] == 0


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PORT", "abc"),
        ("REDIS_PORT", "0"),
        ("REDIS_PORT", "65536"),
        ("REDIS_PORT", "-1"),
        ("REDIS_PORT", "6379.0"),
        ("REDIS_DB", "x"),
        ("REDIS_DB", "-1"),
        ("REDIS_TLS", "maybe"),
        ("REDIS_STATE_DEADLINE", "soon"),
        ("REDIS_STATE_DEADLINE", "0"),
        ("REDIS_STATE_DEADLINE", "301"),
        ("REDIS_STATE_DEADLINE", "nan"),
        ("REDIS_STATE_SOCKET_TIMEOUT", "-1"),
        ("REDIS_STATE_SOCKET_TIMEOUT", "inf"),
        ("REDIS_STATE_PREFIX", "two words"),
        ("REDIS_STATE_PREFIX", "a{b}"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "localhost"),
        ("REDIS_URL", "redis://localhost:abc"),
        ("REDIS_URL", "redis://localhost:99999"),
        ("REDIS_URL", "redis://localhost:0"),
        ("REDIS_URL", "redis://localhost/x"),
        ("REDIS_URL", "redis://localhost/0/1"),
        ("REDIS_URL", "redis://localhost?db=x"),
        ("REDIS_URL", "redis://localhost?socket_timeout=3"),
        ("REDIS_URL", "redis://localhost?ssl_ca_certs=/x"),
        ("REDIS_URL", "rediss://localhost?ssl_typo=/x"),
        ("REDIS_URL", "redis://localhost#x"),
        ("REDIS_URL", "rediss://localhost?ssl_check_hostname=perhaps"),
        ("REDIS_URL", "rediss://localhost?ssl_cert_reqs=CERT_SOMETIMES"),
        ("REDIS_HOST", "redis://localhost"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "unix://relative/path"),
        ("REDIS_URL", "embedded://relative/path"),
        ("REDIS_URL", "embedded:///x?db=1"),
        ("REDIS_FALLBACK_URL", "redis://other"),
        ("REDIS_SENTINELS", "a:1,b:2"),
        ("REDIS_CLUSTER_NODES", "a:1"),
        ("REDIS_CACHE_URL", "http://other"),
        ("REDIS_STATE_UNSAFE_SERVER", "maybe"),
        ("REDIS_STATE_TEXT_BUDGET", "8G"),
        ("REDIS_STATE_TEXT_BUDGET", "5"),
    ],
)
def test_a_bad_variable_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        env(**{name: value})
    said = str(caught.value)
    assert said.startswith(name)
    assert "\n" not in said
    assert len(said) < 200


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("redis://db", "REDIS_TLS", "yes"),
        ("unix:///run/s", "REDIS_TLS", "yes"),
        ("rediss://db", "REDIS_TLS", "no"),
        ("redis://db", "REDIS_USERNAME", "me"),
        ("redis://me:pw@db", "REDIS_USERNAME", "you"),
        ("redis://db", "REDIS_PASSWORD", SECRET),
        ("redis://:pw@db", "REDIS_PASSWORD", SECRET),
        ("redis://db", "REDIS_DB", "3"),
        ("redis://db/2", "REDIS_DB", "0"),
    ],
)
def test_what_is_asked_for_beside_a_url_is_used_or_refused(url: str, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"REDIS_URL contradicts {name}") as caught:
        env(**{"REDIS_URL": url, name: value})
    assert SECRET not in str(caught.value)


def test_variables_that_agree_with_the_url_are_well() -> None:
    said = {"REDIS_TLS": "yes", "REDIS_USERNAME": "me", "REDIS_PASSWORD": "p@ss", "REDIS_DB": "2"}
    assert env(REDIS_URL="rediss://me:p%40ss@db/2", **said).server == url("rediss://me:p%40ss@db/2")
    assert env(REDIS_URL="redis://db", REDIS_TLS="no", REDIS_DB="0").server == Server("tcp", "db")


def test_caches_are_not_sent_in_clear_where_encryption_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="REDIS_CACHE_URL contradicts REDIS_TLS"):
        env(REDIS_HOST="db", REDIS_TLS="yes", REDIS_CACHE_URL="redis://cache")
    assert env(REDIS_HOST="db", REDIS_TLS="yes", REDIS_CACHE_URL="rediss://cache").server.tls


@pytest.mark.parametrize("name", ["REDIS_STATE_DEADLIN", "REDIS_STATE_DEADLINES", "REDIS_STATE_DAEDLINE"])
def test_a_misspelt_variable_is_told_with_the_nearest_name(name: str) -> None:
    with pytest.warns(RuntimeWarning, match=rf"{name} is set and means nothing; is it REDIS_STATE_DEADLINE\?"):
        env(**{name: "3"})


def test_a_variable_of_no_meaning_hears_which_there_are() -> None:
    with pytest.warns(RuntimeWarning, match="REDIS_STATE_X is set and means nothing; there are .*REDIS_STATE_PREFIX"):
        env(REDIS_STATE_X="3")


def test_every_variable_of_the_documents_has_a_meaning(recwarn: pytest.WarningsRecorder) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    named = set(re.findall(r"REDIS_STATE_[A-Z_]+", page))
    assert named == set(_VARIABLES)
    with contextlib.suppress(ConfigError):
        env(**dict.fromkeys(named, "1"))
    env(
        REDIS_STATE_SERVICE_HOST="10.0.0.1", REDIS_STATE_PORT="tcp://10.0.0.1:1", REDIS_STATE_PORT_1_TCP_ADDR="10.0.0.1"
    )
    assert not recwarn.list


@pytest.mark.parametrize(
    "settings",
    [
        {"deadline": 0},
        {"deadline": True},
        {"deadline": "10"},
        {"socket_timeout": -1.0},
        {"connect_timeout": float("inf")},
        {"prefix": ""},
        {"prefix": "a b"},
        {"prefix": 5},
        {"partitions": 0},
        {"partitions": 1025},
        {"partitions": 1.5},
        {"max_connections": 0},
        {"max_connections": True},
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(settings))}="):
        Settings.from_url("redis://localhost", **settings)


def test_a_mistyped_setting_hears_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"dead_line.*deadline"):
        Engine.from_url("redis://localhost", dead_line=3)


@pytest.mark.parametrize("wrong", [None, 5, b"redis://localhost"])
def test_a_url_is_a_string(wrong: object) -> None:
    with pytest.raises(ConfigError, match="string"):
        parse_url(wrong, said_by="url")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        f"redis://:{SECRET}@localhost:abc",
        f"redis://:{SECRET}@localhost/x",
        f"redis://:{SECRET}@localhost?what=1",
        f"http://:{SECRET}@localhost",
        f"redis://:12/{SECRET}@localhost",
        f"redis://:12#{SECRET}@localhost",
        f"redis://:12?{SECRET}@localhost",
        f"redis://:12?db={SECRET}@localhost",
        f"redis://:12?{SECRET}=1@localhost",
        f"embedded://:{SECRET}@x/y",
        f"unix://:{SECRET}@",
        f"we_ird:{SECRET}@localhost",
        f":{SECRET}@localhost",
        f"{SECRET}@localhost",
        f"//:{SECRET}@localhost",
    ],
)
def test_no_error_shows_a_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        url(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_repr_shows_a_password() -> None:
    assert_hidden(env(REDIS_URL=f"redis://me:{SECRET}@db"))
    assert_hidden(env(REDIS_URL=f"redis://{SECRET}@db"))  # a colon was forgotten, and it became the user's name


def assert_hidden(settings: Settings) -> None:
    engine = Engine(settings)
    for shown in (settings, settings.server, engine, engine.status()):
        assert SECRET not in f"{shown!r} {shown}"


URLS = [
    f"{scheme}://{who}{SECRET}@{where}"
    for scheme in ("redis", "rediss")
    for who in (":", "me:")
    for where in ("db", "db:6379", "db:6379/0", "[::1]:6379/0", "db/0?db=1")
] + [f"unix://me:{SECRET}@/run/redis.sock?db=1", f"unix://:{SECRET}@/run/redis.sock"]


@st.composite
def mistyped(draw: st.DrawFn) -> str:
    """A URL with one mistake outside the secret: a character left out, put in, doubled or swapped with the next one."""
    text = draw(st.sampled_from(URLS))
    before, _, after = text.partition(SECRET)
    place = draw(st.integers(0, len(before) + len(after) - 1))
    letters = [*before, SECRET, *after]
    place += place >= len(before)
    how = draw(st.sampled_from(["out", "in", "twice", "swap"]))
    if how == "out":
        del letters[place]
    elif how == "in":
        letters.insert(place, draw(st.sampled_from("/:@?#[]%& .\\redis1")))
    elif how == "twice":
        letters.insert(place, letters[place])
    elif place + 1 < len(letters):
        letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


@pytest.mark.parametrize("name", ["REDIS_URL", "REDIS_CACHE_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_TLS"])
@given(text=mistyped())
@hypothesis.settings(deadline=None, max_examples=300)
def test_no_text_of_a_mistyped_url_is_shown(name: str, text: str) -> None:
    try:
        settings = env(**{name: text})
    except ConfigError as error:
        shown = f"{error} {error.__cause__}"
    else:
        engine = Engine(settings)
        shown = f"{settings!r} {settings.server} {settings.cache_server} {engine!r} {engine.status()!r}"
    assert SECRET not in shown


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        env().deadline = 3.0  # type: ignore[misc]
