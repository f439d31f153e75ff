"""The lease of one attempt, and what fences it.

How it is opened and given back: `transitions.open_lease`, `transitions.end_attempt`.
What is recorded under it: `steps`.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from sqlalchemy import Table, Text, cast, exists, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.contract import JSON
from pavo.kit.sql import Database
from pavo.runs.fence import Fence
from pavo.tasks import events
from pavo.tasks.sql.models import ExecutionRow, TaskRow
from pavo.timeline.domain import NewEvent

_EXECUTIONS: Table = ExecutionRow.__table__  # pyright: ignore[reportAssignmentType]
_TASKS: Table = TaskRow.__table__  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True, slots=True)
class Beginnings:
    """How often an agent began again at one checkpoint, each time after an end of its own."""

    at: str | None = None
    """Fingerprint of the checkpoint."""
    count: int = 0

    def after_end(self, at: str) -> "Beginnings":
        """With the one that follows an end at this checkpoint."""
        return Beginnings(at, self.count + 1 if at == self.at else 1)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to record steps, and where to go on."""

    task_id: uuid.UUID
    epoch: int
    step: int
    """How many steps are recorded."""
    checkpoint: JSON
    deaths: int
    """How often the agent ended its process in the step to come."""
    took_over: bool
    """Whether the holder before went away without ending its attempt."""
    stop_hint: bool = False
    """Whether somebody asked for a stop that no attempt has seen yet: the workflow knows whether it still holds."""
    asked_to_move: int | None = None
    """The attempt that was asked to end at its next boundary, by the number of its last write."""
    beginnings: Beginnings = Beginnings()


def change_of_code(row: ExecutionRow, code: str | None) -> list[NewEvent]:
    """What is told when an attempt with this code follows the one that the row records; None: it is not known."""
    if row.code is None or code is None or row.code == code:
        return []
    return [events.code_changed(row.step, row.code, code)]


HOLDS: Final[LiteralString] = "attempt_holds(%(subject)s, %(epoch)s, false)"
"""As `holds`, within another slice's statement; the function is in migration 0035."""
WORKS: Final[LiteralString] = "attempt_holds(%(subject)s, %(epoch)s, true)"
"""The same, `working`."""


async def holds(session: AsyncSession, task_id: uuid.UUID, epoch: int, *, working: bool = False) -> bool:
    """Whether this is the newest attempt; no other begins before the session commits.

    Args:
        working: it has not given its lease back either.
    """
    query = select(_EXECUTIONS.c.holder).where(_EXECUTIONS.c.task_id == task_id, _EXECUTIONS.c.epoch == epoch)
    found = (await session.execute(query.with_for_update(read=True))).one_or_none()
    return found is not None and not (working and found[0] is None)


async def raise_epoch(session: AsyncSession, task_id: uuid.UUID, *, forget_deaths: bool = False) -> int:
    """Fence every attempt that may still be running; answers how many steps are recorded.

    Args:
        forget_deaths: the step to come has its chances anew.
    """
    forgotten = {"deaths": 0, "ends": 0, "beginnings": 0} if forget_deaths else {}
    result = await session.execute(
        update(_EXECUTIONS)
        .where(_EXECUTIONS.c.task_id == task_id)
        .values(
            epoch=_EXECUTIONS.c.epoch + 1,
            holder=None,
            stop_hint=False,
            asked_to_move=None,
            waiting=None,
            worker=None,
            **forgotten,
        )
        .returning(_EXECUTIONS.c.step)
    )
    return result.scalar_one()


async def waits_no_more(session: AsyncSession, task_id: uuid.UUID, keys: Collection[str]) -> None:
    """A question is closed: unless the task has gone on, and waits for something else."""
    waits_for = func.string_to_array(_EXECUTIONS.c.waiting, ", ").bool_op("&&")(cast(list(keys), ARRAY(Text)))
    await session.execute(update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task_id, waits_for).values(waiting=None))


async def next_epoch(session: AsyncSession, task_id: uuid.UUID, code: str | None) -> int:
    """The number of an attempt with this code that holds no lease: nobody else gets it, and a stop hint stays."""
    result = await session.execute(
        update(_EXECUTIONS)
        .where(_EXECUTIONS.c.task_id == task_id)
        .values(epoch=_EXECUTIONS.c.epoch + 1, code=func.coalesce(code, _EXECUTIONS.c.code))
        .returning(_EXECUTIONS.c.epoch)
    )
    return result.scalar_one()


async def note_deaths(session: AsyncSession, task_id: uuid.UUID, deaths: int) -> None:
    """How often the agent ended its process while it planned; 0 once a plan is made."""
    await session.execute(update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task_id).values(deaths=deaths))


async def epochs(database: Database, task_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, int]:
    """The epochs of these tasks; those that are gone are left out."""
    async with database.reading() as session:
        query = select(_EXECUTIONS.c.task_id, _EXECUTIONS.c.epoch).where(_EXECUTIONS.c.task_id.in_(task_ids))
        return {task_id: epoch for task_id, epoch in await session.execute(query)}


async def note_failure(
    session: AsyncSession, task_id: uuid.UUID, failure: Mapping[str, str], retry_at: datetime | None
) -> None:
    """Keep what the agent's failure says until the workflow has decided what follows, and when it is tried again."""
    retry = {"retry_at": retry_at, "retry_epoch": _EXECUTIONS.c.epoch}
    await session.execute(
        update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task_id).values(failure=dict(failure), **retry)
    )


async def ask_to_move(session: AsyncSession, task_id: uuid.UUID, done: Fence) -> None:
    """Have the attempt whose last write has this number end at its next step boundary: read by every step's commit."""
    mine = exists().where(_TASKS.c.id == task_id, _TASKS.c.generation <= done.generation)
    await session.execute(
        update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task_id, mine).values(asked_to_move=done.transition)
    )


async def hint_stop(session: AsyncSession, task_id: uuid.UUID) -> None:
    """Tell the attempt in flight, by its next commit, that somebody wants to stop."""
    await session.execute(update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task_id).values(stop_hint=True))
