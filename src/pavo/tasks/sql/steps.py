"""Steps under a lease: one statement for those of many tasks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pavo.agents.contract import JSON, Step
from pavo.errors import AgentRefused
from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnection
from pavo.timeline.domain import NewEvent, payload


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step on its way into the database."""

    task_id: uuid.UUID
    epoch: int
    step: int
    progress: int
    total: int | None
    plan_step: int | None
    checkpoint: str
    """JSON text."""
    events: Sequence[NewEvent]
    version: int = 0
    """Of the plan that is worked off."""
    messages: Sequence[str] = ()
    """What is added to the task's transcript, each as JSON text."""


def progress_of(step: Step, number: int) -> int:
    """What is shown as progress after the step of this number."""
    return step.progress if step.progress is not None else number


def step_record(
    task_id: uuid.UUID, epoch: int, number: int, step: Step, events: Sequence[NewEvent], version: int
) -> StepRecord:
    """The step of this number as it is written.

    Args:
        version: of the plan that is worked off.

    Raises:
        AgentRefused: it cannot be.
    """
    return StepRecord(
        task_id=task_id,
        epoch=epoch,
        step=number,
        progress=progress_of(step, number),
        total=step.total,
        plan_step=step.plan_step,
        checkpoint=checkpoint_text(step.checkpoint),
        events=events,
        version=version,
        messages=[_text(message, "A message") for message in step.messages],
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database answered for one step."""

    first_seq: int
    at: datetime
    stop_hint: bool
    asked_to_move: int | None = None


_UPDATE: Final = """
    UPDATE executions e
    SET step = g.step, progress = g.progress, total = g.total, plan_step = coalesce(g.plan_step, e.plan_step),
        checkpoint = CAST(g.checkpoint AS jsonb), deaths = 0
    FROM given g
    WHERE e.task_id = g.task_id AND e.epoch = g.epoch AND e.step = g.step - 1
    RETURNING e.task_id, e.epoch, e.stop_hint, e.asked_to_move, g.events"""

# `timeline_append` is in migration 0002; that of 0001 is superseded.
_ANSWER: Final = """
SELECT r.task_id, r.epoch, r.stop_hint, r.asked_to_move, a.first_seq, a.at
FROM recorded r, LATERAL timeline_append(r.task_id, CAST(r.events AS jsonb)) a
"""

_RECORD: Final = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(%(task_ids)s AS uuid[]),
        CAST(%(epochs)s AS bigint[]), CAST(%(steps)s AS int[]), CAST(%(progress)s AS int[]),
        CAST(%(totals)s AS int[]), CAST(%(plan_steps)s AS int[]),
        CAST(%(checkpoints)s AS text[]), CAST(%(events)s AS text[])
    ) AS g(task_id, epoch, step, progress, total, plan_step, checkpoint, events)
), recorded AS ({_UPDATE}
)
{_ANSWER}"""

# The same where any step has messages. Whoever may write the step is the only one who adds to its task's transcript,
# and began after all that was added before: so the last position that this statement sees is the last one.
_RECORD_WITH_MESSAGES: Final = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(%(task_ids)s AS uuid[]),
        CAST(%(epochs)s AS bigint[]), CAST(%(steps)s AS int[]), CAST(%(progress)s AS int[]),
        CAST(%(totals)s AS int[]), CAST(%(plan_steps)s AS int[]),
        CAST(%(checkpoints)s AS text[]), CAST(%(events)s AS text[]), CAST(%(versions)s AS int[])
    ) WITH ORDINALITY AS g(task_id, epoch, step, progress, total, plan_step, checkpoint, events, version, number)
), recorded AS ({_UPDATE}, g.step, g.version, g.number
), lengths AS MATERIALIZED (
    SELECT r.task_id, r.step, r.version, r.number, coalesce((
        SELECT max(t.position) FROM transcript_messages t WHERE t.subject_id = r.task_id
    ), 0) AS length
    FROM recorded r
), added AS (
    INSERT INTO transcript_messages (subject_id, position, version, step, body, bytes)
    SELECT l.task_id, l.length + m.place, l.version, l.step, m.body, octet_length(m.body)
    FROM unnest(CAST(%(owners)s AS bigint[]), CAST(%(places)s AS int[]), CAST(%(bodies)s AS text[]))
        AS m(owner, place, body)
    JOIN lengths l ON l.number = m.owner
)
{_ANSWER}"""


async def record_steps(
    connection: KeptConnection, records: Sequence[StepRecord]
) -> dict[tuple[uuid.UUID, int], Recorded]:
    """Record steps of different tasks, each under its own lease, in one statement that is its own transaction.

    Keyed by (task, epoch). What is missing from the answer lost its lease; nothing of its step was written.
    """
    values: dict[str, Any] = {
        "task_ids": [r.task_id for r in records],
        "epochs": [r.epoch for r in records],
        "steps": [r.step for r in records],
        "progress": [r.progress for r in records],
        "totals": [r.total for r in records],
        "plan_steps": [r.plan_step for r in records],
        "checkpoints": [r.checkpoint for r in records],
        "events": [payload(r.events) for r in records],
    }
    statement = _RECORD
    if any(r.messages for r in records):
        statement, values = _RECORD_WITH_MESSAGES, values | _messages(records)
    rows = await connection.rows(statement, values)  # commits by itself: the steps are durable here
    return {(task_id, epoch): Recorded(seq, at, hint, move) for task_id, epoch, hint, move, seq, at in rows}


def _messages(records: Sequence[StepRecord]) -> dict[str, Any]:
    """What the statement takes of them: each with the number of its step in the statement, and its own in the step."""
    numbered = [
        (owner, place, body) for owner, record in enumerate(records, 1) for place, body in enumerate(record.messages, 1)
    ]
    return {
        "versions": [r.version for r in records],
        "owners": [owner for owner, _, _ in numbered],
        "places": [place for _, place, _ in numbered],
        "bodies": [body for _, _, body in numbered],
    }


def checkpoint_text(checkpoint: JSON) -> str:
    """A checkpoint as JSON text.

    Raises:
        AgentRefused: it is none. The agent's host refuses it before; this is for whatever it may let pass.
    """
    return _text(checkpoint, "The checkpoint")


def _text(value: JSON, what: str) -> str:
    try:
        return encode_text(value)
    except (TypeError, RecursionError) as error:
        raise AgentRefused(f"{what} cannot be recorded: {error}.") from error
