"""Log lines for machines: every one a JSON object, with the ids of what it is about."""

import asyncio
import json
import logging
import sys

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pavo.logging import JsonFormatter, TextFormatter
from pavo.observe import noted_ids as scope
from pavo.observe.http import Observed, request_ids
from pavo.observe.meters import Counter


class Kept(logging.Handler):
    """Keeps what it is given, formatted as in production."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter([request_ids]))
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_lines_of_requests_at_the_same_time_keep_their_own_ids(kept: Kept) -> None:
    logger = logging.getLogger("test-ids")
    logger.addHandler(kept)
    both_in = asyncio.Barrier(2)

    async def endpoint(request: Request) -> PlainTextResponse:
        scope.note(workflow_id=f"w-{request.path_params['task_id']}")
        await both_in.wait()
        logger.warning("hello %s", request.path_params["task_id"])
        return PlainTextResponse("ok")

    app = Observed(Starlette(routes=[Route("/tasks/{task_id}", endpoint)]))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        await asyncio.gather(client.get("/tasks/a"), client.get("/tasks/b"))
    logger.warning("outside")
    logger.removeHandler(kept)
    found = {line["message"]: (line.get("task_id"), line.get("workflow_id")) for line in kept.lines}
    assert found == {"hello a": ("a", "w-a"), "hello b": ("b", "w-b"), "outside": (None, None)}


def test_extra_members_and_exceptions(kept: Kept) -> None:
    logger = logging.getLogger("test-extra")
    logger.addHandler(kept)
    try:
        raise ValueError("wrong")
    except ValueError:
        logger.exception("It went %s", "badly", extra={"task_id": "t", "odd": Counter("x", "")})
    logger.removeHandler(kept)
    (line,) = kept.lines
    assert (line["message"], line["task_id"], line["level"]) == ("It went badly", "t", "ERROR")
    assert "ValueError: wrong" in str(line["exception"]) and "Counter" in str(line["odd"])


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
@given(st.text(st.characters() | st.sampled_from("\x1b\x9b\u202e\u2028\r\n")))
def test_an_event_is_one_line_whatever_it_says(formatter: logging.Formatter, text: str) -> None:
    record = logging.makeLogRecord({"name": "n", "msg": "%s", "args": (text,), "levelname": "INFO", "more": text})
    line = formatter.format(record)
    assert len(line.splitlines()) == 1 and not set(line) & set("\x1b\x9b\u202e\x7f")
    if isinstance(formatter, JsonFormatter):
        assert (json.loads(line)["message"], json.loads(line)["more"]) == (text, text)


def test_no_line_of_a_traceback_poses_as_an_event() -> None:
    try:
        raise ValueError("wrong\n2026-11-21 00:00:00,000 INFO    pavo: all is well\x1b[2K")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "It went\nbadly", None, sys.exc_info())
    first, *rest = TextFormatter().format(record).splitlines()
    assert first.endswith("ERROR   n: It went\\nbadly")
    assert all(line.startswith("  | ") for line in rest)
    assert rest[0] == "  | Traceback (most recent call last):" and rest[-1].endswith("pavo: all is well\\u001b[2K")
