"""What a job's calls of models took, and its budgets, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pavo.jobs.requests.schemas import ListedJob
from pavo.jobs.requests.spending_schemas import JobBudgetOut
from pavo.usage.schemas import TaskBudgetIn


def asked_of_models(options: Mapping[str, Any], budgets: Sequence[TaskBudgetIn], *, wanted: bool) -> dict[str, Any]:
    """Options and budgets of a new job, as the API takes them.

    Args:
        wanted: whether its models are asked through Pavo.
    """
    found: dict[str, Any] = {"options": {**options, **({"gateway": True} if wanted else {})}}
    if budgets:
        found["budgets"] = [each.model_dump(mode="json", exclude_none=True) for each in budgets]
    return found


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that somebody gave."""
    return {name: value for name, value in values.items() if value is not None}


def shown_budgets(budgets: Sequence[JobBudgetOut]) -> str:
    """In a cell: what is used of what."""
    return "; ".join(_shown(each) for each in budgets)


def shown_spending(job: ListedJob) -> dict[str, object]:
    """Below each other."""
    found: dict[str, object] = {f"budget, {each.period}": _shown(each) for each in job.budgets}
    if (usage := job.usage) is not None:
        cost = "price not known" if usage.unpriced == usage.calls else f"{_money(usage.cost)} {usage.currency}"
        found["models"] = f"{usage.calls} calls, {usage.tokens_in:,} tokens in, {usage.tokens_out:,} out, {cost}"
    return found


def _shown(each: JobBudgetOut) -> str:
    cost = [f"{_money(each.used_cost)} of {_money(each.cost)}"] if each.cost is not None else []
    tokens = [f"{each.used_tokens:,} of {each.tokens:,} tokens"] if each.tokens is not None else []
    return ", ".join(cost + tokens)


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount == 0 or amount >= 0.01 else f"{amount:.6f}"
