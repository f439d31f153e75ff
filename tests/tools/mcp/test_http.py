"""Servers over HTTP: what they do to Pavo, and what that means for a call."""

import asyncio
from collections.abc import Callable

import pytest

from tests.tools.mcp.conftest import Had
from tests.tools.mcp.http_server import http_server

Having = Callable[..., Had]


async def test_its_tools_are_tools(having: Having) -> None:
    async with http_server() as server:
        had = having(server.spec(headers={"Authorization": "Bearer t"}, effects={"ok": "read"}))
        assert (await had.tool("web__ok")).effect == "read"
        assert (await had.call("web__ok")).value == "ok" and (await had.call("web__stream")).value == "stream"
        assert {each["authorization"] for each in server.headers} == {"Bearer t"}
        assert server.headers[-1]["mcp-session-id"] == "s1"


@pytest.mark.parametrize("how", ["cut", "cut_stream", "status", "moved", "packed", "garbage"])
async def test_what_is_cut_is_of_unknown_outcome_and_sent_once(having: Having, how: str) -> None:
    async with http_server() as server:
        had = having(server.spec())
        outcome = await had.call(f"web__{how}")
        assert outcome.unknown, outcome
        assert server.called == [how]
        assert (await had.call("web__ok")).value == "ok"


async def test_an_answer_that_is_too_large_is_no_result(having: Having) -> None:
    async with http_server() as server:
        had = having(server.spec())
        outcome = await had.call("web__giant")
        assert outcome.state == "failed" and "It ran" in (outcome.error or "")
        assert (await had.call("web__ok")).value == "ok" and server.called == ["giant", "ok"]


async def test_what_hangs_is_given_up(having: Having) -> None:
    async with http_server() as server:
        had = having(server.spec(call_seconds=1))
        hung, fine = await asyncio.gather(had.call("web__hang"), had.call("web__ok"))
        assert hung.unknown and fine.value == "ok"


async def test_one_that_has_forgotten_the_session_gets_another_and_the_call_once_more(having: Having) -> None:
    async with http_server() as server:
        had = having(server.spec())
        await had.tool("web__ok")
        server.lost = True
        assert (await had.call("web__ok")).value == "ok" and server.sessions == 2 and server.called == ["ok"]


async def test_one_that_is_away_was_not_called(having: Having) -> None:
    async with http_server() as server:
        had = having(server.spec(call_seconds=1))
        await had.tool("web__ok")
    outcome = await had.call("web__ok")
    assert outcome.state == "failed" and "was not called" in (outcome.error or ""), outcome
