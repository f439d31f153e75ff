"""Wire shapes of usage and budgets."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from pavo.kit.texts.fields import Text
from pavo.usage.domain import MAX_COST, MAX_TOKENS, NANOS, Budget, By, Period, Sums


class _Out(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class UsageWanted(_In):
    """Which usage somebody wants to see."""

    by: By = "day"
    organisation_id: uuid.UUID | None = None
    """Of this one of your organisations; default: of all."""
    task_id: uuid.UUID | None = None
    """Of this task or coding job."""
    since: Text | None = None
    """2026-11-26T08:00:00Z, or how long ago: 24h, 7d. Default: 30d; of a task all of it."""
    until: Text | None = None
    """Likewise."""


class BudgetsWanted(_In):
    """Whose budgets somebody wants to see."""

    organisation_id: uuid.UUID | None = None
    """Of this one of your organisations; default: of all."""
    task_id: uuid.UUID | None = None
    """Those that bound this task or coding job: its own, and its organisation's."""


class UsageSums(_Out):
    """What calls of models and attempts took together."""

    calls: int
    lost: int
    """Of these, cut by a crash: what they took is not known, and they count by their estimates."""
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    """Of `tokens_in`, those that came from the provider's cache."""
    cost: float
    """In `currency`, of the calls whose price is known."""
    unpriced: int
    """Calls whose price is not."""
    seconds: float
    """That they took, one after the other."""
    checkpoints: int | None = None
    """That attempts recorded, those under way included; null, as the next two, by call and by model, which do not tell
    them apart."""
    tool_calls: int | None = None
    """Calls of tools that ran."""
    working_seconds: float | None = None
    """The wall time of attempts, in which agents execute plans. Of one that was cut it is that to the last thing that
    its task recorded; planning and waiting for people are no part of it."""

    @classmethod
    def of(cls, sums: Sums) -> "UsageSums":
        """On the wire."""
        return cls.model_validate(_sums(sums))


class UsageOfTask(_Out):
    """What a task's calls of models took; more at GET /api/usage."""

    calls: int
    tokens_in: int
    tokens_out: int
    cost: float
    """In the currency of the price table, of the calls whose price is known."""
    tokens_cached: int = 0
    """Of `tokens_in`; as what follows, an API of before does not tell."""
    unpriced: int = 0
    """Calls whose price is not known."""
    lost: int = 0
    """Calls that a crash cut: they count by their estimates."""
    seconds: float = 0.0
    """That the calls took, one after the other."""
    tool_calls: int = 0
    """Calls of tools that ran."""
    checkpoints: int = 0
    """That attempts recorded."""
    working_seconds: float = 0.0
    """The wall time of attempts; planning and waiting for people are no part of it."""


class UsageItem(UsageSums):
    """The sums of one key."""

    key: str | None
    """The id or the name; null: of tasks or users that are gone."""
    label: str | None
    """A task's title, a user's address, an organisation's name, or the model of a call."""


class UsageOut(_Out):
    """What was used."""

    currency: str
    items: list[UsageItem]
    """Days in their order, else what cost most first; a thousand at most."""
    more: bool
    """Whether there are more."""
    total: UsageSums
    """Of all, also of those that are not shown."""


class _Limits(_In):
    cost: Annotated[float, Field(strict=True, ge=0, le=MAX_COST, allow_inf_nan=False)] | None = None
    """In the currency of the price table."""
    tokens: Annotated[StrictInt, Field(ge=0, le=MAX_TOKENS)] | None = None
    """Input and output together."""
    unpriced_allowed: StrictBool = False
    """Whether calls whose price is not known count nothing against `cost`; otherwise people are asked."""


class TaskBudgetIn(_Limits):
    """A budget that a new task brings along."""

    period: Period = "life"
    """day and month are those of UTC."""

    @model_validator(mode="after")
    def _limits(self) -> "TaskBudgetIn":
        if self.cost is None and self.tokens is None:
            raise ValueError("limits nothing: send cost, tokens or both")
        return self


class WithTaskBudgets(BaseModel):
    """What bounds the calls of models of a new task."""

    budgets: list[TaskBudgetIn] = Field(default=[], max_length=3, exclude_if=lambda value: not value)
    """Its own budgets, one for each period, beside those of its organisation."""

    @model_validator(mode="after")
    def _one_for_each_period(self) -> "WithTaskBudgets":
        periods = [each.period for each in self.budgets]
        if len(periods) != len(set(periods)):
            raise ValueError("budgets has two for one period: send one for each")
        return self


class BudgetIn(_Limits):
    """A budget, in place of the one that is there."""

    organisation_id: uuid.UUID | None = None
    """Default: your home; of a task its own, and no other."""
    task_id: uuid.UUID | None = None
    """The budget of this task or coding job; without it the organisation's, of all of them together."""
    period: Period
    """day and month are those of UTC."""


class BudgetOut(_Out):
    """A budget in its current period."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    task_id: uuid.UUID | None
    """null: of all tasks of the organisation."""
    period: Period
    currency: str
    cost: float | None
    """The limit, in `currency`."""
    tokens: int | None
    """The limit."""
    used_cost: float
    used_tokens: int
    reserved_cost: float
    """By calls that are under way, and by those that a crash cut and nobody has gone on with."""
    reserved_tokens: int
    unpriced_allowed: bool
    began: datetime
    """When the period began; of life, 1970."""
    set_at: datetime


class BudgetList(_Out):
    """Budgets, an organisation's own before those of its tasks."""

    items: list[BudgetOut]


def usage_item(key: str | None, label: str | None, sums: Sums) -> UsageItem:
    """One item on the wire."""
    return UsageItem.model_validate({"key": key, "label": label, **_sums(sums)})


def budget_out(budget: Budget, currency: str) -> BudgetOut:
    """A budget on the wire."""
    return BudgetOut(
        id=budget.id,
        organisation_id=budget.organisation_id,
        task_id=budget.task_id,
        period=budget.period,  # pyright: ignore[reportArgumentType]
        currency=currency,
        cost=None if budget.max_cost is None else budget.max_cost / NANOS,
        tokens=budget.max_tokens,
        used_cost=budget.used_cost / NANOS,
        used_tokens=budget.used_tokens,
        reserved_cost=budget.reserved_cost / NANOS,
        reserved_tokens=budget.reserved_tokens,
        unpriced_allowed=budget.unpriced_allowed,
        began=budget.began,
        set_at=budget.set_at,
    )


def _sums(sums: Sums) -> dict[str, float | None]:
    return {
        "calls": sums.calls,
        "lost": sums.lost,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.tokens_out,
        "tokens_cached": sums.tokens_cached,
        "cost": sums.cost / NANOS,
        "unpriced": sums.unpriced,
        "seconds": sums.seconds,
        "checkpoints": sums.checkpoints,
        "tool_calls": sums.tool_calls,
        "working_seconds": sums.working_seconds,
    }
