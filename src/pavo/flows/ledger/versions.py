"""Versions of flows, and the beginning of runs of them."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.models import FlowRunRow, FlowVersionRow
from pavo.kit.ids import new_id
from pavo.kit.json_values import encode_text


async def keep(session: AsyncSession, organisation_id: uuid.UUID, definition: Definition) -> None:
    """Have what a flow says, under its hash; what is there already stays."""
    values = {
        "id": new_id(),
        "organisation_id": organisation_id,
        "name": definition.flow.flow,
        "hash": definition.hash,
        "definition": encode_text(definition.value),
    }
    await session.execute(insert_or_not(FlowVersionRow).values(values).on_conflict_do_nothing())


async def publish(
    session: AsyncSession, organisation_id: uuid.UUID, definition: Definition, who: uuid.UUID | None
) -> int:
    """Make it the next version of its name. One that is published already keeps its number.

    Returns: the number, from 1.
    """
    await keep(session, organisation_id, definition)
    name = definition.flow.flow
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": f"{organisation_id}/{name}"})
    of_it = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.hash == definition.hash)
    number = (await session.scalars(select(FlowVersionRow.number).where(*of_it))).one()
    if number is not None:
        return number
    named = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.name == name)
    last = (await session.scalars(select(func.max(FlowVersionRow.number)).where(*named))).one()
    number = (last or 0) + 1
    values = {"number": number, "published_by": who, "published_at": func.pavo_now()}
    await session.execute(update(FlowVersionRow).where(*of_it).values(values))
    return number


async def begin_run(
    session: AsyncSession,
    run_id: uuid.UUID,
    organisation_id: uuid.UUID,
    definition: Definition,
    inputs: Mapping[str, Any],
    engine: str,
    who: uuid.UUID | None = None,
    *,
    fallback: bool = False,
) -> None:
    """Write a run down, before any engine hears of it. Done twice, it is the same run.

    Raises:
        Conflict: the id is another run's, or the version is deprecated.
    """
    await keep(session, organisation_id, definition)
    of_it = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.hash == definition.hash)
    deprecated = (await session.scalars(select(FlowVersionRow.deprecated_at).where(*of_it))).one()
    if deprecated is not None:
        raise Conflict(f"This version of {definition.flow.flow} is deprecated.", field="flow")
    values = {
        "id": run_id,
        "organisation_id": organisation_id,
        "flow": definition.flow.flow,
        "hash": definition.hash,
        "engine": engine,
        "inputs": dict(inputs),
        "created_by": who,
        "fallback": fallback,
        "ends_by": func.pavo_now() + definition.flow.limits.duration,
    }
    added = await session.scalars(
        insert_or_not(FlowRunRow).values(values).on_conflict_do_nothing().returning(FlowRunRow.id)
    )
    if added.one_or_none() is None:
        same = (FlowRunRow.id == run_id, FlowRunRow.hash == definition.hash)
        mine = (FlowRunRow.organisation_id == organisation_id, FlowRunRow.inputs == dict(inputs))
        if (await session.scalars(select(FlowRunRow.id).where(*same, *mine))).one_or_none() is None:
            raise Conflict(f"The id {run_id} is another run's.", field="id", remedy="Give a new one.")
