"""Tasks that spend, with nothing around them: as the worker does it, each write under the lease of its attempt."""

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from pavo.accounts.domain import Identity
from pavo.accounts.models import MembershipRow, UserRow
from pavo.agents.asking.question import Question
from pavo.gates import repository as gates
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.tasks.sql import lease
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.tasks.work.context.asked_people import new_gate
from pavo.timeline.models import TimelineRow
from pavo.usage import budgets
from pavo.usage.asking import about_budget
from pavo.usage.budgets import Exhausted, Reservation
from pavo.usage.domain import Call, Estimate, Period, Spender, Used
from pavo.usage.models import BudgetRow, UsageCallRow
from pavo.usage.service import Budget, NewBudget, UsageService
from tests.tools.rows import new_attempt, new_subject

EURO = 1_000_000_000
"""One unit of money, in nanos."""


@dataclass
class Organisation:
    """An organisation with an owner, a member and tasks."""

    database: Database
    id: uuid.UUID
    owner: Identity
    member: Identity
    first: Subject

    @classmethod
    async def new(cls, database: Database) -> "Organisation":
        subject, user = await new_subject(database)
        member = new_id()
        async with database.transaction() as session:
            email = (await session.scalars(select(UserRow.email).where(UserRow.id == user))).one()
            session.add(UserRow(id=member, email=f"{member.hex}@example.com", organisation_id=subject.organisation_id))
            await session.flush()
            for who, role in ((user, "owner"), (member, "member")):
                session.add(MembershipRow(organisation_id=subject.organisation_id, user_id=who, role=role))
        theirs = (subject.organisation_id, (subject.organisation_id,))
        owner = Identity(user, email, *theirs)
        return cls(
            database, subject.organisation_id, owner, Identity(member, f"{member.hex}@example.com", *theirs), subject
        )

    async def task(self, parent: Subject | None = None) -> Subject:
        """Another task of the organisation, perhaps one that another delegated."""
        task = new_id()
        async with self.database.transaction() as session:
            session.add(TimelineRow(id=task))
            await session.flush()
            told: dict[str, Any] = {
                "title": "T",
                "prompt": "",
                "agent_type": "intern",
                "agent_options": {},
                "created_by": self.owner.user_id,
                "parent_id": parent and parent.id,
            }
            state = {"stage": "EXECUTING", "phase": "executing", "workflow_id": f"task-{task}"}
            session.add(TaskRow(id=task, organisation_id=self.id, **told, **state))
            await session.flush()
            session.add(ExecutionRow(task_id=task))
        return Subject(task, self.id, "v1")

    async def budget(
        self,
        period: Period,
        cost: float | None = None,
        tokens: int | None = None,
        task: Subject | None = None,
        **more: Any,
    ) -> Budget:
        """Set one."""
        given = None if cost is None else Decimal(str(cost))
        place = (None, task.id) if task is not None else (self.id, None)
        return await UsageService(self.database).set_budget(
            self.owner, *place, NewBudget(period, given, tokens, **more)
        )

    async def standing(self) -> list[Budget]:
        """Its budgets as people see them."""
        return await UsageService(self.database).budgets(self.owner, self.id, None)

    async def answer(self, subject: Subject, question: Question, answer: Any, who: Identity | None = None) -> None:
        """Have somebody answer what is asked."""
        by = who or self.owner
        async with self.database.transaction() as session:
            gate, _ = await gates.open_gate(session, subject, await about_budget(session, self.id, new_gate(question)))
            given = await gates.propose(session, gate.id, answer, "", by.user_id, by.email)
            assert (await gates.take(session, gate.id, given))[1]

    async def calls(self) -> list[UsageCallRow]:
        """What was counted."""
        async with self.database.reading() as session:
            query = select(UsageCallRow).where(UsageCallRow.organisation_id == self.id).order_by(UsageCallRow.at)
            return list((await session.scalars(query)).all())

    async def row(self) -> BudgetRow:
        """The only budget's row."""
        async with self.database.reading() as session:
            return (await session.scalars(select(BudgetRow).where(BudgetRow.organisation_id == self.id))).one()


class Attempt:
    """An attempt at a task, under its epoch."""

    def __init__(self, organisation: Organisation, subject: Subject, epoch: int) -> None:
        self.database = organisation.database
        self.spender = Spender(subject, organisation.owner.user_id, "intern", epoch)

    @classmethod
    async def begin(cls, organisation: Organisation, subject: Subject) -> "Attempt":
        """Take the task over."""
        return cls(organisation, subject, await new_attempt(organisation.database, subject))

    async def holds(self, session: Any) -> bool:
        return await lease.holds(session, self.spender.subject.id, self.spender.epoch)

    async def reserve(self, call: Call, cost: float | None, tokens: int = 0) -> Reservation | Exhausted | None:
        """None: the lease is lost."""
        wanted = Estimate(tokens, None if cost is None else round(cost * EURO))
        async with self.database.transaction() as session:
            if not await self.holds(session):
                return None
            return await budgets.reserve(session, self.spender, call, wanted)

    async def settle(self, call: Call, cost: float | None, tokens: int = 0, *, fenced: bool = True) -> bool:
        """As a worker does; not `fenced`, as one that wakes up behind its look at the lease."""
        used = Used(tokens, 0, cost=None if cost is None else round(cost * EURO), seconds=0.5)
        async with self.database.transaction() as session:
            held = not fenced or await self.holds(session)
            return held and await budgets.settle(session, self.spender, call, used)

    async def release(self, call: Call) -> bool:
        async with self.database.transaction() as session:
            return await self.holds(session) and await budgets.release(session, self.spender, call)


def new_call(model: str = "model") -> Call:
    """Another call."""
    return Call(new_id(), model)
