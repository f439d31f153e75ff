"""The models of one task, without a worker: what is recorded, what is asked again, and who may write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.config import LlmSettings
from pavo.errors import Unavailable
from pavo.kit.sql import Database
from pavo.llm import calls
from pavo.llm.calls import ModelCalls
from pavo.llm.models import ModelCallRow
from pavo.tasks.work.context.asked_models import TaskModels
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.usage.domain import Payer
from tests.driving import until
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.tools.rows import new_attempt, new_subject


class Caller:
    """A task that asks models."""

    def __init__(self, database: Database, server: ModelServer) -> None:
        self.database = database
        self.script: ModelScript = server.script({"text": "Yes."})
        self.settings = LlmSettings(base_url=server.base_url, model="scripted", tries=2, silence_seconds=5)
        self.opened: list[ModelCalls] = []
        self.cancelled = asyncio.Event()

    async def begin(self) -> "Caller":
        self.subject, user = await new_subject(self.database)
        self.payer = Payer(self.subject, user, "completing")
        self.begin_process()
        await self.take_over()
        return self

    def begin_process(self, settings: LlmSettings | None = None) -> None:
        """As another worker would."""
        self.calls = ModelCalls(self.database, settings or self.settings)
        self.opened.append(self.calls)

    async def close(self) -> None:
        for each in self.opened:
            await each.close()

    async def take_over(self) -> TaskModels:
        """Another attempt's models."""
        self.held = HeldEpoch(await new_attempt(self.database, self.subject))
        self.models = TaskModels(self.calls, self.subject, self.held, self.cancelled, self.payer)
        return self.models

    async def ask(self, key: str, *texts: str, models: TaskModels | None = None) -> ModelAnswer:
        request = ModelRequest(self.script.request(*(texts or ("What?",))), None, key, f"key:{key}")
        return await (models or self.models).complete(request)

    async def row(self) -> ModelCallRow:
        async with self.database.reading() as session:
            query = select(ModelCallRow).where(ModelCallRow.subject_id == self.subject.id)
            return (await session.scalars(query)).one()

    async def asked(self, times: int) -> None:
        async def so_often() -> bool:
            return sum(self.script.calls()) >= times

        await until(so_often, what=f"{times} requests")


@pytest_asyncio.fixture
async def caller(database: Database, model_server: ModelServer) -> AsyncIterator[Caller]:
    found = await Caller(database, model_server).begin()
    yield found
    await found.close()


def text(answer: ModelAnswer) -> Any:
    assert answer.value is not None, answer
    return answer.value["choices"][0]["message"]["content"]


async def test_asked_once_however_often_it_is_called(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "hold": True})
    first, second = (asyncio.create_task(caller.ask("a")) for _ in range(2))
    await caller.asked(1)
    first.cancel()
    caller.script.release()
    assert text(await second) == "Yes." == text(await caller.ask("a"))
    await caller.take_over()
    assert text(await caller.ask("a")) == "Yes." and caller.script.calls() == [1]
    row = await caller.row()
    assert (row.runs, row.state, row.model, row.endpoint) == (1, "done", "scripted", "default")


async def test_an_attempt_that_was_taken_over_records_nothing(caller: Caller) -> None:
    old = caller.models
    caller.script.tell({"text": "Old.", "hold": True})
    zombie = asyncio.create_task(caller.ask("a", models=old))
    await caller.asked(1)
    caller.begin_process()
    await caller.take_over()
    caller.script.tell({"text": "New."})
    assert text(await caller.ask("a")) == "New."
    caller.script.release()
    with pytest.raises(Unavailable):
        await zombie
    with pytest.raises(Unavailable):
        await caller.ask("b", models=old)
    row = await caller.row()
    assert row.answer["choices"][0]["message"]["content"] == "New." and row.runs == 2
    assert caller.script.calls() == [2], "the call that was in flight was made once more"


async def test_an_answer_under_way_in_the_same_process_is_taken_over(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "hold": True})
    first = asyncio.create_task(caller.ask("a"))
    await caller.asked(1)
    await caller.take_over()
    second = asyncio.create_task(caller.ask("a"))
    other = asyncio.create_task(caller.ask("b", "Another?"))
    await caller.asked(2)  # so the second has been claimed before
    caller.script.release()
    assert text(await second) == "Yes." == text(await other)
    await asyncio.wait({first})
    assert caller.script.calls() == [1, 1], "what was in flight was asked again"


async def test_a_failure_is_told_and_asked_again(caller: Caller) -> None:
    caller.script.tell({"text": "Yes.", "faults": [{"status": 500}, {"status": 500}]})
    failed = await caller.ask("a")
    assert failed.error is not None and not failed.refused and failed.status == 500
    row = await caller.row()
    assert row.state == "failed" and "500" in (row.error or "")
    assert text(await caller.ask("a")) == "Yes." and (await caller.row()).runs == 2


async def test_a_key_names_one_request(caller: Caller) -> None:
    await caller.ask("a", "One?")
    changed = await caller.ask("a", "Two?")
    assert changed.refused and "key" in (changed.error or "") and len(caller.script.calls()) == 1


async def test_what_is_recorded_needs_no_endpoint(caller: Caller) -> None:
    await caller.ask("a")
    caller.begin_process(LlmSettings(base_url=""))
    await caller.take_over()
    assert text(await caller.ask("a")) == "Yes."
    missing = await caller.ask("b")
    assert missing.refused and "PAVO_LLM_BASE_URL" in (missing.remedy or "")


async def test_an_answer_is_kept_while_postgresql_is_away(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its commit came through is not known either: recording it again changes nothing."""
    failures = iter((True, True))
    settle = calls.journal.settle

    async def cut(*given: Any, **more: Any) -> bool:
        if next(failures, False):
            raise Unavailable("It went away.", dependency="postgresql")
        await settle(*given, **more)
        return await settle(*given, **more)

    monkeypatch.setattr(calls.journal, "settle", cut)
    assert text(await caller.ask("a")) == "Yes." and caller.script.calls() == [1]
    assert (await caller.row()).state == "done"


async def test_told_to_stop_it_is_given_up(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pavo.tasks.work.context.asked_models.GRACE_SECONDS", 0.05)
    caller.script.tell({"text": "Yes.", "hold": True})
    asking = asyncio.create_task(caller.ask("a"))
    await caller.asked(1)
    caller.cancelled.set()
    with pytest.raises(Unavailable):
        await asking
