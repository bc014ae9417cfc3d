"""Events of the delivery: what hooks are told of calls, retries, connections and scripts, on both engines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_state import AsyncEngine, Engine, ServerUnavailable, UnknownSession
from redis_state.engine.op import Op, command
from redis_state.events import LOGGED, CallFinished, CallRetried, Connected, Event, ScriptHealed
from redis_state.keys import Keys
from redis_state.mapping.record_operations import RecordOperations
from redis_state.state import ProgressState
from tests.support.proxy import Proxy
from tests.support.servers import Server

Ask = Callable[[Any], Any]


class Heard(list[Event]):
    """A hook that keeps what it is told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if type(event) is kind]


@pytest.fixture(params=["blocking", "asyncio"])
def engine_and_ask(request: pytest.FixtureRequest, server: Server, prefix: str) -> Iterator[tuple[Any, Ask, Proxy]]:
    """An engine of each kind behind a proxy, and how to run ops on it."""
    with Proxy(server.socket_path) as proxy:
        if request.param == "blocking":
            with Engine.from_url(proxy.url, prefix=prefix, socket_timeout=0.5) as engine:
                yield engine, lambda op: engine.run_all(op) if isinstance(op, list) else engine.run(op), proxy
            return

        async def run(op: Any) -> Any:
            return await (waiting.run_all(op) if isinstance(op, list) else waiting.run(op))

        with asyncio.Runner() as runner:
            waiting = AsyncEngine.from_url(proxy.url, prefix=prefix, socket_timeout=0.5)
            yield waiting, lambda op: runner.run(run(op)), proxy
            runner.run(waiting.close())


def put(prefix: str, name: str = "a") -> Op[Any]:
    return RecordOperations(Keys("events", prefix=prefix), 60.0, lambda: "me").put(name, {"n": 1})


def ping() -> Op[bytes]:
    return command(None, "PING", read=bytes)


def test_a_hook_is_told_of_each_call(engine_and_ask: tuple[Any, Ask, Proxy], prefix: str) -> None:
    engine, ask, _ = engine_and_ask
    heard = Heard()
    engine.on_event(heard)
    ask(ping())
    ask(put(prefix))
    ask([ping(), put(prefix, "b")])
    finished = heard.of(CallFinished)
    assert [(one.op, one.outcome) for one in finished] == [
        ("PING", "ok"),
        ("record/put", "ok"),
        ("PING", "ok"),
        ("record/put", "ok"),
    ]
    assert all(0 < one.seconds < 10 for one in finished)


def test_a_refusal_is_told_by_the_class_of_its_error(engine: Engine) -> None:
    heard = Heard()
    engine.on_event(heard)
    with pytest.raises(UnknownSession):
        ProgressState("me", engine).mark("missing", 0)
    assert [(one.outcome, one.tag) for one in heard.of(CallFinished)] == [("UnknownSession", "unknown")]


def test_a_lost_reply_is_told_as_a_retry_and_a_connection(engine_and_ask: tuple[Any, Ask, Proxy], prefix: str) -> None:
    engine, ask, proxy = engine_and_ask
    ask(put(prefix))
    heard = Heard()
    engine.on_event(heard)
    proxy.drop_next()
    ask(put(prefix))
    (retried,) = heard.of(CallRetried)
    assert (retried.op, retried.attempt) == ("record/put", 1)
    assert retried.why
    assert 0 <= retried.pause < 1
    assert heard.of(Connected) == [Connected(str(engine.settings.server), again=True)]
    assert [(one.outcome, one.attempts) for one in heard.of(CallFinished)] == [("ok", 2)]


def test_a_script_that_the_server_lost_is_told_as_healed(
    engine_and_ask: tuple[Any, Ask, Proxy], prefix: str, server: Server
) -> None:
    engine, ask, _ = engine_and_ask
    ask(put(prefix))
    heard = Heard()
    engine.on_event(heard)
    with server.client() as client:
        client.script_flush()
    ask(put(prefix))
    assert heard.of(ScriptHealed) == [ScriptHealed("record/put")]
    assert not heard.of(CallRetried)


def test_a_call_without_an_answer_is_told_with_its_error(prefix: str) -> None:
    heard = Heard()
    with Engine.from_url("redis://localhost:1", prefix=prefix, deadline=0.1) as engine:
        engine.on_event(heard)
        with pytest.raises(ServerUnavailable):
            engine.run(ping())
    (finished,) = heard.of(CallFinished)
    assert finished.outcome == "ServerUnavailable"
    assert finished.attempts == 1 + len(heard.of(CallRetried))


def test_what_a_hook_raises_reaches_no_call_and_is_logged_once(
    engine_and_ask: tuple[Any, Ask, Proxy], caplog: pytest.LogCaptureFixture
) -> None:
    engine, ask, _ = engine_and_ask
    heard = Heard()

    def broken(event: Event) -> None:
        raise ZeroDivisionError("the hook's own")

    engine.on_event(broken)
    engine.on_event(heard)
    for _ in range(3):
        assert ask(ping()) == b"PONG"
    assert len(heard.of(CallFinished)) == 3
    assert [record.name for record in caplog.records if record.exc_info] == ["redis_state"]


def test_a_hook_that_is_removed_hears_no_more(engine: Engine) -> None:
    heard, other = Heard(), Heard()
    remove = engine.on_event(heard)
    engine.on_event(other)
    engine.run(ping())
    remove()
    remove()
    engine.run(ping())
    assert (len(heard.of(CallFinished)), len(other.of(CallFinished))) == (1, 2)


def test_without_a_hook_no_call_makes_an_event(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object) -> None:
        raise AssertionError("an event was made")

    monkeypatch.setattr("redis_state.engine.delivery.CallFinished", made)
    remove = engine.on_event(Heard())
    remove()
    engine.run(ping())


def test_the_log_has_the_fields_of_an_event(
    engine: Engine, server: Server, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "redis_state"), Engine.from_url(server.url, prefix=prefix) as told:
        told.run(ping())
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "CallFinished"]
    assert (record.name, record.levelname) == ("redis_state.engine", "DEBUG")
    fields = record.redis_state  # type: ignore[attr-defined]
    assert (fields["op"], fields["outcome"], fields["attempts"]) == ("PING", "ok", 1)
    assert record.getMessage().startswith("PING: ok, ")


@pytest.mark.parametrize("kind", LOGGED, ids=lambda kind: kind.__name__)
def test_an_event_is_immutable_and_has_a_text(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    from redis_state.events import log

    made = kind(**{name: {str: "a", float: 1.0, int: 2, bool: True}.get(of, "b") for name, of in _types(kind).items()})
    with pytest.raises(AttributeError):
        setattr(made, kind._fields[0], "other")
    with caplog.at_level(logging.DEBUG, "redis_state"):
        log(made)
    (record,) = [each for each in caplog.records if getattr(each, "redis_state", None) == made._asdict()]
    assert record.redis_state == made._asdict()  # type: ignore[attr-defined]
    assert "{" not in record.getMessage()


def _types(kind: Any) -> dict[str, Any]:
    from typing import get_type_hints

    return get_type_hints(kind)


def test_each_event_is_in_the_union_and_in_the_table_of_the_log() -> None:
    from typing import get_args

    assert set(get_args(Event)) == set(LOGGED)
