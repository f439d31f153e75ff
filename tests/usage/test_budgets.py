"""Reserving and settling: many at once, twice, by dead attempts, over the ends of periods, with people's answers."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete, event, func, select, text, update

from pavo.agents.asking.question import Question
from pavo.errors import Forbidden, InvalidInput, LeaseLost, NotFound, PavoError
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.json_schema import misfit
from pavo.kit.sql import Database
from pavo.tasks.sql import removal
from pavo.timeline.models import TimelineRow
from pavo.usage import budgets
from pavo.usage.abandoned import count_abandoned
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import MAX_COST, period_start
from pavo.usage.models import BudgetRow, ReservationRow
from pavo.usage.repository import Chosen, by
from pavo.usage.schemas import UsageWanted
from pavo.usage.service import NewBudget, UsageService
from tests.usage.spending import EURO, Attempt, Organisation, new_call


@pytest_asyncio.fixture
async def org(database: Database) -> Organisation:
    return await Organisation.new(database)


def asked(found: Any) -> Question:
    assert isinstance(found, Exhausted) and found.question is not None
    return found.question


async def test_a_call_reserves_and_settles(org: Organisation) -> None:
    await org.budget("life", cost=1)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    assert isinstance(await attempt.reserve(call, 0.6, 100), Reservation)
    assert isinstance(await attempt.reserve(call, 0.6, 100), Reservation), "done twice it reserves once"
    (one,) = await org.standing()
    assert (one.reserved_cost, one.reserved_tokens, one.used_cost) == (0.6 * EURO, 100, 0)
    assert isinstance(await attempt.reserve(new_call(), 0.41), Exhausted)
    assert await attempt.settle(call, 0.2, 40) and not await attempt.settle(call, 0.2, 40)
    (one,) = await org.standing()
    assert (one.reserved_cost, one.used_cost, one.used_tokens) == (0, 0.2 * EURO, 40)
    failed = new_call()
    assert isinstance(await attempt.reserve(failed, 0.8), Reservation)
    assert await attempt.release(failed) and not await attempt.release(failed)
    assert [row.state for row in await org.calls()] == ["settled"]


async def test_fifty_tasks_at_once_reserve_no_more_than_there_is(org: Organisation) -> None:
    await org.budget("day", cost=10)
    await org.budget("life", tokens=10_000_000)
    attempts = [await Attempt.begin(org, await org.task()) for _ in range(50)]
    most, waits, calls = 0, list[float](), 0

    async def work(attempt: Attempt) -> None:
        nonlocal calls
        while True:
            call, begun = new_call(), time.perf_counter()
            if not isinstance(await attempt.reserve(call, 0.09, 10), Reservation):
                return
            waits.append(time.perf_counter() - begun)
            calls += 1
            await asyncio.sleep(0)
            assert await attempt.settle(call, 0.03, 5)

    async def look() -> None:
        nonlocal most
        while True:
            for one in await org.standing():
                if one.max_cost is not None:
                    most = max(most, one.used_cost + one.reserved_cost)
            await asyncio.sleep(0.01)

    looking, begun = asyncio.create_task(look()), time.perf_counter()
    await asyncio.gather(*(work(each) for each in attempts))
    seconds = time.perf_counter() - begun
    looking.cancel()
    found = {one.period: one for one in await org.standing()}
    assert most <= 10 * EURO and found["day"].used_cost == calls * 0.03 * EURO <= 10 * EURO
    # Each gave up when its own reservation did not fit any more: less than one is left, once nobody reserves.
    assert found["day"].used_cost > (10 - 0.09) * EURO and found["day"].reserved_cost == 0
    waits.sort()
    print(f"{calls} calls of 50 tasks in {seconds:.2f} s, {seconds / calls * 1e3:.1f} ms a call; reserve: ", end="")
    print(f"p50 {waits[len(waits) // 2] * 1e3:.0f} ms, p95 {waits[len(waits) * 95 // 100] * 1e3:.0f} ms")


async def test_reserving_and_settling_are_one_statement_each(org: Organisation) -> None:
    """With budgets or without; what they cost is told beside."""
    attempt, statements = await Attempt.begin(org, org.first), list[str]()

    def note(_: Any, __: Any, statement: str, *more: Any) -> None:
        statements.append(statement)

    event.listen(org.database.engine.sync_engine, "before_cursor_execute", note)
    try:
        for budgets_set in range(3):
            if budgets_set:
                await org.budget(("life", "day")[budgets_set - 1], cost=1_000_000)
            await attempt.reserve(warm := new_call(), 0.01)
            await attempt.settle(warm, 0.01)
            statements.clear()
            begun, cpu = time.perf_counter(), time.process_time()
            for _ in range(50):
                assert isinstance(await attempt.reserve(call := new_call(), 0.01, 10), Reservation)
                assert await attempt.settle(call, 0.01, 10)
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
            assert len([each for each in statements if "budget" in each]) == 100
            assert len(statements) == 200, "and a look at the lease for each"
            print(f"{budgets_set} budgets: {wall / 50 * 1e3:.2f} ms a call, of these CPU here {cpu / 50 * 1e3:.2f} ms")
    finally:
        event.remove(org.database.engine.sync_engine, "before_cursor_execute", note)


async def test_a_call_that_a_crash_cut_counts_by_its_estimate(org: Organisation) -> None:
    await org.budget("life", cost=1)
    dead, call = await Attempt.begin(org, org.first), new_call()
    await dead.reserve(call, 0.4)
    alive = await Attempt.begin(org, org.first)
    assert isinstance(await alive.reserve(call, 0.4), Reservation)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.4 * EURO, 0.4 * EURO)
    assert not await dead.settle(call, 0.1), "an older attempt settles nothing"
    assert not await dead.settle(call, 0.1, fenced=False), "also behind its look at the lease"
    with pytest.raises(LeaseLost):
        async with org.database.transaction() as session:
            await budgets.reserve(session, dead.spender, call, budgets.Estimate(1, 1))
    assert await alive.settle(call, 0.3)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.7 * EURO, 0)
    assert sorted((row.state, row.cost) for row in await org.calls()) == [("lost", 0.4 * EURO), ("settled", 0.3 * EURO)]


async def _aged(org: Organisation, subject: Subject, **ages: str) -> None:
    """Shift the reservations of a task, and the task's last write, into the past."""
    shifts = {
        "calls": "UPDATE budget_reservations SET at = at - CAST(:age AS interval) WHERE task_id = :id",
        "task": "UPDATE tasks SET updated_at = updated_at - CAST(:age AS interval) WHERE id = :id",
    }
    async with org.database.transaction() as session:
        for what, age in ages.items():
            await session.execute(text(shifts[what]), {"age": age, "id": subject.id})


@pytest.mark.parametrize("stage", ["DONE", "FAILED", "STOPPED"])
async def test_what_a_task_that_ended_had_reserved_is_counted_and_given_back(org: Organisation, stage: str) -> None:
    await org.budget("life", cost=1)
    dead, other = await Attempt.begin(org, org.first), await Attempt.begin(org, await org.task())
    await dead.reserve(new_call(), 0.4)
    kept = new_call()
    await other.reserve(kept, 0.5)
    async with org.database.transaction() as session:
        ended = text("UPDATE tasks SET stage = :stage, updated_at = pavo_now() WHERE id = :id")
        await session.execute(ended, {"stage": stage, "id": org.first.id})
    await count_abandoned(org.database)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0, 0.9 * EURO), "it may still be under way"
    await _aged(org, org.first, calls="21 minutes", task="21 minutes")
    await count_abandoned(org.database)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.4 * EURO, 0.5 * EURO)
    await (await Attempt.begin(org, org.first)).reserve(new_call(), 0.05)
    await count_abandoned(org.database)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.4 * EURO, 0.55 * EURO), "what is reserved since its end stays"
    assert await other.settle(kept, 0.1)


async def test_what_was_reserved_longer_ago_than_any_call_lasts_is_counted_once(org: Organisation) -> None:
    await org.budget("life", cost=1)
    dead, call = await Attempt.begin(org, org.first), new_call()
    await dead.reserve(call, 0.4)
    await _aged(org, org.first, calls="24 hours")
    await count_abandoned(org.database)
    assert (await org.standing())[0].used_cost == 0
    await _aged(org, org.first, calls="2 hours")
    await asyncio.gather(*(count_abandoned(org.database) for _ in range(3)))
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.4 * EURO, 0)
    assert not await dead.settle(call, 0.2, fenced=False), "who wakes up later counts nothing"
    assert [row.state for row in await org.calls()] == ["lost"]


async def test_what_a_deleted_task_had_reserved_is_counted(org: Organisation) -> None:
    await org.budget("life", cost=1)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    await attempt.reserve(call, 0.4)
    async with org.database.transaction() as session:
        await removal.bury(session, org.first.id)
    await removal.begin(org.database, org.first.id)
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.4 * EURO, 0) and not await attempt.settle(call, 0.1)


async def test_a_crash_between_the_calls_write_and_its_commit_leaves_nothing(org: Organisation) -> None:
    await org.budget("life", cost=1)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    with pytest.raises(ZeroDivisionError):
        async with org.database.transaction() as session:
            await budgets.reserve(session, attempt.spender, call, budgets.Estimate(1, EURO))
            raise ZeroDivisionError
    assert isinstance(await attempt.reserve(call, 1), Reservation)
    with pytest.raises(ZeroDivisionError):
        async with org.database.transaction() as session:
            await budgets.settle(session, attempt.spender, call, budgets.Used(1, 1, cost=EURO))
            raise ZeroDivisionError
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0, EURO) and await attempt.settle(call, 1)


async def test_what_was_used_before_a_budget_was_set_counts(org: Organisation) -> None:
    attempt, before, under_way = await Attempt.begin(org, org.first), new_call(), new_call()
    await attempt.reserve(before, 0.5)
    await attempt.settle(before, 0.5, 7)
    await attempt.reserve(under_way, 0.25)
    for period in ("day", "month", "life"):
        one = await org.budget(period, cost=1)
        assert (one.used_cost, one.used_tokens, one.reserved_cost) == (0.5 * EURO, 7, 0.25 * EURO)
    other = await org.budget("life", cost=1, task=await org.task())
    assert (other.used_cost, other.reserved_cost) == (0, 0)
    mine = await org.budget("life", tokens=10, task=org.first)
    assert (mine.used_tokens, mine.used_cost) == (7, 0.5 * EURO)


async def test_a_budget_that_is_set_while_calls_settle_misses_none(org: Organisation) -> None:
    attempts = [await Attempt.begin(org, await org.task()) for _ in range(8)]

    async def work(attempt: Attempt) -> None:
        for _ in range(15):
            call = new_call()
            assert isinstance(await attempt.reserve(call, 0.01), Reservation)
            assert await attempt.settle(call, 0.01)

    async def setting() -> None:
        for period in ("life", "month", "day"):
            await asyncio.sleep(0.05)
            await org.budget(period, cost=1000)

    await asyncio.gather(setting(), *(work(each) for each in attempts))
    assert {one.used_cost for one in await org.standing()} == {8 * 15 * EURO // 100}


async def test_a_period_ends_and_the_next_begins_empty(org: Organisation) -> None:
    await org.budget("day", cost=1)
    attempt, late = await Attempt.begin(org, org.first), new_call()
    await attempt.reserve(late, 0.9)
    async with org.database.transaction() as session:  # yesterday's
        day = text("UPDATE budgets SET began = began - interval '1 day', used_cost = 50 WHERE organisation_id = :id")
        await session.execute(day, {"id": org.id})
        at = ReservationRow.organisation_id == org.id
        await session.execute(update(ReservationRow).where(at).values(at=ReservationRow.at - text("interval '1 day'")))
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0, 0)
    fresh = new_call()
    assert isinstance(await attempt.reserve(fresh, 0.9), Reservation)
    assert await attempt.settle(late, 0.05), "a call that ends in the next period counts there"
    (one,) = await org.standing()
    assert (one.used_cost, one.reserved_cost) == (0.05 * EURO, 0.9 * EURO)


async def test_sums_that_no_column_holds_count_as_the_most_it_holds(org: Organisation) -> None:
    await org.budget("life", cost=1)
    attempt = await Attempt.begin(org, org.first)
    for _ in range(10):
        assert await attempt.settle(new_call(), MAX_COST)
    (one,) = await org.standing()
    assert one.used_cost == 2**63 - 1 and isinstance(await attempt.reserve(new_call(), 0), Exhausted)
    assert (await org.budget("month", cost=1)).used_cost == 2**63 - 1


@pytest.mark.parametrize("spent", [0, 1, 10**18])
@pytest.mark.parametrize("reserved", [0, 7, 10**18])
@pytest.mark.parametrize("wanted", [0, 1, 10**12])
async def test_what_is_allowed_fits(org: Organisation, spent: int, reserved: int, wanted: int) -> None:
    attempt, call = await Attempt.begin(org, org.first), new_call()
    lack = text("SELECT lack FROM budget_lack(:o, :t, :c, 0, :w)")
    await org.budget("life", cost=1)
    under_way = new_call()
    await attempt.reserve(under_way, 0)
    sizes = text("UPDATE budget_reservations SET cost = :cost WHERE call_id = :id")
    async with org.database.transaction() as session:
        await session.execute(sizes, {"cost": reserved, "id": under_way.id})
        for slack in (-1, 0, 1):
            limit = spent + reserved + wanted + slack
            limits = {"max_cost": limit, "used_cost": spent}
            for unpriced in (False, True):
                values = update(BudgetRow).where(BudgetRow.organisation_id == org.id)
                await session.execute(values.values(**limits, unpriced_allowed=unpriced))
                place = {"o": org.id, "t": org.first.id, "c": call.id}
                found = (await session.scalars(lack, {**place, "w": wanted})).one_or_none()
                assert found == (None if slack >= 0 else "exhausted")
                unknown = (await session.scalars(lack, {**place, "w": None})).one_or_none()
                overrun = None if wanted + slack >= 0 else "exhausted"
                assert unknown == (overrun if unpriced else "unpriced")


async def test_periods_begin_alike_in_python_and_in_postgresql(database: Database) -> None:
    moments = [datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-2)))]
    moments += [datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number) for number in range(-300, 300)]
    starts = text("SELECT budget_period_start(:period, at) FROM unnest(CAST(:moments AS timestamptz[])) at")
    async with database.reading() as session:
        await session.execute(text("SET timezone = 'Pacific/Auckland'"))
        for period in ("day", "month", "life"):
            found = list(await session.scalars(starts, {"period": period, "moments": moments}))
            assert found == [period_start(period, each) for each in moments]
        await session.execute(text("RESET timezone"))


async def test_task_and_organisation_both_bound(org: Organisation) -> None:
    await org.budget("life", cost=1)
    await org.budget("life", tokens=100, task=org.first)
    attempt, other = await Attempt.begin(org, org.first), await Attempt.begin(org, await org.task())
    assert isinstance(await attempt.reserve(new_call(), 0.1, 101), Exhausted)
    assert isinstance(await other.reserve(new_call(), 0.1, 101), Reservation)
    assert isinstance(await attempt.reserve(new_call(), 0.91, 1), Exhausted)
    assert isinstance(await attempt.reserve(new_call(), 0.9, 100), Reservation)


async def test_organisations_do_not_wait_for_each_other(org: Organisation, database: Database) -> None:
    other = await Organisation.new(database)
    for each in (org, other):
        await each.budget("life", cost=1)
    attempt, stranger = await Attempt.begin(org, org.first), await Attempt.begin(other, other.first)
    async with database.transaction() as session:
        await budgets.reserve(session, attempt.spender, new_call(), budgets.Estimate(1, 1))
        assert isinstance(await asyncio.wait_for(stranger.reserve(new_call(), 1), 5), Reservation)


async def test_a_raised_budget_lets_the_call_go_on(org: Organisation) -> None:
    await org.budget("life", cost=1, task=org.first)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    question = asked(await attempt.reserve(call, 1.5))
    assert question.kind == "budget" and "1.00 USD" in question.text and "This task" in question.text
    assert asked(await attempt.reserve(new_call(), 1.2)) == question, "one question for all calls that wait"
    schema = question.answer_schema()
    for wrong in ({"cost": 1}, {"cost": "x"}, {"tokens": 5}, {}, "yes", {"cost": 1e12}, True):
        assert misfit(schema, wrong) is not None, wrong
    for right in ("again", "stop", {"cost": 1.01}):
        assert misfit(schema, right) is None
    await org.answer(org.first, question, {"cost": 1.6}, org.member)
    assert isinstance(await attempt.reserve(call, 1.5), Reservation)
    assert (await org.row()).max_cost == 1.6 * EURO and (await org.row()).set_by == org.member.user_id
    following = asked(await attempt.reserve(new_call(), 1.5))
    assert following != question, "an answer counts once"


async def test_only_an_owners_word_raises_the_organisations(org: Organisation) -> None:
    await org.budget("month", cost=1, tokens=1000)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    first = asked(await attempt.reserve(call, 2))
    assert "owner" in first.text
    await org.answer(org.first, first, {"cost": 5}, org.member)
    again = asked(await attempt.reserve(call, 2))
    assert again.key != first.key and (await org.row()).max_cost == EURO
    await org.answer(org.first, again, {"cost": 5})
    assert isinstance(await attempt.reserve(call, 2), Reservation)


async def test_stop_and_again(org: Organisation) -> None:
    await org.budget("life", tokens=10, task=org.first)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    question = asked(await attempt.reserve(call, 0, 11))
    await org.answer(org.first, question, "again")
    another = asked(await attempt.reserve(call, 0, 11))
    await org.answer(org.first, another, "stop")
    stopped = await attempt.reserve(call, 0, 11)
    assert isinstance(stopped, Exhausted) and stopped.question is None and stopped.stopped_by == org.owner.email
    assert asked(await attempt.reserve(call, 0, 11)).key != another.key, "resumed, it asks anew"
    await org.budget("life", tokens=100, task=org.first)
    assert isinstance(await attempt.reserve(call, 0, 11), Reservation)


async def test_an_unknown_price_is_asked_about_where_money_is_bounded(org: Organisation) -> None:
    attempt, call = await Attempt.begin(org, org.first), new_call("own-7b")
    await org.budget("day", tokens=1000)
    assert isinstance(await attempt.reserve(call, None, 10), Reservation)
    assert await attempt.settle(call, None, 10)
    await org.budget("life", cost=1, task=org.first)
    question = asked(await attempt.reserve(new_call("own-7b"), None, 10))
    assert "own-7b" in question.text and misfit(question.answer_schema(), {"cost": 5}) is not None
    await org.answer(org.first, question, "allow")
    assert isinstance(await attempt.reserve(new_call("own-7b"), None, 10), Reservation)
    assert isinstance(await attempt.reserve(new_call(), 1.5), Exhausted), "priced calls are bounded all the same"
    await org.budget("life", cost=1, task=org.first)
    assert asked(await attempt.reserve(new_call("own-7b"), None, 10)), "set anew, it asks again"
    async with org.database.reading() as session:
        items, _ = await by(session, Chosen([org.id]), "model")
    assert [(item.key, item.sums.unpriced) for item in items] == [("own-7b", 1)]


async def test_what_is_lowered_or_removed(org: Organisation) -> None:
    one = await org.budget("life", cost=5)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    await attempt.reserve(call, 3)
    await org.budget("life", cost=1)
    assert isinstance(await attempt.reserve(new_call(), 0), Exhausted), "less than is reserved: nothing more"
    assert await attempt.settle(call, 3)
    assert isinstance(await attempt.reserve(new_call(), 0), Exhausted)
    service = UsageService(org.database)
    with pytest.raises(Forbidden):
        await service.remove_budget(org.member, one.id)
    await service.remove_budget(org.owner, one.id)
    assert isinstance(await attempt.reserve(new_call(), 100), Reservation)


@pytest.mark.parametrize(
    ("cost", "tokens", "field"), [(None, None, "cost"), (-1, None, "cost"), (1e18, None, "cost"), (None, -1, "tokens")]
)
async def test_nonsense_is_no_budget(org: Organisation, cost: Any, tokens: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await org.budget("life", cost=cost, tokens=tokens)
    assert refused.value.field == field and refused.value.remedy and await org.standing() == []


async def test_who_may(org: Organisation, database: Database) -> None:
    stranger, service = (await Organisation.new(database)).owner, UsageService(database)
    one, new = await org.budget("life", cost=5), NewBudget("life", None, 5)
    refusals: list[tuple[Any, type[PavoError]]] = [
        (service.set_budget(org.member, org.id, None, new), Forbidden),
        (service.set_budget(stranger, org.id, None, new), NotFound),
        (service.set_budget(stranger, None, org.first.id, new), NotFound),
        (service.set_budget(org.owner, None, new_id(), new), NotFound),
        (service.remove_budget(stranger, one.id), NotFound),
        (service.budgets(stranger, org.id, None), NotFound),
        (service.budgets(stranger, None, org.first.id), NotFound),
        (service.usage(stranger, UsageWanted(organisation_id=org.id)), NotFound),
        (service.usage(stranger, UsageWanted(task_id=org.first.id)), NotFound),
        (service.usage(org.owner, UsageWanted(since="yesterday")), InvalidInput),
    ]
    for refused, kind in refusals:
        with pytest.raises(kind):
            await refused
    assert await service.budgets(stranger, None, None) == []
    await service.set_budget(org.member, None, org.first.id, new)


async def test_usage_by_everything(org: Organisation) -> None:
    first, second = await Attempt.begin(org, org.first), await Attempt.begin(org, await org.task())
    for attempt, model, cost in ((first, "a", 0.5), (first, "b", None), (second, "a", 0.25)):
        call = new_call(model)
        await attempt.reserve(call, cost, 10)
        await attempt.settle(call, cost, 10)
    service = UsageService(org.database)
    wanted = {"task": 2, "agent": 1, "user": 1, "model": 2, "organisation": 1, "day": 1, "call": 3}
    for kind, count in wanted.items():
        found = await service.usage(org.member, UsageWanted(by=kind))
        assert len(found.items) == count and not found.more, kind
        for sums in (found.total, *([found.items[0].sums] if count == 1 else [])):
            assert (sums.calls, sums.tokens_in, sums.cost, sums.unpriced) == (3, 30, 0.75 * EURO, 1)
            assert sums.seconds == 1.5
    assert (await service.usage(org.owner, UsageWanted(by="user"))).items[0].label == org.owner.email
    assert [item.sums.cost for item in (await service.usage(org.owner, UsageWanted(by="task"))).items] == [
        EURO // 2,
        EURO // 4,
    ]
    assert (await service.usage(org.owner, UsageWanted(task_id=org.first.id))).total.calls == 2
    assert (await service.usage(org.owner, UsageWanted(since="1h", until="1m"))).total.calls == 0


async def test_a_deleted_task_leaves_what_was_paid_to_its_organisation(org: Organisation) -> None:
    await org.budget("life", cost=1)
    await org.budget("life", cost=1, task=org.first)
    attempt, call = await Attempt.begin(org, org.first), new_call()
    await attempt.reserve(call, 0.5)
    await attempt.settle(call, 0.5)
    async with org.database.transaction() as session:
        await session.execute(text("UPDATE usage_calls SET task_id = NULL WHERE task_id = :id"), {"id": org.first.id})
        await session.execute(text("DELETE FROM executions WHERE task_id = :id"), {"id": org.first.id})
        await session.execute(delete(TimelineRow).where(TimelineRow.id == org.first.id))
    (one,) = await org.standing()
    assert one.used_cost == EURO // 2 and len(await org.calls()) == 1
    found = await UsageService(org.database).usage(org.owner, UsageWanted(by="task"))
    assert [(item.key, item.sums.calls) for item in found.items] == [(None, 1)]
    async with org.database.reading() as session:
        count = select(func.count()).select_from(BudgetRow).where(BudgetRow.organisation_id == org.id)
        assert (await session.scalars(count)).one() == 1
