"""Looking jobs up: whose they are, and how many are in each stage."""

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs.domain import STAGES
from pavo.jobs.sql.models import JobRow, RepositoryRow


async def find(session: AsyncSession, job_id: uuid.UUID) -> JobRow | None:
    """A job; None: there is none."""
    query = select(JobRow).where(JobRow.id == job_id, JobRow.deleted_at.is_(None))
    return (await session.scalars(query)).one_or_none()


async def owners(session: AsyncSession, job_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """Whose these jobs are, by organisation; those that are gone are left out."""
    query = select(JobRow.id, JobRow.organisation_id).where(JobRow.id.in_(job_ids), JobRow.deleted_at.is_(None))
    return {row.id: row.organisation_id for row in await session.execute(query)}


async def stages(session: AsyncSession, job_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """In which stages these jobs are; those that are gone are left out."""
    query = select(JobRow.id, JobRow.stage).where(JobRow.id.in_(job_ids), JobRow.deleted_at.is_(None))
    return {row.id: row.stage for row in await session.execute(query)}


async def census(session: AsyncSession) -> Mapping[str, int]:
    """How many jobs are in each stage; stages without any at 0."""
    query = select(JobRow.stage, func.count()).where(JobRow.deleted_at.is_(None)).group_by(JobRow.stage)
    found = {stage: count for stage, count in await session.execute(query)}
    return {stage: found.get(stage, 0) for stage in STAGES}


async def repository(
    session: AsyncSession, organisation_id: uuid.UUID, repository_id: uuid.UUID
) -> RepositoryRow | None:
    """A repository of an organisation, kept from being removed until the transaction ends."""
    mine = (RepositoryRow.id == repository_id, RepositoryRow.organisation_id == organisation_id)
    return (await session.scalars(select(RepositoryRow).where(*mine).with_for_update(key_share=True))).one_or_none()
