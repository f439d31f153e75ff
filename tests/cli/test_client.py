"""The command line's clients of the API against a transport that answers as told."""

import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from pydantic import BaseModel

from pavo.cli import api_client
from pavo.cli.api_client import ApiClient, find_url
from pavo.cli.problem_details import error_of
from pavo.cli.task.client import TaskClient
from pavo.errors import (
    ConfigurationError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    PavoError,
    Unavailable,
    WrongPlanHash,
)

TASK = uuid.uuid4()
Handler = Callable[[httpx2.Request], httpx2.Response]


class Clock:
    """Time that passes only while the client waits, or when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(api_client, "monotonic", found.monotonic)
    monkeypatch.setattr(api_client, "sleep", found.sleep)
    return found


@contextmanager
def _client(handler: Handler, **more: object) -> Generator[TaskClient]:
    transport = httpx2.MockTransport(handler)
    with ApiClient("http://127.0.0.1:9", transport=transport, **more) as api:  # type: ignore[arg-type]
        yield TaskClient(api)


def _event(seq: int, kind: str = "tick") -> str:
    body = json.dumps({"seq": seq, "type": kind, "at": "2026-11-21T05:00:00Z", "step": seq})
    return f"id: {seq}\ndata: {body}\n\n"


def _sse(*chunks: str) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=": connected\n\n" + "".join(chunks))


def _problem(status: int, code: str, **more: object) -> httpx2.Response:
    body = {"type": f"urn:pavo:error:{code}", "title": "t", "status": status, "detail": "d", "code": code, **more}
    return httpx2.Response(status, headers={"content-type": "application/problem+json"}, text=json.dumps(body))


def test_problem_details_become_the_error_that_they_name() -> None:
    found = error_of(_problem(409, "WrongPlanHash", field="hash", remedy="Read it.", current_hash="abc"))
    assert isinstance(found, WrongPlanHash)
    assert (found.detail, found.field, found.remedy) == ("d", "hash", "Read it.")
    assert found.extra["current_hash"] == "abc"


def test_an_unavailable_dependency_keeps_its_name_and_wait() -> None:
    answer = _problem(503, "OutcomeUnknown", dependency="worker", remedy="Repeat it.")
    answer.headers["Retry-After"] = "7"
    found = error_of(answer)
    assert isinstance(found, OutcomeUnknown)
    assert (found.dependency, found.retry_after, found.remedy) == ("worker", 7, "Repeat it.")


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (409, Conflict), (502, Unavailable), (500, PavoError), (418, PavoError)]
)
@pytest.mark.parametrize("body", ["", "<html>", '{"detail": ', "[1]", '{"code": "NoSuchThing"}', '{"code": "logging"}'])
def test_answers_that_are_no_problem_details_become_errors_by_status(
    status: int, kind: type[PavoError], body: str
) -> None:
    found = error_of(httpx2.Response(status, headers={"content-type": "application/json"}, text=body))
    assert type(found) is kind
    assert str(status) in found.detail


def test_who_is_asking() -> None:
    seen: list[httpx2.Headers] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers)
        return httpx2.Response(200, json={"items": [], "next_cursor": None})

    for more in ({"token": "s3cret", "user": "a@b.c"}, {"user": "zoë@example.com"}, {}):
        with _client(answer, **more) as client:
            client.list()
    assert seen[0]["Authorization"] == "Bearer s3cret"
    assert "X-User-Email" not in seen[0]
    assert dict(seen[1].raw)[b"X-User-Email"] == "zoë@example.com".encode()
    assert "X-User-Email" not in seen[2]


def test_a_missing_api_is_said_at_once() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with _client(refuse) as client, pytest.raises(Unavailable, match="No API answers") as found:
        client.get(TASK)
    assert found.value.remedy and "pavo up" in found.value.remedy


def test_a_command_is_repeated_while_its_outcome_is_unknown() -> None:
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.url.path)
        if len(keys) == 1:
            return httpx2.Response(200, json={"items": [], "next_cursor": None})
        if len(keys) == 2:
            raise httpx2.ReadError("cut", request=request)
        if len(keys) == 3:
            return _problem(503, "OutcomeUnknown", dependency="worker")
        return httpx2.Response(200, json={"outcome": "accepted", "hash": "h"})

    with _client(answer) as client:
        client.list()
        assert client.accept(TASK, "h").outcome == "accepted"
    assert len(keys) == 4


def test_the_next_try_waits_as_long_as_the_api_asks(clock: Clock) -> None:
    answers = [
        httpx2.Response(200, json={"items": [], "next_cursor": None}),
        _problem(503, "Unavailable", dependency="temporal"),
        _problem(503, "Unavailable", dependency="temporal"),
        httpx2.Response(200, json={"outcome": "accepted", "hash": "h"}),
    ]
    answers[1].headers["Retry-After"] = "5"
    answers[2].headers["Retry-After"] = "0"
    with _client(lambda _: answers.pop(0)) as client:
        client.list()
        client.accept(TASK, "h")
    assert clock.pauses == [5, 2 * api_client.FIRST_PAUSE_SECONDS]


def test_a_wait_beyond_the_patience_is_said_at_once(clock: Clock) -> None:
    answers = [httpx2.Response(200, json={"items": [], "next_cursor": None})]
    answers.append(_problem(503, "Unavailable", dependency="temporal"))
    answers[1].headers["Retry-After"] = "3600"
    with _client(lambda _: answers.pop(0)) as client:
        client.list()
        with pytest.raises(Unavailable, match="d") as found:
            client.accept(TASK, "h")
    assert found.value.retry_after == 3600 and clock.pauses == []


def test_a_comment_is_sent_once() -> None:
    calls: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.method)
        if request.method == "GET":
            return httpx2.Response(200, json={"items": [], "next_cursor": None})
        raise httpx2.ReadError("cut", request=request)

    with _client(answer) as client:
        client.list()
        with pytest.raises(OutcomeUnknown):
            client.add_feedback(TASK, uuid.uuid4(), "more")
    assert calls == ["GET", "POST"]


def test_the_stream_goes_on_behind_the_last_event_and_shows_each_once() -> None:
    asked: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 1:
            return _sse(_event(1), _event(2))
        if len(asked) == 2:
            raise httpx2.ConnectError("restarting", request=request)
        if len(asked) == 3:
            return _problem(503, "Unavailable", dependency="postgres")
        if len(asked) == 4:
            return _sse(_event(2), _event(3, "report"))
        return httpx2.Response(204)

    with _client(answer) as client:
        assert [event.seq for event in client.stream(TASK)] == [1, 2, 3]
    assert asked == [None, "2", "2", "2", "3"]


def test_a_stream_that_is_not_ours_is_no_reason_to_wait() -> None:
    with _client(lambda _: _problem(404, "NotFound")) as client, pytest.raises(NotFound):
        next(client.stream(TASK))


def test_a_stream_gives_up_when_the_patience_ends() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with _client(refuse, patience=0.1) as client, pytest.raises(Unavailable):
        next(client.stream(TASK))


def test_the_patience_of_a_stream_begins_when_the_connection_is_lost(clock: Clock) -> None:
    """An hour in which nothing happened is no hour in which the API was away."""
    calls: list[str] = []

    class Silent(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield _event(1).encode()
            clock.now += 3600
            raise httpx2.ReadError("cut")

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.url.path)
        if len(calls) == 1:
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Silent())
        if len(calls) == 2:
            raise httpx2.ConnectError("restarting", request=request)
        return _sse(_event(2)) if len(calls) == 3 else httpx2.Response(204)

    with _client(answer) as client:
        assert [event.seq for event in client.stream(TASK)] == [1, 2]


def test_a_stream_is_of_any_subject() -> None:
    class Line(BaseModel):
        seq: int
        text: str

    answers = [_sse('data: {"seq": 4, "text": "a"}\n\n', 'data: {"seq": 5, "text": "b"}\n\n'), httpx2.Response(204)]
    transport = httpx2.MockTransport(lambda _: answers.pop(0))
    with ApiClient("http://127.0.0.1:9", transport=transport) as api:
        found = list(api.stream("/api/jobs/1/log", Line.model_validate_json, after=4))
    assert found == [Line(seq=5, text="b")]


def test_a_deletion_that_was_repeated_is_done_when_nothing_is_there() -> None:
    calls: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.method)
        if request.method == "GET":
            return httpx2.Response(200, json={"items": [], "next_cursor": None})
        if len(calls) == 2:
            raise httpx2.ReadError("cut", request=request)
        return _problem(404, "NotFound")

    with _client(answer) as client:
        client.list()
        client.delete(TASK)
        with pytest.raises(NotFound):
            client.delete(TASK)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "no way"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        ApiClient(url)


def test_the_address_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAVO_URL", "http://127.0.0.1:1/")
    assert find_url() == "http://127.0.0.1:1"
    assert find_url("http://127.0.0.1:2") == "http://127.0.0.1:2"
