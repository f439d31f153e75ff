"""Attempts that end because a budget is spent."""

import uuid
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.event_data import JobError
from pavo.llm.journal import refused_by_budget

BUDGET_SPENT: Final = "BudgetSpent"
"""Type of the error of a command whose program was refused its models by a budget, and got no further."""


async def error_of(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> JobError:
    """Cause and remedy, as people read them."""
    told = await refused_by_budget(session, job_id, epoch)
    cause = told or "A budget did not suffice for the next call of a model."
    remedy = f"Raise it: pavo budget set life --job {job_id} --cost MORE (or --tokens); then: pavo job requeue {job_id}"
    if told is not None and told.startswith("The organisation"):
        remedy = f"Have an owner raise it: pavo budget set; then: pavo job requeue {job_id}"
    return {"type": BUDGET_SPENT, "cause": cause, "remedy": remedy}


async def is_spent(session: AsyncSession, job_id: uuid.UUID, epoch: int) -> bool:
    """Whether a budget refused what this attempt asked last of a model."""
    return await refused_by_budget(session, job_id, epoch) is not None
