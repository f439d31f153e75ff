"""HTTP of usage and budgets: parse, call one service method, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from pavo.accounts.dependencies import Caller
from pavo.kit.problem import problems
from pavo.usage.prices import PriceTable
from pavo.usage.schemas import (
    BudgetIn,
    BudgetList,
    BudgetOut,
    BudgetsWanted,
    UsageOut,
    UsageSums,
    UsageWanted,
    budget_out,
    usage_item,
)
from pavo.usage.service import NewBudget, UsageService

router = APIRouter(prefix="/api", tags=["usage"], responses=problems(401, 404, 422))


async def _usage(request: Request) -> UsageService:
    found: UsageService = request.app.state.usage
    return found


async def _prices(request: Request) -> PriceTable:
    found: PriceTable = request.app.state.prices
    return found


TheUsage = Annotated[UsageService, Depends(_usage)]
ThePrices = Annotated[PriceTable, Depends(_prices)]


@router.get("/usage", operation_id="get_usage")
async def get_usage(
    usage: TheUsage, prices: ThePrices, who: Caller, wanted: Annotated[UsageWanted, Query()]
) -> UsageOut:
    """What calls of models took, of all your organisations or one, or of a task."""
    found = await usage.usage(who, wanted)
    items = [usage_item(each.key, each.label, each.sums) for each in found.items]
    return UsageOut(currency=prices.currency, items=items, more=found.more, total=UsageSums.of(found.total))


@router.get("/budgets", operation_id="list_budgets")
async def list_budgets(
    usage: TheUsage, prices: ThePrices, who: Caller, wanted: Annotated[BudgetsWanted, Query()]
) -> BudgetList:
    """The budgets of all your organisations, of one, or those that bound a task; a thousand at most."""
    found = await usage.budgets(who, wanted.organisation_id, wanted.task_id)
    return BudgetList(items=[budget_out(each, prices.currency) for each in found])


@router.put("/budgets", operation_id="set_budget")
async def set_budget(usage: TheUsage, prices: ThePrices, who: Caller, new: BudgetIn) -> BudgetOut:
    """Set the budget of a task, or, for owners, of an organisation. What was used before in its period counts."""
    wanted = NewBudget.of(new)
    return budget_out(await usage.set_budget(who, new.organisation_id, new.task_id, wanted), prices.currency)


@router.delete("/budgets/{budget_id}", status_code=204, operation_id="remove_budget")
async def remove_budget(usage: TheUsage, who: Caller, budget_id: uuid.UUID) -> None:
    """Remove a budget: nothing bounds its calls any more. That of an organisation is for owners."""
    await usage.remove_budget(who, budget_id)
