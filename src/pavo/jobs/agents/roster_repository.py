"""SQL of the roster, as people see it. Every function works in its caller's session and commits nothing."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import domain as d
from pavo.jobs.agents.roster import JobOfAgent, RemoteAgent
from pavo.jobs.sql.models import JobRow, RemoteAgentRow

_ROW = RemoteAgentRow
_AT_IT = and_(JobRow.agent_id == _ROW.id, JobRow.stage.in_(d.IN_PROGRESS))


def _of(organisation_id: uuid.UUID) -> Any:
    return or_(_ROW.organisation_id == organisation_id, _ROW.organisation_id.is_(None))


async def agents(session: AsyncSession, organisation_id: uuid.UUID, name: str | None = None) -> list[RemoteAgent]:
    """Those that serve the organisation, its own first, by name; with a name those with this one alone."""
    pair = func.json_build_array(JobRow.id, JobRow.title, JobRow.stage)
    ordered: Any = aggregate_order_by(pair, JobRow.claimed_at, JobRow.id)
    own = select(func.json_agg(ordered)).where(_AT_IT, JobRow.organisation_id == organisation_id)
    working = select(func.count()).select_from(JobRow).where(_AT_IT)
    rests = case((_ROW.rests_until > func.pavo_now(), _ROW.rests_until))
    query = (
        select(_ROW, working.correlate(_ROW).scalar_subquery(), own.correlate(_ROW).scalar_subquery(), rests)
        .where(_of(organisation_id))
        .order_by(_ROW.organisation_id.is_(None), _ROW.name)
        .execution_options(populate_existing=True)
    )
    if name is not None:
        query = query.where(_ROW.name == name)
    return [_agent(*row) for row in (await session.execute(query)).all()]


async def ask_drain(session: AsyncSession, agent_id: uuid.UUID, wanted: bool) -> None:
    """Whether it is to take nothing new."""
    await session.execute(update(_ROW).where(_ROW.id == agent_id).values(drain_asked=wanted))


async def lock(session: AsyncSession, agent_id: uuid.UUID) -> None:
    """Hold it: no job is given to it, and no session begins, until the session ends."""
    await session.execute(select(_ROW.id).where(_ROW.id == agent_id).with_for_update())


async def remove(session: AsyncSession, agent_id: uuid.UUID) -> None:
    """Forget it."""
    await session.execute(delete(_ROW).where(_ROW.id == agent_id))


def _agent(
    row: RemoteAgentRow, working: int, jobs: list[list[str]] | None, rests_until: datetime | None
) -> RemoteAgent:
    return RemoteAgent(
        id=row.id,
        name=row.name,
        shared=row.organisation_id is None,
        labels=tuple(row.labels),
        programs=tuple(row.programs),
        capacity=row.capacity,
        version=row.version,
        sandbox=row.sandbox,
        online=row.online,
        draining=row.draining or row.drain_asked,
        drain_asked=row.drain_asked,
        failed_pings=row.failed_pings,
        connected_at=row.connected_at,
        seen_at=row.seen_at,
        created_at=row.created_at,
        working=working,
        jobs=tuple(JobOfAgent(uuid.UUID(each[0]), each[1], each[2]) for each in jobs or ()),
        rests_until=rests_until,
        rests_for=row.rests_for if rests_until else "",
    )
