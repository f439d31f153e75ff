"""Runs that are steps of other runs: written down once, under the lock of the run that they belong to."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import histories, recording, versions
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.models import FlowResultRow, FlowRunRow
from pavo.flows.ledger.records import LOCAL, OVER, TEMPORAL, Parent, RunRecord
from pavo.timeline.domain import Event

MAX_DEPTH: Final = 8
"""Runs above one another, the first one not counted."""
_NAMES: Final = uuid.UUID("8e5f6b0e-3f0c-4d6e-9a55-6a1b1f2c7d93")


async def begin_child(
    session: AsyncSession,
    parent_id: uuid.UUID,
    key: ResultKey,
    attempt: int,
    definition: Definition,
    inputs: Mapping[str, Any],
) -> tuple[RunRecord, Sequence[Event]]:
    """Write down the run that a step is, on the engine of its parent. Done twice, it is one run: its id follows from
    the step and from the work that the step awaited before.

    Args:
        inputs: checked.

    Returns: the run, and what is to be published after the commit.

    Raises:
        NotFound: the parent is gone.
        Conflict: nothing waits for it (any more); it is too deep; its version is deprecated, or not for that engine.
    """
    parent = await recording.locked(session, parent_id)
    in_flight = (recording.of_key(parent_id, key), FlowResultRow.state == "running", FlowResultRow.attempt == attempt)
    before = (await session.execute(select(FlowResultRow.work_id).where(*in_flight))).one_or_none()
    if before is None or parent.state in OVER:
        raise Conflict("Nothing waits for this run any more.", field="flow")
    run_id = uuid.uuid5(_NAMES, f"{key.idempotency_key(parent_id)}#{before.work_id or ''}")
    if (await session.scalars(select(FlowRunRow.id).where(FlowRunRow.id == run_id))).one_or_none() is not None:
        return await histories.run_of(session, run_id), ()
    if parent.depth >= MAX_DEPTH:
        told = f"Runs may have {MAX_DEPTH} others above them, and this one has them."
        raise Conflict(told, field="flow", remedy="Have fewer flows begin one another.")
    told = await versions.begin_run(
        *(session, run_id, parent.organisation_id, definition, inputs, _engine(parent, definition)),
        *(parent.created_by,),
        fallback=parent.fallback and parent.engine == LOCAL,
        program=parent.program,
        parent=Parent(parent_id, key.step, key.item, parent.depth + 1),
    )
    return await histories.run_of(session, run_id), told


def _engine(parent: FlowRunRow, definition: Definition) -> str:
    steps = definition.only_on_temporal
    if parent.engine == TEMPORAL or not steps:
        return parent.engine
    told = f"The local engine cannot run {definition.flow.flow}: {', '.join(steps)[:300]} are Temporal's."
    raise Conflict(told, field="flow", remedy="Run the whole on the engine temporal.")


async def open_below(session: AsyncSession, run_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Runs below this one, at any depth, that are not over."""
    below = select(FlowRunRow.id).where(FlowRunRow.parent_id == run_id).cte("below", recursive=True)
    below = below.union_all(select(FlowRunRow.id).where(FlowRunRow.parent_id == below.c.id))
    query = select(FlowRunRow.id).where(FlowRunRow.id.in_(select(below.c.id)), FlowRunRow.state.not_in(OVER))
    return (await session.scalars(query)).all()
