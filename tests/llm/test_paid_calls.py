"""Calls of models reserve from budgets and settle: many tasks at once, failures, cuts, attempts that are taken over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.config import LlmSettings
from pavo.errors import Unavailable
from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.llm.calls import ModelCalls
from pavo.tasks.work.context.asked_models import TaskModels
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.context.shown_answers import ShownAnswers
from pavo.usage.domain import Payer
from pavo.usage.models import ReservationRow
from pavo.usage.prices import PriceTable
from tests.driving import until
from tests.llm.scripted import ModelScript, ModelServer
from tests.llm.scripted import model_server as model_server
from tests.tools.rows import new_attempt
from tests.usage.spending import EURO, Organisation

PRICES = '[[models]]\nmatch = "scripted"\ninput = 1000\noutput = 1000\n'
"""A thousandth a token."""
MOST = 20
"""Tokens of an answer that requests allow."""


@dataclass
class Paying:
    """An organisation whose tasks ask models."""

    org: Organisation
    server: ModelServer
    prices: PriceTable
    script: ModelScript
    settings: LlmSettings
    processes: list[ModelCalls] = field(default_factory=list)

    def process(self) -> ModelCalls:
        """Another worker."""
        self.processes.append(ModelCalls(self.org.database, self.settings, self.prices))
        return self.processes[-1]

    async def attempt(self, subject: Subject, calls: ModelCalls) -> TaskModels:
        """Another attempt takes the task over."""
        held, payer = HeldEpoch(await new_attempt(self.org.database, subject)), Payer(subject, None, "asking")
        return TaskModels(calls, subject, held, asyncio.Event(), payer, ShownAnswers(lambda *_: None))

    async def ask(self, models: TaskModels, text: str = "What?") -> ModelAnswer:
        body = self.script.request(text, max_completion_tokens=MOST)
        return await models.complete(ModelRequest(body, identity=f"1/{text}"))

    async def asked(self, times: int) -> None:
        async def so_often() -> bool:
            return sum(self.script.calls()) >= times

        await until(so_often, what=f"{times} requests")

    async def reserved_by_one(self) -> None:
        """Until all calls under way are one attempt's."""

        async def so() -> bool:
            async with self.org.database.reading() as session:
                mine = ReservationRow.organisation_id == self.org.id
                return len(set(await session.scalars(select(ReservationRow.epoch).where(mine)))) == 1

        await until(so, what="reservations of one attempt")

    async def states(self) -> list[str]:
        return sorted(row.state for row in await self.org.calls())


@pytest_asyncio.fixture
async def paying(database: Database, model_server: ModelServer, tmp_path: Path) -> AsyncIterator[Paying]:
    (tmp_path / "prices.toml").write_text(PRICES)
    settings = LlmSettings(base_url=model_server.base_url, model="scripted", tries=3, silence_seconds=5)
    org, prices = await Organisation.new(database), PriceTable.load(tmp_path / "prices.toml")
    found = Paying(org, model_server, prices, model_server.script({"text": "Yes."}), settings)
    yield found
    for each in found.processes:
        await each.close()


async def test_fifty_tasks_of_one_organisation_at_once_reserve_no_more_than_there_is(paying: Paying) -> None:
    """Each asks until its budget does not suffice; what is used and reserved is looked at all the while."""
    org, limit = paying.org, 1.2
    await org.budget("day", cost=limit)
    workers = [paying.process() for _ in range(2)]
    tasks = [await paying.attempt(await org.task(), workers[number % 2]) for number in range(50)]
    seen, answers, refused = [0], 0, list[ModelAnswer]()

    async def work(models: TaskModels) -> None:
        nonlocal answers
        for number in range(100):
            found = await paying.ask(models, f"What, {number}?")
            if found.value is None:
                refused.append(found)
                return
            answers += 1

    async def look() -> None:
        while True:
            (one,) = await org.standing()
            seen.append(one.used_cost + one.reserved_cost)
            await asyncio.sleep(0.01)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(work(each) for each in tasks))
    looking.cancel()
    (one,) = await org.standing()
    assert max(*seen, one.used_cost) <= limit * EURO and one.reserved_cost == 0
    assert len(refused) == 50 and all(each.asks is not None and each.status == 402 for each in refused)
    assert sum(paying.script.calls()) == answers == len(await org.calls()), "a call was made that nothing was kept for"
    dearest = max(row.cost or 0 for row in await org.calls())
    assert one.used_cost == sum(row.cost or 0 for row in await org.calls()) > 0 < dearest < 0.1 * EURO
    assert one.used_cost > (limit - 0.05) * EURO, "who was alone at the end gave up too early"


async def test_an_answer_that_is_recorded_costs_nothing_again(paying: Paying) -> None:
    models = await paying.attempt(paying.org.first, calls := paying.process())
    await paying.ask(models)
    await paying.org.budget("life", cost=0)
    models = await paying.attempt(paying.org.first, calls)
    assert (await paying.ask(models)).value is not None and len(await paying.org.calls()) == 1
    assert (await paying.ask(models, "Another?")).asks is not None and paying.script.calls() == [1]


async def test_what_the_server_says_is_counted(paying: Paying) -> None:
    await paying.ask(await paying.attempt(paying.org.first, paying.process()))
    (row,) = await paying.org.calls()
    assert (row.tokens_in, row.tokens_out, row.cost, row.model) == (2, 2, 4 * EURO // 1000, "scripted")
    assert (row.task_id, row.agent, row.state) == (paying.org.first.id, "asking", "settled") and row.seconds > 0


async def test_refused_it_costs_nothing(paying: Paying) -> None:
    await paying.org.budget("life", cost=1)
    paying.script.tell({"text": "Yes."}, key="another")
    assert (await paying.ask(await paying.attempt(paying.org.first, paying.process()))).refused
    (one,) = await paying.org.standing()
    assert (one.used_cost, one.reserved_cost) == (0, 0) and await paying.org.calls() == []


@pytest.mark.parametrize(("fault", "lost"), [({"status": 500}, 0), ({"cut": 2}, 1), ({"malformed": True}, 1)])
async def test_tries_that_may_be_paid_for_count_by_their_estimates(
    paying: Paying, fault: dict[str, Any], lost: int
) -> None:
    await paying.org.budget("life", cost=10)
    models = await paying.attempt(paying.org.first, paying.process())
    paying.script.tell({"text": "Yes.", "faults": [fault]})
    assert (await paying.ask(models)).value is not None
    assert await paying.states() == ["lost"] * lost + ["settled"]
    paying.script.tell({"text": "Yes.", "faults": [fault] * 3})
    assert (await paying.ask(models, "Failing?")).error is not None
    assert await paying.states() == ["lost"] * 4 * lost + ["settled"]
    (one,) = await paying.org.standing()
    assert one.used_cost == sum(row.cost or 0 for row in await paying.org.calls()) and one.reserved_cost == 0
    assert (await paying.ask(models, "Failing?")).value is not None, "made again in the same attempt, it counts anew"
    assert (await paying.states()).count("settled") == 2


async def test_no_try_is_made_that_the_budget_does_not_suffice_for(paying: Paying) -> None:
    await paying.org.budget("life", cost=0.06, task=paying.org.first)
    models = await paying.attempt(paying.org.first, paying.process())
    paying.script.tell({"text": "Yes.", "faults": [{"cut": 2}] * 2})
    assert (await paying.ask(models)).asks is not None
    (row,) = await paying.org.calls()
    assert row.state == "lost" and paying.script.calls() == [1]


async def test_a_death_in_mid_call_counts_by_the_estimate(paying: Paying) -> None:
    await paying.org.budget("life", cost=10)
    dead = await paying.attempt(paying.org.first, paying.process())
    paying.script.tell({"text": "Yes.", "hold": True})
    zombie = asyncio.create_task(paying.ask(dead))
    await paying.asked(1)
    alive = await paying.attempt(paying.org.first, paying.process())
    paying.script.tell({"text": "Yes."})
    assert (await paying.ask(alive)).value is not None and await paying.states() == ["lost", "settled"]
    paying.script.release()
    with pytest.raises(Unavailable):
        await zombie
    assert await paying.states() == ["lost", "settled"], "who wakes up later counts nothing"
    (one,) = await paying.org.standing()
    assert one.reserved_cost == 0


async def test_a_call_that_the_next_attempt_joins_is_counted_once(paying: Paying) -> None:
    await paying.org.budget("life", cost=10)
    calls = paying.process()
    paying.script.tell({"text": "Yes.", "hold": True})
    first = asyncio.create_task(paying.ask(await paying.attempt(paying.org.first, calls)))
    await paying.asked(1)
    again = await paying.attempt(paying.org.first, calls)
    other = asyncio.create_task(paying.ask(again, "Another?"))
    await paying.asked(2)  # so that was claimed, and looked for what was lost
    second = asyncio.create_task(paying.ask(again))
    await paying.reserved_by_one()
    paying.script.release()
    assert (await second).value is not None and (await other).value is not None
    await asyncio.wait({first})
    assert await paying.states() == ["settled", "settled"] and sum(paying.script.calls()) == 2
    (one,) = await paying.org.standing()
    assert one.reserved_cost == 0


async def test_what_people_answer_holds_for_the_call(paying: Paying) -> None:
    await paying.org.budget("life", tokens=20, task=paying.org.first)
    models = await paying.attempt(paying.org.first, calls := paying.process())
    asked = [await paying.ask(models, text) for text in ("One?", "Two?")]
    assert asked[0].asks is not None and asked[0].asks == asked[1].asks and paying.script.calls() == []
    assert asked[0].refused and "20 tokens" in (asked[0].error or "") and "pavo budget set" in (asked[0].remedy or "")
    await paying.org.answer(paying.org.first, asked[0].asks, {"tokens": 10_000})
    models = await paying.attempt(paying.org.first, calls)
    assert (await paying.ask(models, "One?")).value is not None and (await paying.ask(models, "Two?")).value is not None
    await paying.org.budget("life", tokens=1, task=paying.org.first)
    question = (await paying.ask(models, "Three?")).asks
    assert question is not None
    await paying.org.answer(paying.org.first, question, "stop")
    stopped = await paying.ask(await paying.attempt(paying.org.first, calls), "Three?")
    assert stopped.asks is None and stopped.refused and paying.org.owner.email in (stopped.error or "")
