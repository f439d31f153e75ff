"""What an agent works on, as its rows say: the parts of a task that do not change, and the plan."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import UserRow
from pavo.agents.contract import Plan, PlanStep
from pavo.tasks.sql.models import DocumentRow, TaskRow


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task as its agent needs it."""

    id: uuid.UUID
    organisation_id: uuid.UUID
    title: str
    prompt: str
    agent_type: str
    agent_options: dict[str, Any]
    step_seconds: float | None
    """How long a step may take, if the task says so."""
    edits: int
    """How often what it is asked was changed since the first start."""
    user_id: uuid.UUID
    user_email: str
    """Whom it runs for."""


async def assignment_of(session: AsyncSession, row: TaskRow) -> Assignment:
    """From the task's row and that of who created it."""
    told = (row.id, row.organisation_id, row.title, row.prompt, row.agent_type, row.agent_options)
    email = (await session.scalars(select(UserRow.email).where(UserRow.id == row.created_by))).one()
    return Assignment(*told, row.step_seconds, row.edits, row.created_by, email)


def plan_from(version: int, content_hash: str, content: Mapping[str, Any]) -> Plan:
    """A stored plan as agents see it."""
    steps = [PlanStep(step["title"], step["detail"]) for step in content["steps"]]
    return Plan(version, content_hash, content["summary"], steps)


def plan_of(row: DocumentRow) -> Plan:
    """The same, from its row."""
    return plan_from(row.version, row.hash, row.content)
