"""SQL of jobs as people see them. Every function works in its caller's session."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import String, cast, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.models import UserRow
from pavo.jobs.requests.domain import Attempt, GivenCommand, JobView, WantedJobs
from pavo.jobs.sql.models import JobAttemptRow, JobCommandRow, JobRow, RemoteAgentRow, RepositoryRow
from pavo.jobs.sql.results import told
from pavo.kit.pagination import Cursor

_PLAIN = tuple(
    name
    for name in JobView.__dataclass_fields__
    if name not in ("repository", "agent", "created_by", "attempt_list", "spending", "currency")
)


def _jobs() -> Any:
    return (
        select(JobRow, RepositoryRow.name, RemoteAgentRow.name, UserRow.email)
        .join(RepositoryRow, RepositoryRow.id == JobRow.repository_id)
        .outerjoin(RemoteAgentRow, RemoteAgentRow.id == JobRow.agent_id)
        .outerjoin(UserRow, UserRow.id == JobRow.created_by)
        .where(JobRow.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )


async def job(session: AsyncSession, job_id: uuid.UUID) -> JobView | None:
    """One job with its attempts."""
    row = (await session.execute(_jobs().where(JobRow.id == job_id))).one_or_none()
    if row is None:
        return None
    query = select(JobAttemptRow).where(JobAttemptRow.job_id == job_id).order_by(JobAttemptRow.epoch)
    attempts = [
        Attempt(**{name: getattr(each, name) for name in Attempt.__dataclass_fields__})
        for each in (await session.scalars(query.execution_options(populate_existing=True))).all()
    ]
    return _view(*row, attempts=attempts)


async def jobs(
    session: AsyncSession, organisation_id: uuid.UUID, wanted: WantedJobs, before: Cursor | None, limit: int
) -> list[JobView]:
    """The organisation's, newest first; so many before those of a page before."""
    query = _jobs().where(JobRow.organisation_id == organisation_id)
    if wanted.stages:
        query = query.where(JobRow.stage.in_(wanted.stages))
    if wanted.repository is not None:
        named = RepositoryRow.name == wanted.repository
        query = query.where(or_(named, cast(RepositoryRow.id, String) == wanted.repository.lower()))
    if wanted.q is not None:
        id_ = cast(JobRow.id, String)
        ends = or_(id_.startswith(wanted.q.lower(), autoescape=True), id_.endswith(wanted.q.lower(), autoescape=True))
        query = query.where(or_(func.lower(JobRow.title).contains(wanted.q.lower(), autoescape=True), ends))
    if before is not None:
        query = query.where(tuple_(JobRow.created_at, JobRow.id) < (before.created_at, before.id))
    rows = await session.execute(query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit))
    return [_view(*row) for row in rows.all()]


async def commands(session: AsyncSession, job_id: uuid.UUID, after: int, limit: int) -> list[GivenCommand]:
    """What the job's agents were told, in order, beginning behind number `after`."""
    query = select(JobCommandRow).where(JobCommandRow.job_id == job_id)
    order = (JobCommandRow.epoch, JobCommandRow.sent_at.nulls_last(), JobCommandRow.id)
    rows = (await session.scalars(query.order_by(*order).offset(after).limit(limit))).all()
    return [
        GivenCommand(
            row.epoch, row.kind, row.round, row.sent_at, row.accepted_at, row.ended_at, row.late, told(row.result)
        )
        for row in rows
    ]


async def tombstone(session: AsyncSession, job_id: uuid.UUID) -> tuple[uuid.UUID, bool] | None:
    """Whose a job is, and whether it is deleted; None: there never was one."""
    query = select(JobRow.organisation_id, JobRow.deleted_at.is_not(None)).where(JobRow.id == job_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


def _view(
    row: JobRow, repository: str, agent: str | None, email: str | None, *, attempts: Sequence[Attempt] = ()
) -> JobView:
    plain: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    return JobView(**plain, repository=repository, agent=agent, created_by=email, attempt_list=tuple(attempts))
