"""The pure rules of usage and budgets.

Money is counted in nanos, billionths of the currency that the price table names: a token of the cheapest models costs
some of them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final, Literal, TypeAlias

from pavo.gates.domain import Subject

NANOS: Final = 1_000_000_000
MAX_COST: Final = 1_000_000_000
"""Of a budget, in the currency: what fits a column of 64 bits as nanos."""
MAX_TOKENS: Final = 1_000_000_000_000_000
MOST_KEPT: Final = 2**63 - 1
"""What a column of 64 bits holds: a sum that nonsense in a price table makes greater counts as this."""
Period: TypeAlias = Literal["day", "month", "life"]
"""day and month are those of UTC; life has no end."""
By: TypeAlias = Literal["call", "task", "agent", "user", "model", "organisation", "day"]
"""By what usage is summed."""
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose budgets calls of models count against, and who is asked where these do not suffice."""

    subject: Subject
    """The run, such as a task, with the scope of its gates."""
    user_id: uuid.UUID | None
    """Whom the task runs for."""
    agent: str
    noun: str = "task"
    """What the subject is."""
    asks: bool = True
    """Whether people can be asked while it works; else a call for which a budget does not suffice is refused."""

    def under(self, epoch: int) -> "Spender":
        """In the attempt of this epoch."""
        return Spender(self.subject, self.user_id, self.agent, epoch, self.noun, self.asks)


@dataclass(frozen=True, slots=True)
class Spender:
    """Who calls a model, under the epoch of the attempt that does."""

    subject: Subject
    """The run, whose organisation pays."""
    user_id: uuid.UUID | None
    """Whom the task runs for."""
    agent: str
    epoch: int
    noun: str = "task"
    asks: bool = True
    """As of a `Payer`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a model."""

    id: uuid.UUID
    """The same when it is made again after a crash."""
    model: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that a call is expected to take: its input, and the largest output that it may have."""

    tokens: int
    cost: int | None
    """In nanos; None: the price table does not know the model."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a call took."""

    tokens_in: int
    """Those that came from a cache included."""
    tokens_out: int
    tokens_cached: int = 0
    cost: int | None = None
    """In nanos; None: the price is not known."""
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """What a budget of tokens counts."""
        return self.tokens_in + self.tokens_out


class Lack(Enum):
    """Why a budget does not allow a call."""

    EXHAUSTED = "what is left does not suffice"
    UNPRICED = "it is one of money, and the price of the model is not known"


@dataclass(frozen=True, slots=True)
class Sums:
    """What calls of models took together."""

    calls: int = 0
    lost: int = 0
    """Of these, cut by a crash: they count by their estimates."""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    """Of `tokens_in`."""
    cost: int = 0
    """In nanos, of those whose price is known."""
    unpriced: int = 0
    """Calls whose price is not."""
    seconds: float = 0.0
    checkpoints: int | None = None
    """That attempts recorded; None, as the next two: it is not told apart by what is summed."""
    tool_calls: int | None = None
    working_seconds: float | None = None
    """From the beginnings of attempts to their ends."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as people see it, in its current period."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    task_id: uuid.UUID | None
    period: str
    max_cost: int | None
    max_tokens: int | None
    used_cost: int
    used_tokens: int
    reserved_cost: int
    reserved_tokens: int
    unpriced_allowed: bool
    began: datetime
    set_at: datetime


def period_start(period: str, at: datetime) -> datetime:
    """When the period began that this moment is in."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"day": day, "month": day.replace(day=1)}.get(period, EVER)


def period_end(period: str, at: datetime) -> datetime | None:
    """When the period ends that this moment is in; None: never."""
    start = period_start(period, at)
    if period == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1) if period == "month" else None


def nanos(amount: Decimal) -> int:
    """An amount of money; a part of a nano counts as a whole one.

    Raises:
        ValueError: it is none, negative, or more than `MAX_COST`.
    """
    if not amount.is_finite() or not 0 <= amount <= MAX_COST:
        raise ValueError(f"{amount} is no amount from 0 to {MAX_COST:,}")
    whole = amount * NANOS
    return int(whole) + (whole != int(whole))


def money(amount: int, currency: str) -> str:
    """An amount of nanos for people: two decimals, and more where it is less than a hundredth."""
    value = Decimal(amount) / NANOS
    shown = f"{value:,.2f}" if value == 0 or abs(value) >= Decimal("0.01") else f"{value:.9f}".rstrip("0")
    return f"{shown} {currency}"


@dataclass(frozen=True, slots=True)
class RunBudget:
    """A budget of a run's own, in its current period; costs in nanos."""

    period: str
    max_cost: int | None
    max_tokens: int | None
    used_cost: int
    used_tokens: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run's calls of models took, and what bounds them beside the budgets of its organisation."""

    sums: Sums = field(default_factory=Sums)
    budgets: Sequence[RunBudget] = ()
