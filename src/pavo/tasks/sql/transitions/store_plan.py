"""A plan that an agent made is stored: as a draft to be reviewed, or accepted by policy.

Quick: the first plan of a task whose policy accepts it, together with the lease under which it is executed at once.
Long: drafts and revisions with their answers to feedback; also a plan accepted by policy where somebody was quicker or
wants to stop. Then the lease is opened afterwards, as for any other attempt.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.runs.fence import Fence
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.assignment import plan_from
from pavo.tasks.sql.lease import Lease
from pavo.tasks.sql.models import FeedbackRow
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.transitions.begin_plan import ToPlan, locked_for_planning, made_before
from pavo.tasks.sql.transitions.open_lease import Opened
from pavo.tasks.sql.transitions.writer import TaskWriter, document_values
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent, numbered, payload


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """What became of it; `opened` where the plan was accepted by policy and may be executed at once."""

    made: c.PlanMade
    opened: Opened | None = None


async def store_plan(
    writer: TaskWriter, to_plan: ToPlan, fence: Fence, plan: NewDocument, answers: Mapping[str, str]
) -> tuple[StoredPlan, Sequence[Event]]:
    """Store the plan, accepted by policy if its status says so; what came of it, and the events to publish.

    Args:
        answers: by feedback id; empty for a first plan.

    Raises:
        Superseded: a newer run has the task, or it is stopped.
    """
    if plan.status == repository.ACCEPTED:
        accepted = await quick(writer, plan.task_id, fence, plan)
        if accepted is not None:
            taken, recorded = accepted
            opened = Opened(taken, to_plan.assignment, plan_from(plan.version, plan.hash, plan.content))
            return StoredPlan(c.PlanMade(plan.hash, accepted=True), opened), recorded
    async with writer.database.transaction() as session:
        made, recorded = await long(session, fence, plan, to_plan.feedback, answers)
    return StoredPlan(made), recorded


# `timeline_append` is in migration 0002; that of 0001 is superseded.
_ACCEPT_BY_POLICY: Final = """
WITH moved AS (
    UPDATE tasks t
    SET stage = 'EXECUTING', phase = 'executing', updated_at = pavo_now(),
        run_id = %(run_id)s, transition = %(accepted)s
    FROM executions e
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL
      AND t.generation = %(generation)s AND t.transition = %(transition)s
      AND e.task_id = t.id AND NOT e.stop_hint
      AND NOT coalesce(e.code <> CAST(%(codes)s AS jsonb) ->> t.agent_type, false)
      AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.task_id = t.id)
    RETURNING t.id, t.agent_type
), stored AS (
    INSERT INTO documents (id, task_id, kind, version, status, hash, content, body, accepted_by, accepted_at)
    SELECT %(id)s, m.id, %(kind)s, %(version)s, %(status)s, %(hash)s, CAST(%(content)s AS jsonb), %(body)s,
        %(accepted_by)s, pavo_now()
    FROM moved m
    RETURNING task_id
), leased AS (
    UPDATE executions e SET epoch = e.epoch + 1, holder = %(holder)s, deaths = 0,
        code = coalesce(CAST(%(codes)s AS jsonb) ->> m.agent_type, e.code)
    FROM moved m WHERE e.task_id = m.id
    RETURNING e.task_id, e.epoch, e.step, e.checkpoint, e.deaths, e.stop_hint
)
SELECT a.first_seq, a.at, l.epoch, l.step, l.checkpoint, l.deaths, l.stop_hint
FROM leased l, stored s, LATERAL timeline_append(s.task_id, CAST(%(events)s AS jsonb)) a
"""


async def quick(
    writer: TaskWriter, task_id: uuid.UUID, fence: Fence, plan: NewDocument
) -> tuple[Lease, Sequence[Event]] | None:
    """Accept a first plan by policy and open its lease, under the next transition; None, writing nothing, otherwise."""
    new = _accepted(plan)
    accepted = d.acceptance_after(fence).transition
    values = {**document_values(plan), "task_id": task_id, **fence.columns(), "accepted": accepted}
    values["codes"] = writer.codes_text()
    rows = await writer.connections.rows(_ACCEPT_BY_POLICY, {**values, "events": payload(new), "holder": writer.holder})
    if not rows:
        return None
    first_seq, at, epoch, step, checkpoint, deaths, stop_hint = rows[0]
    taken = Lease(task_id, epoch, step, checkpoint, deaths, took_over=False, stop_hint=stop_hint)
    return taken, numbered(task_id, first_seq, at, new)


async def long(
    session: AsyncSession,
    fence: Fence,
    plan: NewDocument,
    feedback: Sequence[FeedbackRow],
    answers: Mapping[str, str],
) -> tuple[c.PlanMade, Sequence[Event]]:
    """Store any plan, unless another attempt was quicker: then its plan is the answer."""
    task = await locked_for_planning(session, plan.task_id, fence)
    if made := made_before(task, await repository.plans(session, task.id)):
        return made, ()
    await repository.add_document(session, plan)
    await lease.note_deaths(session, task.id, 0)
    for item in feedback:
        await repository.answer_feedback(session, item.id, answers[str(item.id)], plan.id)
    if plan.status != repository.ACCEPTED:
        return c.PlanMade(plan.hash), ()
    await repository.advance(session, task, d.acceptance_after(fence), stage=d.EXECUTING, phase=d.PHASE_EXECUTING)
    return c.PlanMade(plan.hash, accepted=True), await timeline.append(session, task.id, _accepted(plan))


def _accepted(plan: NewDocument) -> list[NewEvent]:
    return [
        events.plan(plan.id, plan.version, plan.hash),
        events.accepted(plan.id, plan.hash, d.BY_POLICY),
        events.stage(d.EXECUTING),
    ]
