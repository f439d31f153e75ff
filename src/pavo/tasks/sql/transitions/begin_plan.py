"""A task begins to be planned: PLANNING is shown, and the attempt learns what there is to plan.

Quick: a task that was just started and has no past. Long: whatever was planned, reviewed, stopped or failed before, and
an attempt that is repeated.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Superseded
from pavo.runs.fence import Fence
from pavo.runs.fenced_row import is_latest, is_newer
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.assignment import Assignment, assignment_of
from pavo.tasks.sql.models import DocumentRow, FeedbackRow, TaskRow
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, numbered, payload


@dataclass(frozen=True, slots=True)
class ToPlan:
    """What is to be planned: from scratch, or the revision of `reviewed`."""

    assignment: Assignment
    reviewed: DocumentRow | None
    feedback: Sequence[FeedbackRow]
    version: int
    """Of the plan that is to be made."""
    epoch: int = 0
    """Of the attempt: planning writes under the fence alone, but its number tells attempts apart outside."""
    deaths: int = 0
    """How often the agent ended its process at this already."""


async def begin_plan(
    writer: TaskWriter, task_id: uuid.UUID, fence: Fence, *, auto_accept: bool
) -> tuple[ToPlan | c.PlanMade, Sequence[Event]]:
    """Show PLANNING; what is to be planned, and the events to publish.

    A PlanMade is what an attempt before stored, which died before it could say so: nothing is to be planned again.

    Raises:
        Superseded: a newer run has the task, or it is stopped.
    """
    begun = await quick(writer, task_id, fence)
    if begun is not None:
        return begun
    if auto_accept and (known := await accepted_before(writer, task_id, fence)):
        return c.PlanMade(known, accepted=True), ()
    async with writer.database.transaction() as session:
        return await long(session, task_id, fence, writer.codes())


# `timeline_append` is in migration 0002; that of 0001 is superseded.
_BEGIN: Final = """
WITH moved AS (
    UPDATE tasks t
    SET stage = 'PLANNING', phase = 'planning', error = NULL, updated_at = pavo_now(),
        run_id = %(run_id)s, generation = %(generation)s, transition = %(transition)s
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'INIT'
      AND (t.generation, t.transition) < (%(generation)s, %(transition)s)
      AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.task_id = t.id)
      AND NOT EXISTS (
        SELECT 1 FROM executions e WHERE e.task_id = t.id AND e.code <> CAST(%(codes)s AS jsonb) ->> t.agent_type
      )
    RETURNING t.id, t.organisation_id, t.title, t.prompt, t.agent_type, t.agent_options, t.step_seconds,
        t.edits, t.created_by
), counted AS (
    UPDATE executions e SET epoch = e.epoch + 1, code = coalesce(CAST(%(codes)s AS jsonb) ->> m.agent_type, e.code)
    FROM moved m WHERE e.task_id = m.id RETURNING e.epoch
)
SELECT a.first_seq, a.at, c.epoch, m.*, u.email
FROM moved m JOIN users u ON u.id = m.created_by, counted c,
    LATERAL timeline_append(m.id, CAST(%(events)s AS jsonb)) a
"""


async def quick(writer: TaskWriter, task_id: uuid.UUID, fence: Fence) -> tuple[ToPlan, Sequence[Event]] | None:
    """For a task that was just started; None, and nothing is written, when it has a past."""
    new = [events.stage(d.PLANNING)]
    values = {"task_id": task_id, **fence.columns(), "events": payload(new), "codes": writer.codes_text()}
    rows = await writer.connections.rows(_BEGIN, values)
    if not rows:
        return None
    first_seq, at, epoch, *assignment = rows[0]
    return ToPlan(Assignment(*assignment), None, (), 1, epoch), numbered(task_id, first_seq, at, new)


async def long(
    session: AsyncSession, task_id: uuid.UUID, fence: Fence, codes: Mapping[str, str]
) -> tuple[ToPlan | c.PlanMade, Sequence[Event]]:
    """For every task that may still be planned by this run."""
    task = await locked_for_planning(session, task_id, fence)
    plans = await repository.plans(session, task_id)
    recorded: Sequence[Event] = ()
    if is_newer(fence, task):
        shown = task.stage == d.PLANNING
        await repository.advance(session, task, fence, stage=d.PLANNING, phase=_phase(task, plans), error=None)
        recorded = await timeline.append(session, task_id, [] if shown else [events.stage(d.PLANNING)])
    if made := made_before(task, plans):
        return made, recorded
    reviewed = plans[0] if plans and _phase(task, plans) == d.PHASE_REVISING else None
    feedback = await repository.feedback(session, reviewed.id) if reviewed else ()
    version = (plans[0].version if plans else 0) + 1
    execution, code = await repository.execution(session, task_id), codes.get(task.agent_type)
    changed = await timeline.append(session, task_id, lease.change_of_code(execution, code))
    epoch = await lease.next_epoch(session, task_id, code)
    to_plan = ToPlan(await assignment_of(session, task), reviewed, feedback, version, epoch, execution.deaths)
    return to_plan, [*recorded, *changed]


_ACCEPTED: Final = """
SELECT d.hash FROM tasks t JOIN documents d ON d.task_id = t.id
WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'EXECUTING'
  AND t.generation = %(generation)s AND t.transition = %(transition)s
  AND d.kind = 'PLAN' AND d.status = 'ACCEPTED'
"""


async def accepted_before(writer: TaskWriter, task_id: uuid.UUID, fence: Fence) -> str | None:
    """The hash of the plan that an attempt before stored under this fence, by policy, before it died. Only reads."""
    rows = await writer.connections.rows(_ACCEPTED, {"task_id": task_id, **d.acceptance_after(fence).columns()})
    return rows[0][0] if rows else None


async def locked_for_planning(session: AsyncSession, task_id: uuid.UUID, fence: Fence) -> TaskRow:
    """The task's row, locked, if this planning is still wanted (or went further by policy).

    Raises:
        Superseded: it is not.
    """
    task = await repository.lock_task(session, task_id)
    if task is None or not (
        is_newer(fence, task)
        or is_latest(fence, task)
        or (is_latest(d.acceptance_after(fence), task) and task.stage == d.EXECUTING)
        or (is_latest(d.done_after(fence), task) and task.stage == d.DONE)
    ):
        raise Superseded(f"Task {task_id} is not being planned by this run any more.")
    return task


def made_before(task: TaskRow, plans: Sequence[DocumentRow]) -> c.PlanMade | None:
    """The plan that an attempt before stored, if one did."""
    if not plans:
        return None
    if plans[0].status == repository.ACCEPTED and task.stage in (d.EXECUTING, d.DONE):
        return c.PlanMade(plans[0].hash, accepted=True)
    return c.PlanMade(plans[0].hash) if plans[0].status == repository.DRAFT else None


def _phase(task: TaskRow, plans: Sequence[DocumentRow]) -> str:
    """Revising where a plan was reviewed; planning else, also where an edit of the prompt superseded all plans."""
    if task.phase == d.PHASE_PLANNING:
        return d.PHASE_PLANNING
    return d.PHASE_REVISING if any(plan.status != repository.DRAFT for plan in plans) else d.PHASE_PLANNING
