"""An attempt ends in order: it gives its lease back, or ends the task with its report.

One way only: whoever holds the lease knows the case, and where a statement matches no row the lease is lost.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text, update

from pavo.agents.delegating.delegation import Delegation
from pavo.gates import repository as gates
from pavo.gates.domain import APPROVAL, OPEN, QUESTION, Gate, NewGate, Subject
from pavo.kit.ids import new_id
from pavo.kit.json_values import encode_text
from pavo.tasks import events
from pavo.tasks.domain import Fence, content_hash
from pavo.tasks.sql import delegations, repository
from pavo.tasks.sql.lease import Beginnings, Lease
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.transitions.delegate import delegate
from pavo.tasks.sql.transitions.writer import TaskWriter, document_values
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent, numbered, payload
from pavo.usage.asking import about_budget

MAX_WAITING: Final = 300
"""Characters of what a task waits for: it is part of its status."""

# `timeline_append` is in migration 0002; that of 0001 is superseded.
_CLOSE: Final = """
WITH closed AS (
    UPDATE executions e SET holder = NULL, deaths = e.deaths + %(died)s,
        failure = coalesce(CAST(%(failure)s AS jsonb), e.failure), begun_at = %(begun_at)s, beginnings = %(beginnings)s,
        retry_at = CAST(%(retry_at)s AS timestamptz), retry_epoch = e.epoch
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
    SET stage = 'DONE', phase = 'over', updated_at = pavo_now(),
        run_id = %(run_id)s, transition = %(transition)s
    FROM closed c WHERE t.id = c.task_id
    RETURNING t.id
), rested AS (
    UPDATE gates g SET state = 'paused' FROM moved m WHERE g.subject_id = m.id AND g.state = 'open'
), stored AS (
    INSERT INTO documents (id, task_id, kind, version, status, hash, content, body)
    SELECT %(id)s, m.id, %(kind)s, %(version)s, %(status)s, %(hash)s, CAST(%(content)s AS jsonb), %(body)s FROM moved m
    RETURNING task_id
)
SELECT a.first_seq, a.at FROM stored s, LATERAL timeline_append(s.task_id, CAST(%(events)s AS jsonb), true) a
"""

_TELL_WEBHOOKS: Final = text("""
SELECT webhook_enqueue(t.organisation_id, 'task.waiting', t.id, jsonb_build_object(
    'organisation_id', t.organisation_id, 'task_id', t.id, 'agent_type', t.agent_type, 'created_by', t.created_by,
    'stage', t.stage, 'previous_stage', t.stage, 'reason', CAST(:reason AS text), 'gate_id', CAST(:gate_id AS uuid)
)) FROM tasks t WHERE t.id = :task_id
""")
"""As the trigger does that tells of a review (migration 0010): in the same transaction, ids alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an attempt ends for."""

    asked: Sequence[NewGate]
    delegations: Sequence[Delegation]
    subject: Subject
    """Whose delegations they are."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What the run waits for."""

    gates: Sequence[Gate]
    """As they stand."""
    children: Sequence[uuid.UUID]
    """Tasks that were delegated, now or before."""
    waits: bool
    """Whether none of the tasks is over."""
    recorded: Sequence[Event]
    """To be published."""


_REASONS: Final = {APPROVAL: APPROVAL}
"""What receivers are told that a task waits for, by the gate's kind; else a question."""


async def close_lease(
    writer: TaskWriter,
    lease: Lease,
    new: Sequence[NewEvent],
    *,
    died: bool = False,
    failure: Mapping[str, str] | None = None,
    retry_at: datetime | None = None,
    beginnings: Beginnings | None = None,
) -> tuple[int, Sequence[Event]] | None:
    """Give the lease back; the deaths at the coming step and the events to publish, or None when the lease was lost.

    Args:
        failure: type, cause and remedy of the agent's failure, until the workflow decides to show it.
        retry_at: when it is tried again.
        beginnings: where the agent ended by itself and is to begin again: with that one.
    """
    values = {"task_id": lease.task_id, "epoch": lease.epoch, "died": int(died), "events": payload(new)}
    told, again = encode_text(dict(failure)) if failure else None, beginnings or lease.beginnings
    more = {"failure": told, "retry_at": retry_at, "begun_at": again.at, "beginnings": again.count}
    rows = await writer.connections.rows(_CLOSE, {**values, **more})
    if not rows:
        return None
    first_seq, at, deaths = rows[0]
    return deaths, numbered(lease.task_id, first_seq, at, new)


async def wait_for_others(
    writer: TaskWriter, lease: Lease, subject: Subject, wanted: Wanted, new: Sequence[NewEvent]
) -> Begun | None:
    """Give the lease back, ask people and make the tasks that are delegated, all or nothing; None when the lease was
    lost.

    A question may be answered already, or a task over: while the attempt lasted, or since an attempt before it.
    """
    async with writer.database.transaction() as session:
        # As every transition does: the task first, so that no stop comes between.
        parent = (await session.scalars(select(TaskRow).where(TaskRow.id == lease.task_id).with_for_update())).one()
        closing = (
            update(ExecutionRow)
            .where(ExecutionRow.task_id == lease.task_id, ExecutionRow.epoch == lease.epoch)
            .values(holder=None, retry_at=None, begun_at=lease.beginnings.at, beginnings=lease.beginnings.count)
            .returning(ExecutionRow.task_id)
        )
        if (await session.scalars(closing)).one_or_none() is None:
            return None
        asked = [await about_budget(session, subject.organisation_id, gate) for gate in wanted.asked]
        found = [await gates.open_gate(session, subject, gate) for gate in asked]
        # What an attempt before this one asked, and this one does not: nobody waits for that any more.
        await gates.pause(session, subject.id, but=[gate.id for gate, _ in found])
        new_ones = [gate for gate, is_new in found if is_new]
        opened = [events.gate_opened(gate) for gate in new_ones]
        for gate in new_ones:
            told = {"gate_id": gate.id, "task_id": lease.task_id, "reason": _REASONS.get(gate.kind, QUESTION)}
            await session.execute(_TELL_WEBHOOKS, told)
        made = await delegate(session, parent, wanted.subject, wanted.delegations)
        if made.waits and all(gate.state == OPEN for gate, _ in found):
            what = ", ".join([*(gate.key for gate, _ in found), *map(delegations.waiting_for, made.ids)])[:MAX_WAITING]
            await session.execute(
                update(ExecutionRow).where(ExecutionRow.task_id == lease.task_id).values(waiting=what)
            )
        recorded = await timeline.append(session, lease.task_id, [*new, *opened, *made.told])
    return Begun([gate for gate, _ in found], made.ids, made.waits, [*recorded, *made.recorded])


def report_of(lease: Lease, body: str) -> NewDocument:
    """The report of an attempt that ends with it."""
    content = {"body": body}
    return NewDocument(
        id=new_id(),
        task_id=lease.task_id,
        kind=repository.REPORT,
        version=lease.epoch,
        status=repository.FINAL,
        hash=content_hash(repository.REPORT, lease.epoch, content),
        content=content,
        body=body,
    )


async def finish(
    writer: TaskWriter, lease: Lease, fence: Fence, report: NewDocument, new: Sequence[NewEvent]
) -> Sequence[Event] | None:
    """Give the lease back, store the report and show DONE, all or nothing; None when the lease was lost."""
    values = {**document_values(report), "task_id": lease.task_id, "epoch": lease.epoch, **fence.columns()}
    rows = await writer.connections.rows(_FINISH, {**values, "events": payload(new)})
    if not rows:
        return None
    first_seq, at = rows[0]
    return numbered(lease.task_id, first_seq, at, new, close=True)
