"""A task in the database, with nothing around it: what a ledger's calls belong to."""

import uuid

from sqlalchemy import update

from pavo.accounts.models import OrganisationRow, UserRow
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.tasks.sql.lease import raise_epoch
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.timeline.models import TimelineRow


async def new_subject(database: Database) -> tuple[Subject, uuid.UUID]:
    """A task of a new organisation, and a user of it."""
    organisation, user, task = new_id(), new_id(), new_id()
    async with database.transaction() as session:
        session.add(OrganisationRow(id=organisation, name="Tools"))
        await session.flush()
        session.add(UserRow(id=user, email=f"{user.hex}@example.com", organisation_id=organisation))
        session.add(TimelineRow(id=task))
        await session.flush()
        owner = {"organisation_id": organisation, "created_by": user}
        told = {"title": "T", "prompt": "", "agent_type": "intern", "agent_options": {}}
        state = {"stage": "EXECUTING", "phase": "executing", "workflow_id": f"task-{task}"}
        session.add(TaskRow(id=task, **owner, **told, **state))
        await session.flush()
        session.add(ExecutionRow(task_id=task))
    return Subject(task, organisation, "v1"), user


async def new_attempt(database: Database, subject: Subject) -> int:
    """Another attempt takes the task over; its epoch."""
    async with database.transaction() as session:
        await raise_epoch(session, subject.id)
        mine = ExecutionRow.task_id == subject.id
        taken = update(ExecutionRow).where(mine).values(holder="me").returning(ExecutionRow.epoch)
        return (await session.scalars(taken)).one()
