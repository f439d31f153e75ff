"""An attempt ends with tasks that its agent delegates: they are made in the transaction that gives the lease back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.delegating.delegation import Delegation
from pavo.gates.domain import Subject
from pavo.tasks import events
from pavo.tasks.sql import delegations
from pavo.tasks.sql.models import TaskRow
from pavo.timeline.domain import Event, NewEvent


@dataclass(slots=True)
class Made:
    """The tasks, as they stand."""

    ids: list[uuid.UUID] = field(default_factory=list[uuid.UUID])
    waits: bool = True
    """Whether none of them is over, and none was beyond a limit: then the agent is to be told at once."""
    told: list[NewEvent] = field(default_factory=list[NewEvent])
    """Events of the parent's."""
    recorded: list[Event] = field(default_factory=list[Event])
    """Those of the children's, to be published."""


async def delegate(session: AsyncSession, parent: TaskRow, subject: Subject, wanted: Sequence[Delegation]) -> Made:
    """Make those that are not there yet. The parent's row is locked, and its attempt holds the lease."""
    made = Made()
    for delegation in {each.identity: each for each in wanted}.values():
        own_id = delegations.child_id(subject, delegation)
        found = await delegations.find(session, own_id)
        if found is not None:
            row, child = found
            made.waits = made.waits and await delegations.outcome(session, row, child) is None
        else:
            place = await delegations.place_of(session, parent.id, lock=True)
            if place.full() is not None:
                made.waits = False
                continue
            child, recorded = await delegations.add(session, parent, subject, delegation, place)
            made.recorded += recorded
            made.told.append(events.child_created(child.id, child.agent_type, child.title, delegation.key))
        made.ids.append(own_id)
    return made
