"""Use cases of usage and budgets: what was used, and which limits hold."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

from sqlalchemy import Uuid, any_, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.models import MembershipRow
from pavo.errors import Forbidden, InvalidInput, NotFound
from pavo.kit.clock import moment_or_age
from pavo.kit.sql import Database
from pavo.usage import repository
from pavo.usage.budgets import ALONE
from pavo.usage.domain import MAX_TOKENS, Budget, Period, Sums, nanos, period_start
from pavo.usage.models import BudgetRow
from pavo.usage.repository import Chosen, Item
from pavo.usage.schemas import BudgetIn, TaskBudgetIn, UsageWanted

DEFAULT_SINCE: Final = "30d"


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used."""

    items: list[Item]
    more: bool
    """Whether there are more items than are shown; `total` counts them."""
    total: Sums


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A budget to be set: in place of the one that is there."""

    period: Period
    cost: Decimal | None = None
    """In the currency of the price table."""
    tokens: int | None = None
    unpriced_allowed: bool = False

    @classmethod
    def of(cls, given: BudgetIn | TaskBudgetIn) -> "NewBudget":
        """As it is given over the wire."""
        cost = None if given.cost is None else Decimal(str(given.cost))
        return cls(given.period, cost, given.tokens, given.unpriced_allowed)


async def add_to_task(session: AsyncSession, who: Identity, task_id: uuid.UUID, given: Sequence[TaskBudgetIn]) -> None:
    """Set the budgets of a task, or a coding job, that is created in this session: nobody has used anything of it yet.

    Raises:
        InvalidInput: a limit is none.
    """
    now = (await session.scalars(select(func.pavo_now()))).one()
    for each in given:
        cost, tokens = _checked(NewBudget.of(each))
        place = {"organisation_id": who.organisation_id, "task_id": task_id, "period": each.period}
        limits = {"max_cost": cost, "max_tokens": tokens, "unpriced_allowed": each.unpriced_allowed}
        began = period_start(each.period, now)
        session.add(BudgetRow(**place, **limits, began=began, set_by=who.user_id, set_at=now))


class LooksAgain(Protocol):
    """Has tasks look again that wait for a budget."""

    async def look_again(self, organisation_id: uuid.UUID, by: str) -> None:
        """This user has changed a budget of the organisation; what cannot be done soon is left to the second line."""
        ...


@runtime_checkable
class OwnsBudgetGates(Protocol):
    """Use cases of a slice whose subjects wait for budgets."""

    @property
    def budgets(self) -> LooksAgain:
        """What has them look again."""
        ...


class UsageService:
    """Usage and budgets of a person's organisations.

    Args:
        waiting: told of each budget that is set or removed.
    """

    def __init__(self, database: Database, waiting: LooksAgain | None = None) -> None:
        self._database = database
        self._waiting = waiting

    async def usage(self, who: Identity, asked: UsageWanted) -> Usage:
        """What calls of models took.

        Raises:
            NotFound: the organisation or the task is unknown, or not theirs.
            InvalidInput: a moment is none.
        """
        async with self._database.reading() as session:
            theirs = who.of(asked.organisation_id)
            if asked.task_id is not None:
                theirs = (await _of_task(session, theirs, asked.task_id),)
            now = (await session.scalars(select(func.pavo_now()))).one()
            since = asked.since or (None if asked.task_id else DEFAULT_SINCE)
            chosen = Chosen(theirs, asked.task_id, _moment(since, "since", now), _moment(asked.until, "until", now))
            items, more = await repository.by(session, chosen, asked.by)
            return Usage(items, more, await repository.total(session, chosen))

    async def of_task(self, organisation_id: uuid.UUID, task_id: uuid.UUID) -> Sums:
        """What the calls of one task took, for Pavo itself: whoever asks works for it."""
        async with self._database.reading() as session:
            return await repository.total(session, Chosen([organisation_id], task_id), work=False)

    async def budgets(
        self, who: Identity, organisation_id: uuid.UUID | None, task_id: uuid.UUID | None
    ) -> list[Budget]:
        """The budgets that bound a task (its own, those of the tasks that it works for, its organisation's), those of
        one organisation, or all of theirs.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            theirs = who.of(organisation_id)
            query = select(BudgetRow).where(BudgetRow.organisation_id.in_(theirs))
            if task_id is not None:
                owner = await _of_task(session, theirs, task_id)
                line = func.budget_line(task_id, type_=ARRAY(Uuid))
                mine = or_(BudgetRow.task_id.is_(None), BudgetRow.task_id == any_(line))
                query = query.where(BudgetRow.organisation_id == owner, mine)
            order = (BudgetRow.organisation_id, BudgetRow.task_id.nulls_first(), BudgetRow.period)
            rows = (await session.scalars(query.order_by(*order).limit(repository.MAX_ITEMS))).all()
            now = (await session.scalars(select(func.pavo_now()))).one()
            return [await _shown(session, row, now) for row in rows]

    async def set_budget(
        self, who: Identity, organisation_id: uuid.UUID | None, task_id: uuid.UUID | None, new: NewBudget
    ) -> Budget:
        """Set the budget of a task, or of an organisation: what was used before counts.

        Raises:
            InvalidInput: neither limit is given, or one is none.
            NotFound: the task or the organisation is unknown, or not theirs.
            Forbidden: it is the organisation's, and they are no owner.
        """
        cost, tokens = _checked(new)
        async with self._database.transaction() as session:
            owner = await self._owner(session, who, organisation_id, task_id)
            await session.execute(ALONE, {"organisation": str(owner)})
            same = BudgetRow.task_id == task_id if task_id is not None else BudgetRow.task_id.is_(None)
            query = select(BudgetRow).where(BudgetRow.organisation_id == owner, same, BudgetRow.period == new.period)
            row = (await session.scalars(query.with_for_update())).one_or_none()
            now = (await session.scalars(select(func.pavo_now()))).one()
            if row is None:
                row = BudgetRow(organisation_id=owner, task_id=task_id, period=new.period)
                row.began = period_start(new.period, now)
                row.used_cost, row.used_tokens = await repository.used_before(session, row)
                session.add(row)
            row.max_cost, row.max_tokens, row.unpriced_allowed = cost, tokens, new.unpriced_allowed
            row.set_by, row.set_at = who.user_id, now
            await session.flush()
            shown = await _shown(session, row, now)
        await self._look_again(owner, who)
        return shown

    async def remove_budget(self, who: Identity, budget_id: uuid.UUID) -> None:
        """Remove a budget: nothing bounds its calls any more.

        Raises:
            NotFound: unknown, or not theirs.
            Forbidden: it is the organisation's, and they are no owner.
        """
        async with self._database.transaction() as session:
            row = await session.get(BudgetRow, budget_id)
            if row is None or row.organisation_id not in who.organisation_ids:
                raise NotFound(f"There is no budget {budget_id}.", field="budget_id", remedy="Look at the budgets.")
            await self._owner(session, who, row.organisation_id if row.task_id is None else None, row.task_id)
            await session.execute(ALONE, {"organisation": str(row.organisation_id)})
            await session.delete(row)
            owner = row.organisation_id
        await self._look_again(owner, who)

    async def _look_again(self, organisation_id: uuid.UUID, who: Identity) -> None:
        if self._waiting is not None:
            await self._waiting.look_again(organisation_id, who.email)

    async def _owner(
        self, session: AsyncSession, who: Identity, organisation_id: uuid.UUID | None, task_id: uuid.UUID | None
    ) -> uuid.UUID:
        """The organisation, where this user may set the budget."""
        if task_id is not None:
            return await _of_task(session, who.of(organisation_id), task_id)
        (owner,) = who.of(organisation_id or who.organisation_id)
        mine = (MembershipRow.organisation_id == owner, MembershipRow.user_id == who.user_id)
        if (await session.scalars(select(MembershipRow.role).where(*mine))).one_or_none() != "owner":
            raise Forbidden("Only owners set the organisation's budgets.", remedy="Ask an owner to do it.")
        return owner


async def _shown(session: AsyncSession, row: BudgetRow, now: datetime) -> Budget:
    over = period_start(row.period, now) > row.began
    reserved_cost, reserved_tokens = (0, 0) if over else await repository.reserved(session, row)
    return Budget(
        row.id,
        row.organisation_id,
        row.task_id,
        row.period,
        row.max_cost,
        row.max_tokens,
        0 if over else row.used_cost,
        0 if over else row.used_tokens,
        reserved_cost,
        reserved_tokens,
        row.unpriced_allowed,
        max(row.began, period_start(row.period, now)),
        row.set_at,
    )


async def _of_task(session: AsyncSession, theirs: Sequence[uuid.UUID], task_id: uuid.UUID) -> uuid.UUID:
    owner = await repository.organisation_of(session, task_id)
    if owner is None or owner not in theirs:
        raise NotFound(
            f"There is no task or job {task_id}.", field="task_id", remedy="Look at the lists of tasks and jobs."
        )
    return owner


def _moment(given: str | None, field: str, now: datetime) -> datetime | None:
    if given is None:
        return None
    found = moment_or_age(given, field=field)
    return found if isinstance(found, datetime) else now - found


def _checked(new: NewBudget) -> tuple[int | None, int | None]:
    if new.cost is None and new.tokens is None:
        raise InvalidInput("The budget limits nothing.", field="cost", remedy="Give cost, tokens or both.")
    if new.tokens is not None and not 0 <= new.tokens <= MAX_TOKENS:
        remedy = f"Give 0 to {MAX_TOKENS:,}."
        raise InvalidInput(f"{new.tokens} is no number of tokens.", field="tokens", remedy=remedy)
    try:
        return None if new.cost is None else nanos(new.cost), new.tokens
    except ValueError as error:
        raise InvalidInput(f"{error}.", field="cost", remedy="Give an amount of money, such as 25.00.") from error
