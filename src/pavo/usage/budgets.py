"""Reserving before a call of a model, and settling after it.

Every function works in its caller's session, which has seen to it that the attempt's lease holds, and keeps it from
being taken over until the session commits. The rows of the budgets that count are locked in the order of their ids, so
the reservations of an organisation come one after the other, and the sum of what is used and reserved never exceeds a
budget. A call that a crash cut may have been paid for: it counts by its estimate.
"""

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.asking.question import Question
from pavo.errors import LeaseLost
from pavo.gates import repository as gates
from pavo.gates.domain import ANSWERED
from pavo.observe import metrics
from pavo.usage.asking import AGAIN, STOP, Answer, may_raise, question_of, told_of
from pavo.usage.domain import EVER, MOST_KEPT, NANOS, Call, Estimate, Lack, Spender, Standing, Used, period_start
from pavo.usage.models import BudgetAskRow, BudgetRow, ReservationRow, UsageCallRow

SHARED: Final = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('pavo budgets ' || :organisation, 0))")
ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('pavo budgets ' || :organisation, 0))")
"""Taken by who makes a budget: what was used before is counted then, and nothing is settled meanwhile."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A call may be made; `settle` or `release` it."""

    call: Call


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A call may not be made."""

    told: str = ""
    """Why."""
    question: Question | None = None
    """What people are asked, for which the attempt ends."""
    stopped_by: str = ""
    """Who said to stop, where people were asked."""


async def reserve(
    session: AsyncSession,
    spender: Spender,
    call: Call,
    estimate: Estimate,
    currency: str = "USD",
    under_way: Container[uuid.UUID] = (),
) -> Reservation | Exhausted:
    """Have each budget of the task and of its organisation keep the most that the call may take.

    Done twice it reserves once. A call that is made again after a crash reserves anew, and the one before counts as
    lost.

    Args:
        currency: of the estimate's cost, for the text of the question.
        under_way: calls that this process makes: of an earlier attempt they are not lost, for this one may join them.

    Raises:
        LeaseLost: a newer attempt has reserved for this call.
    """
    budgets = await _locked(session, spender)
    await _count_lost(session, spender, budgets, under_way)
    while (found := await _lacking(session, budgets, call, estimate)) is not None:
        budget, lack = found
        exhausted = await _ask(session, spender, budget, lack, call, currency)
        if exhausted is not None:
            return exhausted
    await _insert(session, spender, call, estimate, max((each.began for each in budgets), default=EVER))
    return Reservation(call)


async def _insert(session: AsyncSession, spender: Spender, call: Call, estimate: Estimate, began: datetime) -> None:
    values: dict[str, Any] = {
        "call_id": call.id,
        "epoch": spender.epoch,
        "organisation_id": spender.subject.organisation_id,
        "task_id": spender.subject.id,
        "user_id": spender.user_id,
        "agent": spender.agent,
        "model": call.model,
        "tokens": estimate.tokens,
        "cost": estimate.cost,
        "at": func.greatest(func.pavo_now(), began),
    }
    statement = insert(ReservationRow).values(**values)
    again = {name: statement.excluded[name] for name in ("tokens", "cost", "at")}
    mine = ReservationRow.epoch == spender.epoch
    statement = statement.on_conflict_do_update(index_elements=["call_id"], set_=again, where=mine)
    if (await session.scalars(statement.returning(ReservationRow.call_id))).one_or_none() is None:
        raise LeaseLost("A newer attempt makes this call.")


async def follow(session: AsyncSession, spender: Spender, call: Call) -> None:
    """This attempt goes on with a call that one before it made, in the same process: the reservation is this one's."""
    mine = (ReservationRow.call_id == call.id, ReservationRow.epoch < spender.epoch)
    await session.execute(update(ReservationRow).where(*mine).values(epoch=spender.epoch))


async def lose(session: AsyncSession, spender: Spender, call: Call, estimate: Estimate, lost_id: uuid.UUID) -> bool:
    """Count a try of a call that was cut and may have been paid for, beside what is reserved for the next one.

    Args:
        lost_id: names the try, so that it is counted once however often this is called.

    Returns:
        Whether what is reserved still fits; where it does not, no other try is to be made.
    """
    budgets = await _locked(session, spender)
    used = Used(estimate.tokens, 0, cost=estimate.cost)
    if await _note(session, spender, Call(lost_id, call.model), used, "lost"):
        _charge(budgets, used.tokens, used.cost)
        await session.flush()
    return await _lacking(session, budgets, call, estimate) is None


async def settle(session: AsyncSession, spender: Spender, call: Call, used: Used) -> bool:
    """Count what a call took in place of what was reserved; False: it is counted already, and nothing was changed."""
    budgets = await _locked(session, spender)
    await _unreserve(session, spender, call)
    if not await _note(session, spender, call, used, "settled"):
        return False
    _charge(budgets, used.tokens, used.cost)
    await session.flush()
    return True


def tell_metrics(used: Used) -> None:
    """What was settled, once its transaction has committed."""
    for kind, count in (("in", used.tokens_in), ("out", used.tokens_out), ("cached", used.tokens_cached)):
        metrics.MODEL_TOKENS.add(kind, by=count)
    metrics.MODEL_COST.add(by=(used.cost or 0) / NANOS)


async def release(session: AsyncSession, spender: Spender, call: Call) -> bool:
    """Give back what was reserved for a call that failed and costs nothing; False: nothing was."""
    await _locked(session, spender)
    return await _unreserve(session, spender, call)


async def _locked(session: AsyncSession, spender: Spender) -> Sequence[BudgetRow]:
    """The budgets that count, locked, in their current periods."""
    await session.execute(SHARED, {"organisation": str(spender.subject.organisation_id)})
    mine = or_(BudgetRow.task_id.is_(None), BudgetRow.task_id == spender.subject.id)
    query = select(BudgetRow, func.pavo_now()).where(BudgetRow.organisation_id == spender.subject.organisation_id, mine)
    locked = query.order_by(BudgetRow.id).with_for_update(of=BudgetRow).execution_options(populate_existing=True)
    rows = (await session.execute(locked)).all()
    budgets = [row[0] for row in rows]
    # Whoever was first may have begun the next period, by a clock that was read later.
    now = max([row[1] for row in rows] + [each.began for each in budgets], default=EVER)
    for budget in budgets:
        if (start := period_start(budget.period, now)) > budget.began:
            budget.began, budget.used_cost, budget.used_tokens = start, 0, 0
    return budgets


async def _count_lost(
    session: AsyncSession, spender: Spender, budgets: Sequence[BudgetRow], under_way: Container[uuid.UUID]
) -> None:
    """Calls of the task's earlier attempts: cut, and perhaps paid for."""
    older = (ReservationRow.task_id == spender.subject.id, ReservationRow.epoch < spender.epoch)
    for row in (await session.scalars(select(ReservationRow).where(*older).with_for_update())).all():
        if row.call_id in under_way:
            continue
        await session.delete(row)
        dead = replace(spender, user_id=row.user_id, agent=row.agent, epoch=row.epoch)
        used = Used(row.tokens, 0, cost=row.cost)
        if await _note(session, dead, Call(row.call_id, row.model), used, "lost"):
            _charge([each for each in budgets if row.at >= each.began], used.tokens, used.cost)
    await session.flush()


async def _unreserve(session: AsyncSession, spender: Spender, call: Call) -> bool:
    mine = (ReservationRow.call_id == call.id, ReservationRow.epoch == spender.epoch)
    gone = await session.scalars(delete(ReservationRow).where(*mine).returning(ReservationRow.call_id))
    return gone.one_or_none() is not None


async def _lacking(
    session: AsyncSession, budgets: Sequence[BudgetRow], call: Call, wanted: Estimate
) -> tuple[BudgetRow, Lack] | None:
    """The first budget that does not allow the call, and why."""
    if not budgets:
        return None
    reserved = await _reserved(session, budgets, call)
    for budget in budgets:
        cost, tokens = reserved.get(budget.id, (0, 0))
        lack = standing_of(budget).lack(cost, tokens, wanted)
        if lack is not None:
            return budget, lack
    return None


def standing_of(row: BudgetRow) -> Standing:
    """A budget as the rules know it."""
    return Standing(row.max_cost, row.max_tokens, row.used_cost, row.used_tokens, row.unpriced_allowed)


async def _reserved(
    session: AsyncSession, budgets: Sequence[BudgetRow], call: Call
) -> Mapping[uuid.UUID, tuple[int, int]]:
    """What other calls under way have reserved of each budget: cost and tokens."""
    counts = and_(
        ReservationRow.organisation_id == BudgetRow.organisation_id,
        or_(BudgetRow.task_id.is_(None), BudgetRow.task_id == ReservationRow.task_id),
        ReservationRow.at >= BudgetRow.began,
        ReservationRow.call_id != call.id,
    )
    cost, tokens = (func.coalesce(func.sum(each), 0) for each in (ReservationRow.cost, ReservationRow.tokens))
    await session.flush()  # a period that has just begun
    query = select(BudgetRow.id, cost, tokens).join(ReservationRow, counts).group_by(BudgetRow.id)
    rows = await session.execute(query.where(BudgetRow.id.in_([each.id for each in budgets])))
    return {row[0]: (int(row[1] or 0), int(row[2] or 0)) for row in rows}


async def _note(session: AsyncSession, spender: Spender, call: Call, used: Used, state: str) -> bool:
    """Append what a call took; False: it is there already."""
    values: dict[str, Any] = {
        "call_id": call.id,
        "epoch": spender.epoch,
        "state": state,
        "organisation_id": spender.subject.organisation_id,
        "task_id": spender.subject.id,
        "user_id": spender.user_id,
        "agent": spender.agent,
        "model": call.model,
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "tokens_cached": used.tokens_cached,
        "cost": used.cost,
        "seconds": used.seconds,
    }
    statement = insert(UsageCallRow).values(**values).on_conflict_do_nothing().returning(UsageCallRow.call_id)
    return (await session.scalars(statement)).one_or_none() is not None


def _charge(budgets: Sequence[BudgetRow], tokens: int, cost: int | None) -> None:
    for budget in budgets:
        budget.used_cost = min(budget.used_cost + (cost or 0), MOST_KEPT)
        budget.used_tokens = min(budget.used_tokens + tokens, MOST_KEPT)


async def _ask(
    session: AsyncSession, spender: Spender, budget: BudgetRow, lack: Lack, call: Call, currency: str
) -> Exhausted | None:
    """What people say about a budget that does not suffice; None: they have changed something, so look again."""
    ask = await _asked(session, budget, spender)
    told = told_of(budget, lack, call.model, currency)
    question = question_of(budget, lack, call.model, ask.answered, currency)
    gate = await gates.find(session, spender.subject, question.key, question.hash)
    if gate is None or gate.state != ANSWERED:
        metrics.BUDGETS_ASKED.add("organisation" if budget.task_id is None else "task")
        return Exhausted(told, question)
    ask.answered += 1
    await session.flush()
    if gate.answer == STOP:
        return Exhausted(told, stopped_by=gate.answered_by or "somebody")
    if gate.answer != AGAIN and await may_raise(session, budget, gate.answered_by_id):
        Answer.of(gate.answer).apply(budget, gate.answered_by_id)
        budget.set_at = await session.scalar(select(func.pavo_now())) or budget.set_at
        await session.flush()
    return None


async def _asked(session: AsyncSession, budget: BudgetRow, spender: Spender) -> BudgetAskRow:
    place = {"budget_id": budget.id, "task_id": spender.subject.id}
    await session.execute(insert(BudgetAskRow).values(**place).on_conflict_do_nothing())
    mine = (BudgetAskRow.budget_id == budget.id, BudgetAskRow.task_id == spender.subject.id)
    query = select(BudgetAskRow).where(*mine).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()
