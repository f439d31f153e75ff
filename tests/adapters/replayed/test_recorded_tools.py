"""Tools of frameworks that fail oddly: what they did is known, recorded, and never asked about."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from pavo.adapters.replayed.recorded_tools import recorded
from pavo.adapters.working import works_for
from pavo.agents.asking.question import People
from pavo.agents.calling.functions import Effect, Run, carry_out, runs_execute
from pavo.agents.calling.request import ToolRequest
from pavo.agents.contract import AgentContext
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import ToolFailed
from pavo.kit.sql import Database
from pavo.tasks.work.context.called_tools import TaskTools, ToolCaller
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.testing.corpus import MemoryCorpus
from pavo.timeline.publish import Publisher
from pavo.tools.models import ToolCallRow
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.registry import ToolRegistry
from tests.tools.rows import new_attempt, new_subject


class Unspeakable(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Executing:
    """An agent that executes: its calls go through the real ledger."""

    def __init__(self, tools: TaskTools, ids: tuple[uuid.UUID, uuid.UUID]) -> None:
        self._tools = tools
        self.ids = ids

    async def function(self, request: ToolRequest, effect: Effect, run: Run) -> Any:
        answer = await carry_out(self._tools, replace(request, identity=f"key:{request.hash}"), effect, run)
        assert answer.asks is None, "people are asked about what is known"
        if answer.error is not None:
            raise ToolFailed(answer.error, remedy=answer.remedy)
        return answer.value

    def asking(self, people: People) -> "Executing":
        return self


@pytest_asyncio.fixture
async def executing(database: Database, settings: Settings) -> AsyncIterator[Executing]:
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    subject, _ = await new_subject(database)
    held = HeldEpoch(await new_attempt(database, subject))
    caller = ToolCaller(subject, "intern", held)
    tools = TaskTools(database, publisher, ToolRegistry({}), caller, OperatorsWord())
    yield Executing(tools, (subject.id, subject.organisation_id))
    await publisher.close()
    await redis.aclose()


@pytest.mark.parametrize("effect", ["read", "unsafe"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("a\0b"), "ValueError: a�b"),
        (ValueError("a\ud800b"), "ValueError: a?b"),
        (Unspeakable(), "Unspeakable: (its message cannot be shown)"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("x" * 100_000), "ValueError: xxx"),
    ],
)
async def test_an_odd_failure_is_a_known_outcome(
    executing: Executing, database: Database, effect: Effect, error: BaseException, told: str
) -> None:
    runs: list[str] = []

    async def run() -> Any:
        runs.append("run")
        raise error

    works_for(AgentContext(*executing.ids, "T", "", {}, MemoryCorpus()))
    for _ in range(2):
        runs_execute(executing)
        with pytest.raises(ToolFailed) as failed:
            await recorded("odd", {"n": 1}, effect, run)
        assert failed.value.detail.startswith(told) and len(failed.value.detail) <= 2000
    assert runs == ["run"]
    async with database.transaction() as session:
        row = (await session.scalars(select(ToolCallRow).where(ToolCallRow.subject_id == executing.ids[0]))).one()
    assert row.state == "failed" and row.error == failed.value.detail
