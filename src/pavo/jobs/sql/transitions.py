"""What happens to a job while an attempt holds it: all SQL of it. How attempts begin and end is in `attempts`."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.leases.repository import EXPIRED, silent
from pavo.jobs.sql.attempts import holds, is_newer, locked, numbered
from pavo.jobs.sql.models import JobRow, RepositoryRow
from pavo.runs.fence import Fence
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event

_TELL_WEBHOOKS: Final = text("""
SELECT webhook_enqueue(j.organisation_id, 'job.waiting', j.id, job_told(j, j.stage) || jsonb_build_object(
    'reason', CAST(:reason AS text), 'gate_id', CAST(:gate_id AS uuid)
)) FROM jobs j WHERE j.id = :job_id
""")
"""As the triggers do that tell of stages (migration 0038): in the same transaction, ids alone."""

_ROUTE: Final = text(f"""
SELECT j.epoch, j.stage, j.cancel_asked_at, a.queue, {EXPIRED} AS expired, {silent(":silence")}
    AND NOT EXISTS (SELECT FROM gates g WHERE g.subject_id = j.id AND g.state = 'open') AS stuck
FROM jobs j LEFT JOIN remote_agents a ON a.id = j.agent_id WHERE j.id = :id AND j.deleted_at IS NULL
""")

SHOWN_BY_AGENTS: Final = (d.PREPARING, d.EXECUTING, d.VERIFYING, d.PUBLISHING, d.CLEANING)


async def begin(session: AsyncSession, job_id: uuid.UUID, epoch: int, fence: Fence) -> c.Plan:
    """The workflow of an attempt is there; what it has to do. Whether a plan was accepted is not looked at here."""
    job = await locked(session, job_id)
    if job is None or not holds(job, epoch):
        return c.Plan(holds=False)
    if is_newer(job, fence):
        values = {"workflow_id": d.workflow_id(job_id, epoch), "updated_at": func.pavo_now(), **fence.columns()}
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))
    query = select(RepositoryRow).where(RepositoryRow.id == job.repository_id)
    repository = (await session.scalars(query)).one()
    review = job.adopts is None and (job.review_plan or repository.review_plan)
    return c.Plan(True, review, bool(repository.verify), repository.verify_rounds if repository.verify else 0)


async def enter(
    session: AsyncSession, job_id: uuid.UUID, epoch: int, fence: Fence, stage: str
) -> tuple[bool, Sequence[Event]]:
    """Show a stage, as the workflow says; whether the attempt still holds the job."""
    job = await locked(session, job_id)
    if job is None or not holds(job, epoch):
        return False, ()
    if not is_newer(job, fence):
        return True, ()
    changes: dict[str, Any] = numbered(job, epoch, fence)
    return True, await _show(session, job, stage, changes)


async def note_stage(session: AsyncSession, job_id: uuid.UUID, epoch: int, stage: str) -> Sequence[Event]:
    """Show the stage that an agent reports for the attempt that holds the job; publish the answer after commit.

    Args:
        stage: whatever the agent says: what is no stage of an attempt changes nothing.
    """
    if stage not in SHOWN_BY_AGENTS:
        return ()
    job = await locked(session, job_id)
    if job is None or not holds(job, epoch) or job.stage == stage:
        return ()
    return await _show(session, job, stage, {})


async def _show(session: AsyncSession, job: JobRow, stage: str, changes: dict[str, Any]) -> Sequence[Event]:
    before = job.stage  # the statement changes the object too
    changes |= {"stage": stage, "updated_at": func.pavo_now(), "heard_at": func.pavo_now()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**changes))
    return await timeline.append(session, job.id, [events.stage(stage)]) if stage != before else ()


async def route(session: AsyncSession, job_id: uuid.UUID, epoch: int, silence: float) -> c.Route:
    """Where commands of an attempt are taken at this moment.

    Args:
        silence: seconds without a log line, stage or result after which the attempt is stuck, unless people are asked.
    """
    row = (await session.execute(_ROUTE, {"id": job_id, "silence": silence})).one_or_none()
    if row is None or row.epoch != epoch or row.stage not in d.IN_PROGRESS:
        return c.Route(None, holds=False)
    return c.Route(
        row.queue, holds=True, cancel_asked=row.cancel_asked_at is not None, expired=row.expired, stuck=row.stuck
    )


async def tell_waiting(session: AsyncSession, job_id: uuid.UUID, reason: str, gate_id: uuid.UUID) -> None:
    """Have the organisation's webhooks told that the job waits for a person."""
    await session.execute(_TELL_WEBHOOKS, {"job_id": job_id, "reason": reason, "gate_id": gate_id})


async def number(session: AsyncSession, job: JobRow, fence: Fence) -> None:
    """Note the number of a write that changes nothing else of the job's row."""
    values = {"updated_at": func.pavo_now(), "heard_at": func.pavo_now(), **fence.columns()}
    await session.execute(update(JobRow).where(JobRow.id == job.id).values(**values))
