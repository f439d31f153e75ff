"""An attempt takes the lease: the epoch grows, and from here on no older attempt can record anything.

Quick: the attempt before ended in order, or its worker was lost. Long: somebody hinted at a stop, or the attempt before
ran other code, or there is nothing to open: the task is over, in another run, or not executing this plan.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.contract import Plan
from pavo.errors import Superseded
from pavo.runs.fence import Fence
from pavo.runs.fenced_row import is_latest
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import repository
from pavo.tasks.sql.assignment import Assignment, assignment_of, plan_from, plan_of
from pavo.tasks.sql.lease import Beginnings, Lease, change_of_code
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent, numbered

WORKER_LOST: Final = "the worker that executed it was lost"
"""The cause of `recovered` when a process went away while it held the lease. That counts against nobody: a worker that
is killed, frozen or replaced says nothing about the agent."""

_EXECUTIONS: Table = ExecutionRow.__table__  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an attempt begins with."""

    lease: Lease
    assignment: Assignment
    plan: Plan


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """Instead: an attempt before recorded DONE after so many steps, and died before it could say so."""

    steps: int


async def open_lease(
    writer: TaskWriter, task_id: uuid.UUID, fence: Fence, plan_hash: str, *, ended: bool
) -> tuple[Opened | AlreadyDone, Sequence[Event]]:
    """Raise the epoch; what the attempt begins with, and the events to publish.

    Args:
        ended: whether the attempt before is known to have ended in order: then none was lost, whoever holds the lease.

    Raises:
        Superseded: the task is not executing this plan in this generation any more.
    """
    opened = await quick(writer, task_id, fence, plan_hash, ended=ended)
    if opened is not None:
        return opened
    async with writer.database.transaction() as session:
        return await long(session, writer.holder, task_id, fence, plan_hash, ended=ended, codes=writer.codes())


_EXECUTING: Final = """
WITH task AS (
    SELECT t.id, t.organisation_id, t.title, t.prompt, t.agent_type, t.agent_options, t.step_seconds,
        t.edits, u.id AS user_id, u.email
    FROM tasks t JOIN users u ON u.id = t.created_by
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'EXECUTING' AND t.generation = %(generation)s
    FOR SHARE OF t
), plan AS (
    SELECT d.version, d.hash, d.content FROM documents d JOIN task t ON d.task_id = t.id
    WHERE d.kind = 'PLAN' AND d.hash = %(plan_hash)s AND d.status = 'ACCEPTED'
), run AS (
    SELECT CAST(%(codes)s AS jsonb) ->> t.agent_type AS code FROM task t
)
"""
"""The task that is executing in this generation, its accepted plan, and the code that the attempt runs; begins a
statement."""

_OPEN: Final = (
    _EXECUTING
    + """, leased AS (
    UPDATE executions e SET epoch = e.epoch + 1, holder = %(holder)s, code = coalesce(r.code, e.code)
    FROM task t, plan p, run r
    WHERE e.task_id = t.id AND NOT e.stop_hint AND NOT coalesce(e.code <> r.code, false)
        AND (%(ended)s OR e.holder IS NULL OR e.holder = %(holder)s)
    RETURNING e.epoch, e.step, e.checkpoint, e.deaths, e.stop_hint, e.asked_to_move, e.begun_at, e.beginnings
)
SELECT NULL, NULL, l.*, p.*, t.* FROM leased l, plan p, task t
"""
)

# `timeline_append` is in migration 0002; that of 0001 is superseded.
_TAKE_OVER: Final = (
    _EXECUTING
    + """, held AS (
    SELECT e.* FROM executions e, task t, plan p, run r
    WHERE e.task_id = t.id AND e.holder <> %(holder)s AND NOT coalesce(e.code <> r.code, false) FOR UPDATE OF e
), leased AS (
    UPDATE executions e SET epoch = h.epoch + 1, holder = %(holder)s, stop_hint = false, code = coalesce(r.code, e.code)
    FROM held h, run r WHERE e.task_id = h.task_id
    RETURNING e.epoch, e.step, e.checkpoint, e.deaths, h.stop_hint, e.asked_to_move, e.begun_at, e.beginnings
)
SELECT a.first_seq, a.at, l.*, p.*, t.* FROM leased l, plan p, task t, LATERAL timeline_append(
    t.id, jsonb_build_array(jsonb_build_object('type', 'recovered', 'step', l.step, 'cause', %(cause)s::text))
) a
"""
)


async def quick(
    writer: TaskWriter, task_id: uuid.UUID, fence: Fence, plan_hash: str, *, ended: bool
) -> tuple[Opened, Sequence[Event]] | None:
    """After an attempt that ended in order, or one whose worker was lost; None, and nothing is written, else."""
    values = {"task_id": task_id, **fence.columns(), "plan_hash": plan_hash, "holder": writer.holder}
    values["codes"] = writer.codes_text()
    rows = await writer.connections.rows(_OPEN, {**values, "ended": ended})
    took_over = not rows and not ended
    if took_over:
        rows = await writer.connections.rows(_TAKE_OVER, {**values, "cause": WORKER_LOST})
    if not rows:
        return None
    (first_seq, at, *held), (version, content_hash, content, *assignment) = rows[0][:10], rows[0][10:]
    epoch, step, checkpoint, deaths, hint, move, begun_at, beginnings = held
    again = Beginnings(begun_at, beginnings)
    lease = Lease(task_id, epoch, step, checkpoint, deaths, took_over, hint, move, again)
    recorded = numbered(task_id, first_seq, at, [events.recovered(step, WORKER_LOST)]) if took_over else ()
    return Opened(lease, Assignment(*assignment), plan_from(version, content_hash, content)), recorded


async def long(
    session: AsyncSession,
    holder: str,
    task_id: uuid.UUID,
    fence: Fence,
    plan_hash: str,
    *,
    ended: bool,
    codes: Mapping[str, str],
) -> tuple[Opened | AlreadyDone, Sequence[Event]]:
    """For every task that this attempt may execute, and the answer for one that is DONE."""
    # Share: the stage must stay, but another attempt that only looks need not wait.
    query = select(TaskRow).where(TaskRow.id == task_id, TaskRow.deleted_at.is_(None)).with_for_update(read=True)
    task = (await session.scalars(query)).one_or_none()
    if task is not None and task.stage == d.DONE and is_latest(fence, task):
        return AlreadyDone((await repository.execution(session, task_id)).step), ()
    plan = await repository.plan_by_hash(session, task_id, plan_hash)
    executing = task is not None and task.stage == d.EXECUTING and task.generation == fence.generation
    if task is None or not executing or plan is None or plan.status != repository.ACCEPTED:
        raise Superseded(f"Task {task_id} is not executing plan {plan_hash} in this run.")
    lease, changed = await _take(session, holder, task_id, codes.get(task.agent_type), ended=ended)
    new = [*([events.recovered(lease.step, WORKER_LOST)] if lease.took_over else []), *changed]
    opened = Opened(lease, await assignment_of(session, task), plan_of(plan))
    return opened, await timeline.append(session, task_id, new)


async def _take(
    session: AsyncSession, holder: str, task_id: uuid.UUID, code: str | None, *, ended: bool
) -> tuple[Lease, list[NewEvent]]:
    row = (await session.scalars(select(ExecutionRow).where(ExecutionRow.task_id == task_id).with_for_update())).one()
    lost = row.holder is not None and row.holder != holder and not ended
    again, move = Beginnings(row.begun_at, row.beginnings), row.asked_to_move
    lease = Lease(task_id, row.epoch + 1, row.step, row.checkpoint, row.deaths, lost, row.stop_hint, move, again)
    changed = change_of_code(row, code)
    await session.execute(
        update(_EXECUTIONS)
        .where(_EXECUTIONS.c.task_id == task_id)
        .values(epoch=lease.epoch, holder=holder, stop_hint=False, code=code or row.code)
    )
    return lease, changed
