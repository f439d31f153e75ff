"""Questions about budgets: who may answer them, and when nobody needs to any more."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.gates import repository as gates
from pavo.gates.domain import BUDGET, MEMBER, OWNER, Gate
from pavo.kit.sql import Database
from pavo.tasks.work.context.asked_people import new_gate
from pavo.usage.asking import about_budget
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import Call, period_end
from pavo.usage.overtaken import BY_BUDGET, overtaken, propose
from pavo.usage.service import UsageService
from tests.usage.spending import Attempt, Organisation, new_call


@pytest_asyncio.fixture
async def org(database: Database) -> Organisation:
    return await Organisation.new(database)


async def opened(org: Organisation, attempt: Attempt, call: Call, tokens: int) -> Gate:
    """What people are asked, as the attempt's end opens it."""
    refused = await attempt.reserve(call, 0, tokens)
    assert isinstance(refused, Exhausted) and refused.question is not None
    async with org.database.transaction() as session:
        new = await about_budget(session, org.id, new_gate(refused.question))
        gate, _ = await gates.open_gate(session, attempt.spender.subject, new)
    return gate


async def found(org: Organisation, margin: timedelta = timedelta()) -> Sequence[uuid.UUID]:
    async with org.database.reading() as session:
        return await overtaken(session, org.id, margin)


async def execute(org: Organisation, statement: str, **values: Any) -> None:
    async with org.database.transaction() as session:
        await session.execute(text(statement), values)


async def test_who_may_answer_and_until_when_is_kept_with_the_gate(org: Organisation) -> None:
    attempt = await Attempt.begin(org, org.first)
    await org.budget("life", tokens=10, task=org.first)
    own = await opened(org, attempt, new_call(), 11)
    assert (own.kind, own.may_answer, own.expires_at, own.has_default) == (BUDGET, MEMBER, None, False)
    await org.budget("life", tokens=1_000, task=org.first)
    await org.budget("month", tokens=10)
    shared = await opened(org, attempt, new_call(), 11)
    assert (shared.may_answer, shared.default, shared.has_default) == (OWNER, "again", True)
    assert shared.expires_at is not None and shared.expires_at.astimezone(UTC).day == 1


@pytest.mark.parametrize(
    ("period", "at", "end"),
    [
        ("day", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("life", datetime(2026, 2, 1, tzinfo=UTC), None),
    ],
)
def test_when_a_period_ends(period: str, at: datetime, end: datetime | None) -> None:
    assert period_end(period, at) == end


async def test_in_the_next_period_it_is_answered_by_itself(org: Organisation) -> None:
    await org.budget("day", tokens=10)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    assert await attempt.reserve(call, 0, 10) and await attempt.settle(call, 0, 10)
    gate = await opened(org, attempt, waiting := new_call(), 5)
    assert await found(org) == []
    # A day later.
    await execute(
        *(
            org,
            "UPDATE budgets SET began = began - interval '1 day', set_at = set_at - interval '1 day' WHERE id = :id",
        ),
        id=(await org.row()).id,
    )
    back = "UPDATE gates SET opened_at = opened_at - interval '1 day', expires_at = expires_at - interval '1 day'"
    await execute(org, f"{back} WHERE id = :id", id=gate.id)
    assert await found(org) == [gate.id], "the second line finds it too, as one that an older build opened"
    async with org.database.transaction() as session:
        (closed,) = await gates.expire(session, org.first.id)
    assert (closed.id, closed.answer, closed.answered_by) == (gate.id, "again", "policy:default")
    assert isinstance(await attempt.reserve(waiting, 0, 5), Reservation)


async def test_a_budget_that_was_set_or_removed_answers_for_people(org: Organisation) -> None:
    other = await Organisation.new(org.database)
    one = await org.budget("life", tokens=10)
    await other.budget("life", tokens=10)
    attempts = [await Attempt.begin(org, subject) for subject in (org.first, await org.task())]
    waiting = [await opened(org, attempt, new_call(), 11) for attempt in attempts]
    await opened(other, await Attempt.begin(other, other.first), new_call(), 11)
    assert await found(org) == []
    assert len(await found(org, timedelta(minutes=1))) == 2, "asked while it was set"
    told = list[tuple[uuid.UUID, str]]()

    class Waiting:
        async def look_again(self, organisation_id: uuid.UUID, by: str) -> None:
            told.append((organisation_id, by))

    service = UsageService(org.database, Waiting())
    await org.budget("life", tokens=20)
    assert sorted(await found(org)) == sorted(gate.id for gate in waiting) and told == []
    await service.remove_budget(org.owner, one.id)
    assert told == [(org.id, org.owner.email)] and len(await found(org)) == 2

    for _ in range(2):  # once, however often it is tried
        proposed = await propose(org.database, waiting[0].id, "Ada has set the budget.")
        assert proposed is not None
    async with org.database.transaction() as session:
        gate, closed = await gates.take(session, waiting[0].id, proposed[1])
    assert closed and gate is not None
    assert (gate.answer, gate.answered_by, gate.answered_by_id) == ("again", BY_BUDGET, None)
    assert gate.note == "Ada has set the budget." and await found(org) == [waiting[1].id]
    assert await propose(org.database, uuid.uuid4(), "") is None


async def test_a_question_that_a_process_made_up_gets_nothing_by_it(org: Organisation) -> None:
    attempt = await Attempt.begin(org, org.first)
    await org.budget("life", tokens=10)
    refused = await attempt.reserve(new_call(), 0, 11)
    assert isinstance(refused, Exhausted) and refused.question is not None
    async with org.database.transaction() as session:
        for key in ("budget", "budget/life/none/1", "budget/life//1", "x/y/z"):
            forged = new_gate(type(refused.question)(key, "?", kind="budget", default={"tokens": 99}, has_default=True))
            new = await about_budget(session, org.id, forged)
            assert (new.has_default, new.may_answer, new.expires_seconds) == (False, MEMBER, None)
