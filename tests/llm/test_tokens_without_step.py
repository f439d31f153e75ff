"""Calls of models that lead to no checkpoint are asked about, and the same question is found again by each attempt."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest_asyncio
from sqlalchemy import update

from pavo.agents.calling.completion import ModelAnswer
from pavo.gates import repository as gates
from pavo.kit.sql import Database
from pavo.tasks import events
from pavo.tasks.domain import FAILED
from pavo.tasks.sql.models import ExecutionRow
from pavo.tasks.work.context.asked_models import TaskModels
from pavo.tasks.work.context.asked_people import TaskPeople, new_gate
from pavo.tasks.work.context.shown_answers import ShownAnswers
from pavo.tasks.work.context.tokens_without_step import GO_ON, STOP, TokensWithoutStep
from pavo.timeline import service as timeline
from tests.llm.scripted import ModelServer
from tests.llm.scripted import model_server as model_server
from tests.llm.test_task_models import Caller

AN_ANSWER = 3
"""Tokens, as the scripted server says."""
MOST = 3 * AN_ANSWER


class Guarded(Caller):
    """A task that may take so many tokens for a checkpoint."""

    async def guarded(self, *, asking: bool = True) -> TaskModels:
        await self.take_over()
        task: Any = SimpleNamespace(id=self.subject.id, organisation_id=self.subject.organisation_id)
        people = TaskPeople(self.database, task, 1) if asking else None
        async with self.database.reading() as session:
            steps = (await session.get_one(ExecutionRow, self.subject.id)).step
        guard = TokensWithoutStep(self.database, task, steps, people, MOST)
        shown = ShownAnswers(self.seen.add)
        return TaskModels(self.calls, self.subject, self.held, self.cancelled, self.payer, shown, guard)

    async def answers(self, models: TaskModels, *numbers: int) -> list[ModelAnswer]:
        return [await self.ask(f"k{number}", str(number), models=models) for number in numbers]

    async def say(self, question: Any, word: str) -> None:
        async with self.database.transaction() as session:
            gate, _ = await gates.open_gate(session, self.subject, new_gate(question))
            given = await gates.propose(session, gate.id, word, "", self.payer.user_id, "ada@example.com")
            assert (await gates.take(session, gate.id, given))[1]


@pytest_asyncio.fixture
async def guarded(database: Database, model_server: ModelServer) -> AsyncIterator[Guarded]:
    found = Guarded(database, model_server)
    await found.begin()
    yield found
    await found.close()


async def test_beyond_its_tokens_people_are_asked_and_their_word_holds(guarded: Guarded) -> None:
    models = await guarded.guarded()
    *made, first = await guarded.answers(models, 1, 2, 3, 4)
    assert all(each.value is not None for each in made) and sum(guarded.script.calls()) == 3
    assert first.asks is not None and first.refused and f"{MOST} tokens" in (first.error or "")
    [again] = await guarded.answers(models, 5)
    assert again.asks == first.asks, "one question for all calls that wait"
    await guarded.say(first.asks, GO_ON)
    models = await guarded.guarded()
    *made, second = await guarded.answers(models, 1, 2, 3, 4, 5, 6, 7)
    assert all(each.value is not None for each in made) and sum(guarded.script.calls()) == 6, "recorded ones are found"
    assert second.asks is not None and second.asks.key != first.asks.key
    await guarded.say(second.asks, STOP)
    *_, stopped = await guarded.answers(await guarded.guarded(), 1, 2, 3, 4, 5, 6, 7)
    assert stopped.asks is None and stopped.refused and "said to stop" in (stopped.error or "")
    assert sum(guarded.script.calls()) == 6
    async with guarded.database.transaction() as session:
        await timeline.append(session, guarded.subject.id, [events.stage(FAILED)])
    for word in (STOP, GO_ON):
        *_, third = await guarded.answers(await guarded.guarded(), 1, 2, 3, 4, 5, 6, 7)
        assert third.asks is not None and third.asks.key not in (first.asks.key, second.asks.key), (
            "who resumes is asked"
        )
        await guarded.say(third.asks, word)
        *_, seventh = await guarded.answers(await guarded.guarded(), 1, 2, 3, 4, 5, 6, 7)
        assert (seventh.value is None) == (word == STOP) and seventh.asks is None
        async with guarded.database.transaction() as session:
            await timeline.append(session, guarded.subject.id, [events.stage(FAILED)])


async def test_a_checkpoint_counts_anew(guarded: Guarded) -> None:
    models = await guarded.guarded()
    for turn in range(3):
        made = await guarded.answers(models, *(10 * turn + number for number in range(3)))
        assert all(each.value is not None for each in made)
        async with guarded.database.transaction() as session:
            mine = update(ExecutionRow).where(ExecutionRow.task_id == guarded.subject.id)
            await session.execute(mine.values(step=turn + 1))
    [last] = await guarded.answers(await guarded.guarded(), 2)
    assert last.value is not None


async def test_where_nobody_can_be_asked_it_is_refused(guarded: Guarded) -> None:
    *_, refused = await guarded.answers(await guarded.guarded(asking=False), 1, 2, 3, 4)
    assert refused.asks is None and refused.refused and "PAVO_LLM_STEP_TOKENS" in (refused.remedy or "")
