"""Tools of MCP servers through the ledger: what may have happened is asked, and never repeated by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from pavo.agents.calling.request import ToolRequest
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.gates import repository as gates
from pavo.kit.sql import Database
from pavo.tasks.work.context.asked_people import new_gate
from pavo.tasks.work.context.called_tools import HeldEpoch, TaskTools, ToolCaller
from pavo.timeline.publish import Publisher
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import ToolRegistry
from tests.driving import until
from tests.tools.mcp.conftest import Had, Told, bad
from tests.tools.rows import new_attempt, new_subject


class Caller:
    """A task whose tools are those of the server that misbehaves."""

    def __init__(self, database: Database, publisher: Publisher, had: Had) -> None:
        self.database, self._publisher, self._had = database, publisher, had

    async def begin(self) -> "Caller":
        self.subject, self.user = await new_subject(self.database)
        await self.take_over()
        return self

    async def take_over(self) -> None:
        held = HeldEpoch(await new_attempt(self.database, self.subject))
        registry = ToolRegistry({}, self._had.servers)
        caller = ToolCaller(self.subject, "calling", held)
        self.tools = TaskTools(self.database, self._publisher, registry, caller, OperatorsWord())

    async def call(self, key: str, name: str, **args: Any) -> Any:
        return await self.tools.call(ToolRequest(f"bad__{name}", args, key, f"key:{key}"))

    async def answer(self, question: Any, answer: Any) -> None:
        async with self.database.transaction() as session:
            gate, _ = await gates.open_gate(session, self.subject, new_gate(question))
            given = await gates.propose(session, gate.id, answer, "", self.user, "ada@example.com")
            assert (await gates.take(session, gate.id, given))[1]


@pytest_asyncio.fixture
async def caller(
    database: Database, settings: Settings, having: Callable[..., Had], tmp_path: Path
) -> AsyncIterator[Caller]:
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    had = having(bad(tmp_path, call_seconds=2, effects={"ok": "read", "giant": "read", "ref*": "read"}))
    yield await Caller(database, publisher, had).begin()
    await publisher.close()
    await redis.aclose()


async def test_a_crash_in_mid_call_is_asked_about_and_not_repeated(caller: Caller, told: Told) -> None:
    first = await caller.call("a", "crash")
    assert first.asks is not None and first.error is None
    again = await caller.call("b", "crash")
    assert again.asks == first.asks, "a model that tries again is told the same"
    await caller.take_over()
    assert (await caller.call("c", "crash")).asks == first.asks and told.lines("crash") == ["crash"]
    await caller.answer(first.asks, {"yes": "it went out"})
    assert [(await caller.call(key, "crash")).value for key in "abc"] == ["it went out"] * 3
    assert told.lines("crash") == ["crash"]


async def test_a_server_that_is_killed_in_mid_call_is_asked_about_and_runs_again_by_a_word_alone(
    caller: Caller, told: Told
) -> None:
    assert (await caller.call("before", "ok", text="recorded")).value == "recorded"
    (told.folder / "hold").touch()
    for turn in range(2):
        calling = asyncio.create_task(caller.call(f"key-{turn}", "hold"))

        async def held(times: int = turn + 1) -> bool:
            return len(told.lines("hold")) == times

        await until(held, what="the call at the server")
        os.kill(told.pids[-1], signal.SIGKILL)
        found = await calling
        assert found.asks is not None and found.asks.kind == "effect"
        await caller.take_over()  # the worker goes too: what was recorded stays, what nobody knows is asked
        assert (await caller.call("before", "ok", text="recorded")).value == "recorded"
        assert (await caller.call(f"other-{turn}", "hold")).asks == found.asks, "nor for another key"
        assert len(told.lines("hold")) == turn + 1 and told.lines("ok") == ["ok"]
        if turn == 0:
            await caller.answer(found.asks, {"yes": "it went out"})
            assert (await caller.call("key-0", "hold")).value == "it went out"
            assert (await caller.call("other-0", "hold")).value == "it went out", "the same call, to people"
        elif turn == 1:
            await caller.answer(found.asks, "no")
            (told.folder / "hold").unlink()
            assert (await caller.call("key-1", "hold")).value == "ok", "by the server that was begun anew"
            assert len(told.lines("hold")) == 3


async def test_what_takes_too_long_is_asked_about(caller: Caller, told: Told) -> None:
    assert (await caller.call("a", "hang")).asks is not None and told.lines("hang") == ["hang"]


async def test_parallel_calls_each_get_their_own(caller: Caller, told: Told) -> None:
    crash, *fine = await asyncio.gather(
        caller.call("a", "hang"), *(caller.call(f"ok{n}", "ok", text=str(n)) for n in range(5))
    )
    assert crash.asks is not None and [each.value for each in fine] == list("01234")
    assert len(told.lines("ok")) == 5


async def test_what_the_operator_calls_reading_fails_and_may_be_tried_again(caller: Caller) -> None:
    failed = await caller.call("a", "refuses")
    assert failed.asks is None and "not today" in failed.error
    assert (await caller.call("b", "ok")).value == "ok"


async def test_a_result_with_nul_and_one_that_is_too_large(caller: Caller) -> None:
    assert (await caller.call("a", "nul")).value == "a�b"
    assert "It ran" in (await caller.call("b", "giant")).error


async def test_arguments_that_do_not_fit_do_not_reach_it(caller: Caller, told: Told) -> None:
    wrong = await caller.call("a", "ok", text=5)
    assert "args.text" in wrong.error and told.lines("ok") == []
    unknown = await caller.call("b", "nothing")
    assert "There is no tool" in unknown.error and "bad__" in unknown.remedy
