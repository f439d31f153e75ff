"""What a task delegates counts against its budgets too: reserved before, settled after, never overrun."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.gates.domain import Subject
from pavo.kit.sql import Database
from pavo.tasks.sql import removal
from pavo.usage import budgets
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import Estimate
from pavo.usage.service import Budget, UsageService
from tests.usage.spending import EURO, Attempt, Organisation, new_call


@pytest_asyncio.fixture
async def org(database: Database) -> Organisation:
    return await Organisation.new(database)


async def below(org: Organisation, count: int = 2) -> list[Subject]:
    """A task, the one that it delegated, the one that this delegated, and so on."""
    found = [org.first]
    for _ in range(count):
        found.append(await org.task(found[-1]))
    return found


async def of(org: Organisation, subject: Subject | None) -> Budget:
    """The one budget of a task, or of the organisation."""
    wanted = subject and subject.id
    [found] = [each for each in await org.standing() if each.task_id == wanted]
    return found


async def sums(org: Organisation, *subjects: Subject | None) -> list[tuple[float, float]]:
    """What is used and reserved of each."""
    found = [await of(org, each) for each in subjects]
    return [(each.used_cost / EURO, each.reserved_cost / EURO) for each in found]


async def test_it_counts_for_all_above_and_for_nobody_beside(org: Organisation) -> None:
    first, middle, last = await below(org)
    beside = await org.task(first)
    for each in (None, first, middle, last, beside):
        await org.budget("life", cost=1, task=each)
    whose = (None, first, middle, last, beside)
    attempt, call = await Attempt.begin(org, last), new_call()
    for _ in range(2):
        assert isinstance(await attempt.reserve(call, 0.6), Reservation)
        assert await sums(org, *whose) == [(0, 0.6)] * 4 + [(0, 0)]
    assert await attempt.settle(call, 0.25) and not await attempt.settle(call, 0.25)
    assert await sums(org, *whose) == [(0.25, 0)] * 4 + [(0, 0)]
    failed = new_call()
    await attempt.reserve(failed, 0.5)
    assert await attempt.release(failed)
    assert await sums(org, *whose) == [(0.25, 0)] * 4 + [(0, 0)]
    cut, again = new_call(), await Attempt.begin(org, last)
    await attempt.reserve(cut, 0.5)
    async with org.database.transaction() as session:
        assert not await budgets.lose(session, again.spender, cut, Estimate(0, EURO // 2), new_call().id)
    assert await sums(org, *whose) == [(0.75, 0)] * 4 + [(0, 0)]
    own = await Attempt.begin(org, first)
    assert isinstance(await own.reserve(new_call(), 0.125), Reservation)
    assert await sums(org, *whose) == [(0.75, 0.125)] * 2 + [(0.75, 0)] * 2 + [(0, 0)]


async def test_what_a_crash_cut_counts_above_once_the_next_attempt_looks(org: Organisation) -> None:
    first, _, last = await below(org)
    await org.budget("life", cost=1, task=first)
    dead = await Attempt.begin(org, last)
    await dead.reserve(new_call(), 0.5)
    alive = await Attempt.begin(org, last)
    assert isinstance(await alive.reserve(new_call(), 0.25), Reservation)
    assert await sums(org, first) == [(0.5, 0.25)]


async def work(attempt: Attempt) -> None:
    """Call until a budget does not suffice."""
    for number in range(200):
        call = new_call()
        found = await attempt.reserve(call, 0.09)
        if not isinstance(found, Reservation):
            assert found is not None and found.question is not None
            return
        await asyncio.sleep(0)
        assert await (attempt.release(call) if number % 7 == 6 else attempt.settle(call, 0.05))


async def look(org: Organisation, most: dict[Any, float]) -> None:
    """Note what is used and reserved together, at most."""
    while True:
        for one in await org.standing():
            most[one.task_id] = max(most.get(one.task_id, 0), (one.used_cost + one.reserved_cost) / EURO)
        await asyncio.sleep(0.01)


async def test_thirty_of_a_family_at_once_overrun_none_of_its_budgets(org: Organisation) -> None:
    """On three levels, with budgets that were made in no order of theirs, and one that is raised meanwhile."""
    first, middle, last = await below(org)
    await org.budget("life", cost=5, task=middle)
    await org.budget("day", cost=20)
    await org.budget("life", cost=2, task=last)
    await org.budget("month", cost=9, task=first)
    family = [first, middle, last]
    for parent in (first, middle, last):
        family += [await org.task(parent) for _ in range(8)]
    attempts = [await Attempt.begin(org, each) for each in family]
    most = dict[Any, float]()
    looking = asyncio.create_task(look(org, most))

    async def go_up() -> None:
        for cost in (6, 7):
            await org.budget("life", cost=cost, task=middle)

    await asyncio.gather(*(work(each) for each in attempts), go_up())
    looking.cancel()
    limits = {None: 20, first.id: 9, middle.id: 7, last.id: 2}
    assert all(most[whose] <= limit for whose, limit in limits.items()), most
    used = {one.task_id: one.used_cost for one in await org.standing()}
    calls = [(row.cost or 0, {row.task_id, *row.ancestors}) for row in await org.calls()]
    assert used[None] == sum(cost for cost, _ in calls)
    for whose in (first.id, middle.id, last.id):
        assert used[whose] == sum(cost for cost, line in calls if whose in line) > 0
    assert used[first.id] > (9 - 0.09) * EURO, "who was the last gave up too early"


async def test_who_is_kept_waiting_says_whose_budget_it_is_and_that_one_is_raised(org: Organisation) -> None:
    first, middle, last = await below(org)
    await org.budget("life", cost=0.5, task=first)
    await org.budget("life", cost=0.5, tokens=1000, task=last)
    attempt, call = await Attempt.begin(org, middle), new_call()
    found = await attempt.reserve(call, 0.6)
    assert isinstance(found, Exhausted) and found.question is not None
    assert f"Task {first.id}, for which this one works, has a budget of" in found.question.text
    assert found.told in found.question.text
    await org.answer(middle, found.question, {"cost": 0.75}, org.member)
    assert isinstance(await attempt.reserve(call, 0.6), Reservation)
    assert ((await of(org, first)).max_cost, (await of(org, last)).max_cost) == (0.75 * EURO, 0.5 * EURO)
    assert await attempt.settle(call, 0.5)

    deep = await Attempt.begin(org, last)
    own = await deep.reserve(new_call(), 0.1, 2000)
    assert isinstance(own, Exhausted) and own.question and own.question.text.startswith("This task has a budget of")
    above = await deep.reserve(new_call(), 0.3, 1)
    assert isinstance(above, Exhausted) and above.question and str(first.id) in above.question.text
    await org.answer(last, above.question, "stop")
    stopped = await deep.reserve(new_call(), 0.3, 1)
    assert isinstance(stopped, Exhausted) and stopped.stopped_by == org.owner.email
    assert await sums(org, first, last) == [(0.5, 0), (0, 0)]


async def test_those_that_bound_a_task_are_shown_with_it(org: Organisation) -> None:
    first, middle, last = await below(org)
    for each in (None, first, middle, last):
        await org.budget("life", cost=1, task=each)
    await org.budget("life", cost=1, task=await org.task(first))

    async def shown(task: Subject) -> Sequence[Any]:
        found = await UsageService(org.database).budgets(org.member, None, task.id)
        return sorted(str(each.task_id) for each in found)

    assert await shown(last) == sorted(str(each) for each in (None, first.id, middle.id, last.id))
    assert await shown(first) == sorted(str(each) for each in (None, first.id))


async def test_a_budget_that_is_set_later_counts_what_was_delegated_also_by_deleted_tasks(org: Organisation) -> None:
    first, middle, last = await below(org)
    own, deep, gone = [await Attempt.begin(org, each) for each in (first, last, middle)]
    for attempt, cost in ((own, 0.125), (deep, 0.25), (gone, 0.5)):
        await attempt.reserve(call := new_call(), cost)
        assert await attempt.settle(call, cost)
    await gone.reserve(new_call(), 1)
    async with org.database.transaction() as session:
        await removal.bury(session, middle.id)
    await removal.begin(org.database, middle.id)
    assert [row.ancestors for row in await org.calls() if row.task_id is None] == [[first.id]] * 2
    assert (await org.budget("life", cost=5, task=first)).used_cost == 1.875 * EURO
    await org.budget("month", cost=5, task=first)
    assert isinstance(await deep.reserve(new_call(), 0.5), Reservation), "the deleted one's place is known"
    assert (await org.budget("life", cost=5, task=first)).reserved_cost == 0.5 * EURO


@pytest.mark.parametrize("table", ["usage_calls", "budget_reservations"])
async def test_what_is_not_delegated_names_nobody(org: Organisation, table: str) -> None:
    attempt = await Attempt.begin(org, org.first)
    await attempt.reserve(call := new_call(), 0.1)
    if table == "usage_calls":
        await attempt.settle(call, 0.1)
    async with org.database.reading() as session:
        found = await session.scalars(text(f"SELECT ancestors FROM {table} WHERE call_id = :id"), {"id": call.id})
        assert found.all() == [[]]
