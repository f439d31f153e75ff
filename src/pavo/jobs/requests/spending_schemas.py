"""Wire shapes of what a job's calls of models took, and of its budgets."""

from pydantic import BaseModel, ConfigDict

from pavo.usage.domain import NANOS, Period, Spending


class JobBudgetOut(BaseModel):
    """A budget of a job's own, in its current period."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    period: Period
    cost: float | None
    """The limit, in the currency of the price table; null: none."""
    tokens: int | None
    """The limit, input and output together; null: none."""
    used_cost: float
    used_tokens: int


class JobUsageOut(BaseModel):
    """What a job's calls of models took that were made through Pavo; more at GET /api/usage."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    currency: str
    calls: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    """Of `tokens_in`, those that came from the provider's cache."""
    cost: float
    """In `currency`, of the calls whose price is known."""
    unpriced: int
    """Calls whose price is not."""


def budgets_out(spent: Spending) -> list[JobBudgetOut]:
    """Budgets on the wire."""
    return [
        JobBudgetOut.model_validate(
            {
                "period": each.period,
                "cost": None if each.max_cost is None else each.max_cost / NANOS,
                "tokens": each.max_tokens,
                "used_cost": each.used_cost / NANOS,
                "used_tokens": each.used_tokens,
            }
        )
        for each in spent.budgets
    ]


def usage_out(spent: Spending, currency: str) -> JobUsageOut | None:
    """Usage on the wire; None: there was none."""
    sums = spent.sums
    if not sums.calls:
        return None
    tokens = {"tokens_in": sums.tokens_in, "tokens_out": sums.tokens_out, "tokens_cached": sums.tokens_cached}
    return JobUsageOut(currency=currency, calls=sums.calls, cost=sums.cost / NANOS, unpriced=sums.unpriced, **tokens)
