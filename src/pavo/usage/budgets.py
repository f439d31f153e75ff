"""Reserving before a call of a model, and settling after it.

Every function works in its caller's session, which has seen to it that the attempt's lease holds, and keeps it from
being taken over until the session commits; each is one statement. The rows of the budgets that count are locked in the
order of their ids, so the reservations of an organisation come one after the other, and the sum of what is used and
reserved never exceeds a budget. A call that a crash cut may have been paid for: it counts by its estimate.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.asking.question import Question
from pavo.errors import LeaseLost
from pavo.gates import repository as gates
from pavo.gates.domain import ANSWERED
from pavo.observe import metrics
from pavo.usage.asking import AGAIN, STOP, Answer, may_raise, question_of, told_of
from pavo.usage.domain import NANOS, Call, Estimate, Lack, Spender, Used
from pavo.usage.models import BudgetAskRow, BudgetRow

ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('pavo budgets ' || :organisation, 0))")
"""Taken by who makes a budget: what was used before is counted then, and nothing is settled meanwhile."""

# The rules of reserving and settling are the functions of migrations 0030 and 0034.
_SPENDER: Final = ":organisation, :task, :epoch, :call, :model, :user, :agent"
_RESERVE: Final = text(
    f"SELECT outcome, budget_id FROM budget_reserve({_SPENDER}, :tokens, :cost, CAST(:under_way AS uuid[]))"
)
_SETTLE: Final = text(f"SELECT budget_settle({_SPENDER}, :tokens_in, :tokens_out, :tokens_cached, :cost, :seconds)")
_LOSE: Final = text(f"SELECT budget_lose({_SPENDER}, :lost, :tokens, :cost)")
_RELEASE: Final = text("SELECT budget_release(:organisation, :task, :epoch, :call)")
_FOLLOW: Final = text("UPDATE budget_reservations SET epoch = :epoch WHERE call_id = :call AND epoch < :epoch")


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
    under_way: Iterable[uuid.UUID] = (),
) -> Reservation | Exhausted:
    """Have each budget of the task, of those that delegated it, and of its organisation keep the most that the call may
    take.

    Done twice it reserves once. A call that is made again after a crash reserves anew, and the one before counts as
    lost.

    Args:
        currency: of the estimate's cost, for the text of the question.
        under_way: calls that this process makes: of an earlier attempt they are not lost, for this one may join them.

    Raises:
        LeaseLost: a newer attempt has reserved for this call.
    """
    wanted = {"tokens": estimate.tokens, "cost": estimate.cost, "under_way": list(under_way)}
    while True:
        outcome, budget_id = (await session.execute(_RESERVE, {**_values(spender, call), **wanted})).one()
        if outcome == "reserved":
            return Reservation(call)
        if outcome == "taken":
            raise LeaseLost("A newer attempt makes this call.")
        budget = await session.get_one(BudgetRow, budget_id, populate_existing=True)
        exhausted = await _ask(session, spender, budget, Lack[outcome.upper()], call, currency)
        if exhausted is not None:
            return exhausted


def _values(spender: Spender, call: Call) -> Mapping[str, Any]:
    return {
        "organisation": spender.subject.organisation_id,
        "task": spender.subject.id,
        "epoch": spender.epoch,
        "call": call.id,
        "model": call.model,
        "user": spender.user_id,
        "agent": spender.agent,
    }


async def follow(session: AsyncSession, spender: Spender, call: Call) -> None:
    """This attempt goes on with a call that one before it made, in the same process: the reservation is this one's."""
    await session.execute(_FOLLOW, {"call": call.id, "epoch": spender.epoch})


async def lose(session: AsyncSession, spender: Spender, call: Call, estimate: Estimate, lost_id: uuid.UUID) -> bool:
    """Count a try of a call that was cut and may have been paid for, beside what is reserved for the next one.

    Args:
        lost_id: names the try, so that it is counted once however often this is called.

    Returns:
        Whether what is reserved still fits; where it does not, no other try is to be made.
    """
    lost = {"lost": lost_id, "tokens": estimate.tokens, "cost": estimate.cost}
    return (await session.scalars(_LOSE, {**_values(spender, call), **lost})).one()


async def settle(session: AsyncSession, spender: Spender, call: Call, used: Used) -> bool:
    """Count what a call took in place of what was reserved; False: it is counted already, and nothing was changed."""
    took = {
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "tokens_cached": used.tokens_cached,
        "cost": used.cost,
        "seconds": used.seconds,
    }
    return (await session.scalars(_SETTLE, {**_values(spender, call), **took})).one()


async def release(session: AsyncSession, spender: Spender, call: Call) -> bool:
    """Give back what was reserved for a call that failed and costs nothing; False: nothing was."""
    return (await session.scalars(_RELEASE, _values(spender, call))).one()


def tell_metrics(used: Used) -> None:
    """What was settled, once its transaction has committed."""
    for kind, count in (("in", used.tokens_in), ("out", used.tokens_out), ("cached", used.tokens_cached)):
        metrics.MODEL_TOKENS.add(kind, by=count)
    metrics.MODEL_COST.add(by=(used.cost or 0) / NANOS)


async def _ask(
    session: AsyncSession, spender: Spender, budget: BudgetRow, lack: Lack, call: Call, currency: str
) -> Exhausted | None:
    """What people say about a budget that does not suffice; None: they have changed something, so look again."""
    if not spender.asks:
        return Exhausted(told_of(budget, spender.subject.id, lack, call.model, currency, spender.noun))
    ask = await _asked(session, budget, spender)
    task_id = spender.subject.id
    told = told_of(budget, task_id, lack, call.model, currency)
    question = question_of(budget, task_id, lack, call.model, ask.answered, currency)
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
