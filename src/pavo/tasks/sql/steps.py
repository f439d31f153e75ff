"""Steps under a lease: one statement for those of many tasks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pavo.agents.contract import JSON
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


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database answered for one step."""

    first_seq: int
    at: datetime
    stop_hint: bool
    asked_to_move: int | None = None


# `timeline_append` is in migration 0002; that of 0001 is superseded.
_RECORD: Final = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        CAST(%(task_ids)s AS uuid[]),
        CAST(%(epochs)s AS bigint[]), CAST(%(steps)s AS int[]), CAST(%(progress)s AS int[]),
        CAST(%(totals)s AS int[]), CAST(%(plan_steps)s AS int[]),
        CAST(%(checkpoints)s AS text[]), CAST(%(events)s AS text[])
    ) AS g(task_id, epoch, step, progress, total, plan_step, checkpoint, events)
), recorded AS (
    UPDATE executions e
    SET step = g.step, progress = g.progress, total = g.total, plan_step = coalesce(g.plan_step, e.plan_step),
        checkpoint = CAST(g.checkpoint AS jsonb), deaths = 0
    FROM given g
    WHERE e.task_id = g.task_id AND e.epoch = g.epoch AND e.step = g.step - 1
    RETURNING e.task_id, e.epoch, e.stop_hint, e.asked_to_move, g.events
)
SELECT r.task_id, r.epoch, r.stop_hint, r.asked_to_move, a.first_seq, a.at
FROM recorded r, LATERAL timeline_append(r.task_id, CAST(r.events AS jsonb)) a
"""


async def record_steps(
    connection: KeptConnection, records: Sequence[StepRecord]
) -> dict[tuple[uuid.UUID, int], Recorded]:
    """Record steps of different tasks, each under its own lease, in one statement that is its own transaction.

    Keyed by (task, epoch). What is missing from the answer lost its lease; nothing of its step was written.
    """
    values = {
        "task_ids": [r.task_id for r in records],
        "epochs": [r.epoch for r in records],
        "steps": [r.step for r in records],
        "progress": [r.progress for r in records],
        "totals": [r.total for r in records],
        "plan_steps": [r.plan_step for r in records],
        "checkpoints": [r.checkpoint for r in records],
        "events": [payload(r.events) for r in records],
    }
    rows = await connection.rows(_RECORD, values)  # commits by itself: the steps are durable here
    return {(task_id, epoch): Recorded(seq, at, hint, move) for task_id, epoch, hint, move, seq, at in rows}


def checkpoint_text(checkpoint: JSON) -> str:
    """A checkpoint as JSON text.

    Raises:
        AgentRefused: it is none. The agent's host refuses it before; this is for whatever it may let pass.
    """
    try:
        return encode_text(checkpoint)
    except (TypeError, RecursionError) as error:
        raise AgentRefused(f"The checkpoint cannot be recorded: {error}.") from error
