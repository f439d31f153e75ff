"""What people are asked where a budget does not suffice, and what their answers do."""

import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import MembershipRow
from pavo.agents.asking.question import Question
from pavo.gates.domain import BUDGET, MEMBER, OWNER, NewGate
from pavo.usage.domain import MAX_COST, MAX_TOKENS, NANOS, Lack, money, nanos, period_end
from pavo.usage.models import BudgetRow

STOP: Final = "stop"
AGAIN: Final = "again"
ALLOW: Final = "allow"


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered that changes a budget."""

    cost: int | None = None
    tokens: int | None = None
    allow: bool = False

    @classmethod
    def of(cls, given: Any) -> "Answer":
        """An answer that fits the question's schema."""
        if given == ALLOW:
            return cls(allow=True)
        cost, tokens = given.get("cost"), given.get("tokens")
        return cls(None if cost is None else nanos(Decimal(str(cost))), tokens)

    def apply(self, budget: BudgetRow, by: uuid.UUID | None) -> None:
        """Raise what it says; a limit that somebody raised further meanwhile stays."""
        if self.cost is not None and budget.max_cost is not None:
            budget.max_cost = max(budget.max_cost, self.cost)
        if self.tokens is not None and budget.max_tokens is not None:
            budget.max_tokens = max(budget.max_tokens, self.tokens)
        budget.unpriced_allowed = budget.unpriced_allowed or self.allow
        budget.set_by = by


async def may_raise(session: AsyncSession, budget: BudgetRow, who: uuid.UUID | None) -> bool:
    """Whether this user's word raises it: any member's that of a task, an owner's alone that of the organisation."""
    mine = (MembershipRow.organisation_id == budget.organisation_id, MembershipRow.user_id == who)
    role = (await session.scalars(select(MembershipRow.role).where(*mine))).one_or_none()
    return role == "owner" or (role is not None and budget.task_id is not None)


def question_of(
    budget: BudgetRow, task_id: uuid.UUID, lack: Lack, model: str, answered: int, currency: str
) -> Question:
    """The question; the same one for all calls that the budget keeps waiting, until somebody has answered it.

    So it tells nothing that changes meanwhile, such as what is used.

    Args:
        task_id: of the task that asks.
        answered: how often its questions about the budget were answered.
    """
    unpriced = lack is Lack.UNPRICED
    ways = [f'"{ALLOW}": calls of unknown price count nothing against it'] if unpriced else [_raising(budget)]
    ways += [f'"{AGAIN}": look again, as once it was raised or a price was given', f'"{STOP}": the task fails']
    who = "" if budget.task_id is not None else " Only an owner's answer changes it; another one is asked again."
    text = f"{told_of(budget, task_id, lack, model, currency)} What now?\n\n"
    text += "\n".join(f"- {way}" for way in ways) + f"\n\n{who.strip()}".rstrip()
    key = f"budget/{budget.period}/{budget.id.hex[-12:]}/{answered + 1}"
    return Question(key, text, schema=_schema(budget, unpriced=unpriced), kind=BUDGET)


async def about_budget(session: AsyncSession, organisation_id: uuid.UUID, new: NewGate) -> NewGate:
    """A question as it is opened: one about a budget with who may answer it, and until when, for in the next day or
    month it is to look again by itself. What an agent's process hands over says nothing of either."""
    if new.kind != BUDGET:
        return new
    named = new.key.split("/")[2:3]
    last = func.right(cast(BudgetRow.id, String), 12)
    query = select(BudgetRow).where(BudgetRow.organisation_id == organisation_id, last.in_(named))
    budget = (await session.scalars(query)).one_or_none()
    if budget is None:
        return new
    now = (await session.scalars(select(func.pavo_now()))).one()
    end = period_end(budget.period, now)
    over = (
        {} if end is None else {"expires_seconds": (end - now).total_seconds(), "default": AGAIN, "has_default": True}
    )
    return replace(new, may_answer=MEMBER if budget.task_id is not None else OWNER, **over)


def told_of(budget: BudgetRow, task_id: uuid.UUID, lack: Lack, model: str, currency: str, noun: str = "task") -> str:
    """Why a call of this run is not made.

    Args:
        noun: what the run is.
    """
    others = "The organisation" if budget.task_id is None else f"Task {budget.task_id}, for which this one works,"
    whose = f"This {noun}" if budget.task_id == task_id else others
    span = {"day": " a day", "month": " a month"}.get(budget.period, "")
    wrong = "the next call of a model may exceed that"
    if lack is Lack.UNPRICED:
        wrong = f"the price of {model} is not known"
    return f"{whose} has a budget of {_limits(budget, currency)}{span}, and {wrong}."


def _limits(budget: BudgetRow, currency: str) -> str:
    cost = [money(budget.max_cost, currency)] if budget.max_cost is not None else []
    tokens = [f"{budget.max_tokens:,} tokens"] if budget.max_tokens is not None else []
    return " and ".join(cost + tokens)


def _raising(budget: BudgetRow) -> str:
    names = [name for name, limit in (("cost", budget.max_cost), ("tokens", budget.max_tokens)) if limit is not None]
    example = ", ".join(f'"{name}": {"25.00" if name == "cost" else 2_000_000}' for name in names)
    return f"{{{example}}}: a new limit, greater than this one"


def _schema(budget: BudgetRow, *, unpriced: bool) -> dict[str, Any]:
    words: dict[str, Any] = {"enum": [ALLOW, AGAIN, STOP] if unpriced else [AGAIN, STOP]}
    limits: dict[str, Any] = {}
    if budget.max_cost is not None:
        limits["cost"] = {"type": "number", "exclusiveMinimum": budget.max_cost / NANOS, "maximum": MAX_COST}
    if budget.max_tokens is not None:
        limits["tokens"] = {"type": "integer", "exclusiveMinimum": budget.max_tokens, "maximum": MAX_TOKENS}
    raised = {"type": "object", "properties": limits, "minProperties": 1, "additionalProperties": False}
    return {"anyOf": [words] if unpriced else [words, raised]}
