"""Versions of flows as they are written, and the beginning of runs of them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict
from pavo.flows.definition.definition import Definition
from pavo.flows.ledger import events
from pavo.flows.ledger.models import FlowReleaseRow, FlowRunRow, FlowVersionRow
from pavo.flows.ledger.records import Declared, Parent
from pavo.kit.ids import new_id
from pavo.kit.json_values import encode_text
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event

# One at a time for each name: numbers have no gaps, and what is current is what was said last.
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 39))")


def declared(definition: Definition) -> Declared:
    """A flow as it is kept."""
    return Declared(definition.flow.flow, definition.hash, encode_text(definition.value))


async def keep(session: AsyncSession, organisation_id: uuid.UUID, flow: Declared) -> None:
    """Have what a flow says, under its hash; what is there already stays."""
    values = {
        "id": new_id(),
        "organisation_id": organisation_id,
        "name": flow.name,
        "hash": flow.hash,
        "definition": flow.text,
    }
    await session.execute(insert_or_not(FlowVersionRow).values(values).on_conflict_do_nothing())


async def publish(
    session: AsyncSession, organisation_id: uuid.UUID, flow: Declared, who: uuid.UUID | None, reason: str = ""
) -> tuple[int, bool]:
    """Make it the next version of its name, and the current one. One that is published already keeps its number, and
    what is current stays: whoever repeats a request undoes nothing that others did meanwhile.

    Returns: the number, from 1, and whether it is new.
    """
    await keep(session, organisation_id, flow)
    await lock_name(session, organisation_id, flow.name)
    of_it = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.hash == flow.hash)
    number = (await session.scalars(select(FlowVersionRow.number).where(*of_it))).one()
    if number is not None:
        return number, False
    named = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.name == flow.name)
    last = (await session.scalars(select(func.max(FlowVersionRow.number)).where(*named))).one()
    number = (last or 0) + 1
    values = {"number": number, "published_by": who, "published_at": func.pavo_now()}
    await session.execute(update(FlowVersionRow).where(*of_it).values(values))
    await release(session, organisation_id, flow.name, number, who, reason, rolled_back=False)
    return number, True


async def lock_name(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> None:
    """Keep others from publishing under this name, and from changing which version is current, until the end of the
    transaction."""
    await session.execute(_ONE_AT_A_TIME, {"key": f"{organisation_id}/{name}"})


async def release(
    session: AsyncSession,
    organisation_id: uuid.UUID,
    name: str,
    number: int,
    who: uuid.UUID | None,
    reason: str,
    *,
    rolled_back: bool,
) -> None:
    """Make a version the current one; the name is locked."""
    of_it = (FlowReleaseRow.organisation_id == organisation_id, FlowReleaseRow.name == name)
    last = (await session.scalars(select(func.max(FlowReleaseRow.place)).where(*of_it))).one()
    values = {"organisation_id": organisation_id, "name": name, "place": (last or 0) + 1, "number": number}
    values |= {"by": who, "reason": reason, "rolled_back": rolled_back}
    await session.execute(insert(FlowReleaseRow).values(values))


async def deprecate(
    session: AsyncSession, organisation_id: uuid.UUID, name: str, number: int, reason: str | None
) -> None:
    """Have no new run of a version; those in progress go on. What is so already keeps its moment and its reason.

    Args:
        reason: None: new runs are begun again.
    """
    of_it = (
        FlowVersionRow.organisation_id == organisation_id,
        FlowVersionRow.name == name,
        FlowVersionRow.number == number,
    )
    if reason is None:
        values: dict[str, Any] = {"deprecated_at": None, "deprecated_reason": ""}
    else:
        of_it = (*of_it, FlowVersionRow.deprecated_at.is_(None))
        values = {"deprecated_at": func.pavo_now(), "deprecated_reason": reason}
    await session.execute(update(FlowVersionRow).where(*of_it).values(values))


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
    program: str | None = None,
    parent: Parent | None = None,
) -> Sequence[Event]:
    """Write a run down, before any engine hears of it. Done twice, it is the same run.

    Args:
        program: that alone executes it; None: the workers do.
        parent: of which run it is a step.

    Returns: what is to be published after the commit.

    Raises:
        Conflict: the id is another run's, or the version is deprecated.
    """
    await keep(session, organisation_id, declared(definition))
    await _check_deprecated(session, organisation_id, definition)
    values: dict[str, Any] = {"id": run_id, "organisation_id": organisation_id, "engine": engine, **_below(parent)}
    values |= {"flow": definition.flow.flow, "hash": definition.hash, "inputs": dict(inputs), "created_by": who}
    values |= {"fallback": fallback, "program": program, "ends_by": func.pavo_now() + definition.flow.limits.duration}
    if await _add_run(session, values):
        first = events.run_started(definition.flow.flow, definition.hash, engine, fallback=fallback, parent=parent)
        return await timeline.create(session, run_id, first)
    return []


def _below(parent: Parent | None) -> Mapping[str, Any]:
    if parent is None:
        return {}
    of_it = {"parent_id": parent.run_id, "parent_step": parent.step, "parent_item": parent.item}
    return {**of_it, "depth": parent.depth}


async def _add_run(session: AsyncSession, values: Mapping[str, Any]) -> bool:
    """Whether it is new.

    Raises:
        Conflict: the id is another run's.
    """
    adding = insert_or_not(FlowRunRow).values(dict(values)).on_conflict_do_nothing().returning(FlowRunRow.id)
    if (await session.scalars(adding)).one_or_none() is not None:
        return True
    same = [getattr(FlowRunRow, name) == values[name] for name in ("id", "hash", "organisation_id", "inputs")]
    if (await session.scalars(select(FlowRunRow.id).where(*same))).one_or_none() is None:
        raise Conflict(f"The id {values['id']} is another run's.", field="id", remedy="Give a new one.")
    return False


async def _check_deprecated(session: AsyncSession, organisation_id: uuid.UUID, definition: Definition) -> None:
    """Whoever deprecates it waits until this transaction has ended, or this one sees it."""
    of_it = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.hash == definition.hash)
    query = select(FlowVersionRow.number, FlowVersionRow.deprecated_reason, FlowVersionRow.deprecated_at)
    found = (await session.execute(query.where(*of_it).with_for_update(read=True))).one()
    if found.deprecated_at is None:
        return
    told = f"Version {found.number} of {definition.flow.flow} is deprecated"
    why = f": {found.deprecated_reason}" if found.deprecated_reason else ""
    remedy = f"Run another version; see: pavo flow versions {definition.flow.flow}"
    raise Conflict(f"{told}{why}.".replace("..", "."), field="flow", remedy=remedy)
