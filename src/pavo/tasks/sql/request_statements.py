"""What the API asks PostgreSQL at nearly every request, each one statement on a kept connection.

Creation has a long way too, `create_in`: for a caller who writes more in the same transaction.
"""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnections
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.tasks.sql.repository import PlanHead, TaskUsage, TaskView
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent, numbered

COLUMNS: Final = (
    *("id", "organisation_id", "created_by", "title", "prompt", "agent_type", "agent_options"),
    *("step_seconds", "edits", "auto_accept"),
    *("parent_id", "stage", "phase", "workflow_id", "run_id", "generation", "transition", "error", "receipt"),
    *("created_at", "updated_at", "deleted_at"),
)
"""Of a task's row, in the order of the statement below."""

_FIND: Final = """
SELECT t.id, t.organisation_id, t.created_by, t.title, t.prompt, t.agent_type, t.agent_options,
    t.step_seconds, t.edits, t.auto_accept, t.parent_id, t.stage, t.phase, t.workflow_id, t.run_id, t.generation,
    t.transition, t.error, t.receipt, t.created_at, t.updated_at, t.deleted_at,
    e.step, e.progress, e.total, e.plan_step, e.waiting, e.code,
    CASE WHEN t.stage IN ('PLANNING', 'EXECUTING') AND e.retry_epoch = e.epoch THEN e.retry_at END,
    u.calls, u.tokens_in, u.tokens_out, u.cost, u.tokens_cached, u.unpriced, u.lost, u.seconds, w.tools + c.tools,
    w.steps + CASE WHEN e.opened_at IS NULL THEN 0 ELSE greatest(0, e.step - e.opened_step) END,
    w.seconds + CASE WHEN e.opened_at IS NULL THEN 0
        ELSE greatest(0, extract(epoch FROM pavo_now() - e.opened_at)) END::double precision,
    p.id, p.version, p.hash, p.status, p.steps
FROM tasks t
JOIN executions e ON e.task_id = t.id
LEFT JOIN LATERAL (
    SELECT d.id, d.version, d.hash, d.status, jsonb_array_length(d.content -> 'steps') AS steps FROM documents d
    WHERE d.task_id = t.id AND d.kind = 'PLAN' AND d.status <> 'DRAFT' ORDER BY d.version DESC LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS calls, coalesce(sum(c.tokens_in), 0)::bigint AS tokens_in,
        coalesce(sum(c.tokens_out), 0)::bigint AS tokens_out,
        least(coalesce(sum(c.cost), 0), 9223372036854775807)::bigint AS cost,
        coalesce(sum(c.tokens_cached), 0)::bigint AS tokens_cached, count(*) FILTER (WHERE c.cost IS NULL) AS unpriced,
        count(*) FILTER (WHERE c.state = 'lost') AS lost, coalesce(sum(c.seconds), 0) AS seconds
    FROM usage_calls c WHERE c.task_id = t.id
) u ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(a.steps), 0)::bigint AS steps, coalesce(sum(a.tools), 0)::bigint AS tools,
        coalesce(sum(a.seconds), 0) AS seconds
    FROM usage_attempts a WHERE a.task_id = t.id
) w ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS tools FROM tool_calls c
    WHERE c.subject_id = t.id AND c.state NOT IN ('asked', 'denied', 'same')
) c ON true
WHERE t.id = %(task_id)s AND t.deleted_at IS NULL
"""

_CREATE: Final = (
    """
WITH created AS (
    INSERT INTO tasks (id, organisation_id, created_by, title, prompt, agent_type, agent_options,
        step_seconds, auto_accept, stage, phase, workflow_id)
    VALUES (%(id)s, %(organisation_id)s, %(created_by)s, %(title)s, %(prompt)s, %(agent_type)s,
        CAST(%(agent_options)s AS jsonb), %(step_seconds)s, %(auto_accept)s, %(stage)s, %(phase)s, %(workflow_id)s)
    RETURNING id, created_at, updated_at
), execution AS (
    INSERT INTO executions (task_id) SELECT id FROM created RETURNING task_id
), """
    + timeline.BEGIN
    + """
SELECT begun.at, created.created_at, created.updated_at FROM begun, execution, created
"""
)

_NOTE_RUN: Final = """
UPDATE tasks SET run_id = %(run_id)s WHERE id = %(task_id)s AND transition = 0 RETURNING id
"""


async def create_in(session: AsyncSession, task: TaskRow, first: NewEvent) -> list[Event]:
    """As `RequestStatements.create_task`, in the caller's transaction (one that claims an Idempotency-Key, say)."""
    session.add(task)
    await session.flush()
    session.add(ExecutionRow(task_id=task.id))
    return await timeline.create(session, task.id, first)


class RequestStatements:
    """Without SQLAlchemy, which costs more than PostgreSQL does."""

    def __init__(self, connections: KeptConnections) -> None:
        self._connections = connections

    async def find_task(self, task_id: uuid.UUID) -> TaskView | None:
        """The task, unless it is unknown or deleted."""
        rows = await self._connections.rows(_FIND, {"task_id": task_id})
        if not rows:
            return None
        count = len(COLUMNS)
        row = TaskRow(**dict(zip(COLUMNS, rows[0], strict=False)))
        step, progress, total, plan_step, waiting, code, retry_at, *more = rows[0][count:]
        used, plan = TaskUsage(*more[:11]), more[11:]
        head = PlanHead(*plan) if plan[0] else None
        beside = {"plan_step": plan_step, "waiting": waiting, "code": code, "retry_at": retry_at}
        return TaskView(row, step, progress, total, head, **beside, usage=used)

    async def create_task(self, task: TaskRow, first: NewEvent) -> list[Event]:
        """Store a new task with its execution and the beginning of its timeline."""
        values: dict[str, Any] = {
            name: getattr(task, name)
            for name in ("id", "organisation_id", "created_by", "title", "prompt", "agent_type", "auto_accept")
        }
        values |= {name: getattr(task, name) for name in ("step_seconds", "stage", "phase", "workflow_id")}
        values["agent_options"] = encode_text(task.agent_options)
        rows = await self._connections.rows(_CREATE, values | timeline.begin_values(first))
        at: datetime
        at, task.created_at, task.updated_at = rows[0]
        return numbered(task.id, 1, at, [first])

    async def note_run(self, task_id: uuid.UUID, run_id: str) -> None:
        """Note the run that was just started, unless it has already written itself."""
        await self._connections.rows(_NOTE_RUN, {"task_id": task_id, "run_id": run_id})
