"""The transitions that every task makes, each one statement on a kept connection and so its own transaction.

Each is for the usual cases alone: whatever is not (another attempt planned before, somebody stopped) matches no row and
writes nothing, and the caller goes the long way, which explains it. The pair (generation, transition) and the epoch are
compared as `repository.is_new`, `is_latest` and `lease` do; tasks are locked before executions, and executions before
timelines, as everywhere.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pavo.agents.contract import Plan
from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnections
from pavo.tasks import events
from pavo.tasks.domain import Fence
from pavo.tasks.sql.assignment import Assignment, plan_from
from pavo.tasks.sql.lease import Lease
from pavo.timeline.domain import Event, NewEvent, numbered, payload

WORKER_LOST: Final = "the worker that executed it was lost"
"""The cause of `recovered` when a process died while it held the lease."""

_BEGIN_PLAN: Final = """
WITH moved AS (
    UPDATE tasks t
    SET stage = 'PLANNING', status = 'RUNNING', phase = 'planning', error = NULL, updated_at = now(),
        run_id = %(run_id)s, generation = %(generation)s, transition = %(transition)s
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'INIT'
      AND (t.generation, t.transition) < (%(generation)s, %(transition)s)
      AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.task_id = t.id)
    RETURNING t.id, t.organisation_id, t.title, t.prompt, t.agent_type, t.agent_options
)
SELECT a.first_seq, a.at, m.* FROM moved m, LATERAL timeline_append(m.id, CAST(%(events)s AS jsonb)) a
"""

_ACCEPT_BY_POLICY: Final = """
WITH moved AS (
    UPDATE tasks t
    SET stage = 'EXECUTING', status = 'RUNNING', phase = 'executing', updated_at = now(),
        run_id = %(run_id)s, transition = %(transition)s + 1
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL
      AND t.generation = %(generation)s AND t.transition = %(transition)s
      AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.task_id = t.id)
    RETURNING t.id
), stored AS (
    INSERT INTO documents (id, task_id, kind, version, status, hash, content, body, accepted_by, accepted_at)
    SELECT %(id)s, m.id, %(kind)s, %(version)s, %(status)s, %(hash)s, CAST(%(content)s AS jsonb), %(body)s,
        %(accepted_by)s, %(accepted_at)s
    FROM moved m
    RETURNING task_id
), leased AS (
    UPDATE executions e SET epoch = e.epoch + 1, holder = %(holder)s FROM moved m WHERE e.task_id = m.id
    RETURNING e.task_id, e.epoch, e.step, e.checkpoint, e.deaths, e.stop_hint
)
SELECT a.first_seq, a.at, l.epoch, l.step, l.checkpoint, l.deaths, l.stop_hint
FROM leased l, stored s, LATERAL timeline_append(s.task_id, CAST(%(events)s AS jsonb)) a
"""

_ACCEPTED: Final = """
SELECT d.hash FROM tasks t JOIN documents d ON d.task_id = t.id
WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'EXECUTING'
  AND t.generation = %(generation)s AND t.transition = %(transition)s + 1
  AND d.kind = 'PLAN' AND d.status = 'ACCEPTED'
"""

_EXECUTING: Final = """
WITH task AS (
    SELECT t.id, t.organisation_id, t.title, t.prompt, t.agent_type, t.agent_options FROM tasks t
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'EXECUTING' AND t.generation = %(generation)s
    FOR SHARE
), plan AS (
    SELECT d.version, d.hash, d.content FROM documents d JOIN task t ON d.task_id = t.id
    WHERE d.kind = 'PLAN' AND d.hash = %(plan_hash)s AND d.status = 'ACCEPTED'
)
"""
"""The task that is executing in this generation, and its accepted plan; begins a statement."""

_OPEN: Final = (
    _EXECUTING
    + """, leased AS (
    UPDATE executions e SET epoch = e.epoch + 1, holder = %(holder)s FROM task t, plan p
    WHERE e.task_id = t.id AND NOT e.stop_hint AND (%(ended)s OR e.holder IS NULL OR e.holder = %(holder)s)
    RETURNING e.epoch, e.step, e.checkpoint, e.deaths, e.stop_hint
)
SELECT NULL, NULL, l.*, p.*, t.* FROM leased l, plan p, task t
"""
)

_TAKE_OVER: Final = (
    _EXECUTING
    + """, held AS (
    SELECT e.* FROM executions e, task t, plan p WHERE e.task_id = t.id AND e.holder <> %(holder)s FOR UPDATE OF e
), leased AS (
    UPDATE executions e SET epoch = h.epoch + 1, holder = %(holder)s, deaths = h.deaths + 1, stop_hint = false
    FROM held h WHERE e.task_id = h.task_id
    RETURNING e.epoch, e.step, e.checkpoint, e.deaths, h.stop_hint
)
SELECT a.first_seq, a.at, l.*, p.*, t.* FROM leased l, plan p, task t, LATERAL timeline_append(
    t.id, jsonb_build_array(jsonb_build_object('type', 'recovered', 'step', l.step, 'cause', %(cause)s::text))
) a
"""
)

_CLOSE: Final = """
WITH closed AS (
    UPDATE executions e SET holder = NULL, deaths = e.deaths + %(died)s,
        failure = coalesce(CAST(%(failure)s AS jsonb), e.failure)
    WHERE e.task_id = %(task_id)s AND e.epoch = %(epoch)s RETURNING e.task_id, e.deaths
)
SELECT a.first_seq, a.at, c.deaths
FROM closed c, LATERAL timeline_append(c.task_id, CAST(%(events)s AS jsonb)) a
"""

_FINISH: Final = """
WITH task AS (
    SELECT t.id FROM tasks t
    WHERE t.id = %(task_id)s AND t.deleted_at IS NULL AND t.stage = 'EXECUTING'
      AND t.generation = %(generation)s AND t.transition < %(transition)s
    FOR UPDATE
), closed AS (
    UPDATE executions e SET holder = NULL FROM task t WHERE e.task_id = t.id AND e.epoch = %(epoch)s
    RETURNING e.task_id
), moved AS (
    UPDATE tasks t
    SET stage = 'DONE', status = 'COMPLETED', phase = 'over', updated_at = now(),
        run_id = %(run_id)s, transition = %(transition)s
    FROM closed c WHERE t.id = c.task_id
    RETURNING t.id
), stored AS (
    INSERT INTO documents (id, task_id, kind, version, status, hash, content, body)
    SELECT %(id)s, m.id, %(kind)s, %(version)s, %(status)s, %(hash)s, CAST(%(content)s AS jsonb), %(body)s FROM moved m
    RETURNING task_id
)
SELECT a.first_seq, a.at FROM stored s, LATERAL timeline_append(s.task_id, CAST(%(events)s AS jsonb), true) a
"""


class Statements:
    """The usual transitions of planning and execution.

    Args:
        holder: names this process in leases, so that a successor can tell a death from an error.
    """

    def __init__(self, connections: KeptConnections, holder: str) -> None:
        self._connections = connections
        self.holder = holder

    async def begin_plan(
        self, task_id: uuid.UUID, fence: Fence, new: Sequence[NewEvent]
    ) -> tuple[Assignment, Sequence[Event]] | None:
        """Show PLANNING for a task that was just started."""
        values = {"task_id": task_id, **_fence(fence), "events": payload(new)}
        rows = await self._connections.rows(_BEGIN_PLAN, values)
        if not rows:
            return None
        first_seq, at, *assignment = rows[0]
        return Assignment(*assignment), numbered(task_id, first_seq, at, new)

    async def accept_by_policy(
        self, task_id: uuid.UUID, fence: Fence, plan: Mapping[str, Any], new: Sequence[NewEvent]
    ) -> tuple[Lease, Sequence[Event]] | None:
        """Store the first plan as accepted and open the lease under which it is executed; takes the next number."""
        values = {**_document(plan), "task_id": task_id, **_fence(fence)}
        values |= {"events": payload(new), "holder": self.holder}
        rows = await self._connections.rows(_ACCEPT_BY_POLICY, values)
        if not rows:
            return None
        first_seq, at, epoch, step, checkpoint, deaths, stop_hint = rows[0]
        lease = Lease(task_id, epoch, step, checkpoint, deaths, took_over=False, stop_hint=stop_hint)
        return lease, numbered(task_id, first_seq, at, new)

    async def accepted_plan(self, task_id: uuid.UUID, fence: Fence) -> str | None:
        """The hash of the plan that an attempt before stored under this fence, by policy, before it died."""
        rows = await self._connections.rows(_ACCEPTED, {"task_id": task_id, **_fence(fence)})
        return rows[0][0] if rows else None

    async def open_lease(
        self, task_id: uuid.UUID, fence: Fence, plan_hash: str, *, ended: bool = False
    ) -> tuple[Lease, Assignment, Plan, Sequence[Event]] | None:
        """Raise the epoch, after an attempt that ended in order or one that died; see `lease.open_lease`."""
        values = {"task_id": task_id, **_fence(fence), "plan_hash": plan_hash, "holder": self.holder}
        rows = await self._connections.rows(_OPEN, {**values, "ended": ended})
        took_over = not rows and not ended
        if took_over:
            rows = await self._connections.rows(_TAKE_OVER, {**values, "cause": WORKER_LOST})
        if not rows:
            return None
        first_seq, at, epoch, step, checkpoint, deaths, stop_hint, version, content_hash, content, *assignment = rows[0]
        lease = Lease(task_id, epoch, step, checkpoint, deaths, took_over, stop_hint)
        new = numbered(task_id, first_seq, at, [events.recovered(step, WORKER_LOST)]) if took_over else []
        return lease, Assignment(*assignment), plan_from(version, content_hash, content), new

    async def close_lease(
        self, lease: Lease, new: Sequence[NewEvent], *, died: bool = False, failure: Mapping[str, str] | None = None
    ) -> tuple[int, Sequence[Event]] | None:
        """End the attempt in order; answers the deaths at the coming step, or None when the lease was lost."""
        values = {"task_id": lease.task_id, "epoch": lease.epoch, "died": int(died), "events": payload(new)}
        told = encode_text(dict(failure)) if failure else None
        rows = await self._connections.rows(_CLOSE, {**values, "failure": told})
        if not rows:
            return None
        first_seq, at, deaths = rows[0]
        return deaths, numbered(lease.task_id, first_seq, at, new)

    async def finish(
        self, lease: Lease, fence: Fence, report: Mapping[str, Any], new: Sequence[NewEvent]
    ) -> Sequence[Event] | None:
        """End the attempt, store the report and show DONE, all or nothing; None when the lease was lost."""
        values = {**_document(report), "task_id": lease.task_id, "epoch": lease.epoch, **_fence(fence)}
        rows = await self._connections.rows(_FINISH, {**values, "events": payload(new)})
        if not rows:
            return None
        first_seq, at = rows[0]
        return numbered(lease.task_id, first_seq, at, new, close=True)


def _fence(fence: Fence) -> dict[str, Any]:
    return {"run_id": fence.run_id, "generation": fence.generation, "transition": fence.transition}


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "content": encode_text(row["content"])}
