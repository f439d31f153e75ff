"""SQL of delegated tasks: which task waits for which, and what came of it. Works in the caller's session."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.delegating.delegation import (
    MAX_CHILDREN,
    MAX_DEPTH,
    MAX_FAMILY,
    Delegated,
    DelegatedStage,
    Delegation,
)
from pavo.gates.domain import Subject
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import DelegationRow, DocumentRow, ExecutionRow, TaskRow
from pavo.tasks.sql.request_statements import create_in
from pavo.tasks.sql.transitions import follow_up
from pavo.timeline.domain import Event
from pavo.tools.policies.service import copy_to_task

DELETED: Final = "DELETED"
PAGE: Final = 200
"""Rows that the second line looks at in one round."""

_FAMILY = text("SELECT pg_advisory_xact_lock(hashtextextended('pavo family ' || :root, 0))")
"""Whoever adds to a family counts it before: one after the other."""
_FOLLOWED: Final = follow_up.is_followed_up()
"""It was done, and people have it go on: its outcome stays what it was, and what it does now is between them and it."""
_OVER: Final = or_(TaskRow.deleted_at.is_not(None), TaskRow.stage.in_((d.DONE, *d.RESUMABLE)), _FOLLOWED)
"""It has an outcome."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task stands in its family."""

    root_id: uuid.UUID
    depth: int
    children: int
    """How many it has delegated."""
    family: int
    """How many there are below the root."""

    def full(self) -> tuple[str, str] | None:
        """Which limit keeps it from delegating more, and the remedy."""
        if self.depth >= MAX_DEPTH:
            return (
                f"this task is itself delegated {self.depth} levels deep, and {MAX_DEPTH} is the most",
                "Do the work here, or delegate less deep.",
            )
        if self.children >= MAX_CHILDREN:
            return (
                f"this task has delegated {self.children} tasks, and {MAX_CHILDREN} is the most",
                "Give each more to do, or have them delegate in their turn.",
            )
        if self.family >= MAX_FAMILY:
            return (
                f"there are {self.family} delegated tasks below the one that was created, and {MAX_FAMILY} is the most",
                "Delegate less, or begin another task.",
            )
        return None


def waiting_for(delegated_id: uuid.UUID) -> str:
    """What a task waits for, as people read it."""
    return f"task {delegated_id}"


def child_id(subject: Subject, delegation: Delegation) -> uuid.UUID:
    """The id of the task that this delegation makes: the same whenever it is made again."""
    return uuid.uuid5(subject.id, f"{subject.scope}\n{delegation.identity}")


async def find(session: AsyncSession, delegated_id: uuid.UUID) -> tuple[DelegationRow, TaskRow] | None:
    """A delegation and its task, also one that is deleted."""
    query = select(DelegationRow, TaskRow).join(TaskRow, TaskRow.id == DelegationRow.child_id)
    row = (await session.execute(query.where(DelegationRow.child_id == delegated_id))).one_or_none()
    return (row[0], row[1]) if row is not None else None


async def place_of(session: AsyncSession, task_id: uuid.UUID, *, lock: bool = False) -> Place:
    """Where a task stands.

    Args:
        lock: nobody adds to the family until the session commits.
    """
    own = (await session.scalars(select(DelegationRow).where(DelegationRow.child_id == task_id))).one_or_none()
    root, depth = (own.root_id, own.depth) if own is not None else (task_id, 0)
    if lock:
        await session.execute(_FAMILY, {"root": str(root)})
    mine, all_of = DelegationRow.parent_id == task_id, DelegationRow.root_id == root
    counts = select(func.count().filter(mine), func.count()).where(all_of)
    children, family = (await session.execute(counts)).one()
    return Place(root, depth, children, family)


async def add(
    session: AsyncSession, parent: TaskRow, subject: Subject, delegation: Delegation, place: Place
) -> tuple[TaskRow, list[Event]]:
    """Make the task, with its place; the events of its timeline."""
    new_id = child_id(subject, delegation)
    task = TaskRow(
        id=new_id,
        organisation_id=parent.organisation_id,
        created_by=parent.created_by,
        parent_id=parent.id,
        title=delegation.title,
        prompt=delegation.prompt,
        agent_type=delegation.agent,
        agent_options=dict(delegation.options),
        auto_accept=parent.auto_accept,
        stage=d.INIT,
        phase=d.PHASE_PLANNING,
        workflow_id=d.workflow_id(parent.created_by, new_id, delegation.agent),
    )
    recorded = await create_in(session, task, events.stage(d.INIT))
    told = {"scope": subject.scope, "identity": delegation.identity, "hash": delegation.hash}
    row = DelegationRow(child_id=new_id, parent_id=parent.id, root_id=place.root_id, depth=place.depth + 1, **told)
    session.add(row)
    await session.flush()
    await copy_to_task(session, parent.id, new_id)
    return task, recorded


def stopped_with_parent(row: DelegationRow, child: TaskRow) -> bool:
    """Whether the child is stopped because the parent was, and goes on with it."""
    return child.stage == d.STOPPED and max(child.generation, 1) <= row.paused


async def outcome(session: AsyncSession, row: DelegationRow, child: TaskRow) -> Delegated | None:
    """What came of it; None: it is not over."""
    if row.outcome is not None:
        return _told(row)
    if child.deleted_at is not None:
        return Delegated(child.id, DELETED, cause="Somebody deleted it.")
    if (report := await follow_up.first_report(session, child.id)) is not None:
        return Delegated(child.id, d.DONE, report=report)  # what people had it do since is between them and it
    if child.stage == d.DONE:
        mine = (DocumentRow.task_id == child.id, DocumentRow.kind == repository.REPORT)
        newest = select(DocumentRow.body).where(*mine).order_by(DocumentRow.version.desc()).limit(1)
        return Delegated(child.id, d.DONE, report=(await session.scalars(newest)).one())
    if child.stage == d.FAILED:
        told: Mapping[str, Any] = child.error or {}
        return Delegated(child.id, d.FAILED, cause=told.get("cause", ""), remedy=told.get("remedy", ""))
    if child.stage == d.STOPPED and not stopped_with_parent(row, child):
        return Delegated(child.id, d.STOPPED, cause="Somebody stopped it.")
    return None


def _told(row: DelegationRow) -> Delegated:
    told = row.outcome or {}
    stage = cast(DelegatedStage, told["stage"])
    return Delegated(row.child_id, stage, told["report"], told["cause"], told["remedy"])


async def settle(session: AsyncSession, found: Delegated) -> bool:
    """Keep what the parent's agent is told; False: that was done before."""
    told = {"stage": found.stage, "report": found.report, "cause": found.cause, "remedy": found.remedy}
    statement = update(DelegationRow).where(DelegationRow.child_id == found.task_id, DelegationRow.outcome.is_(None))
    settled = await session.scalars(statement.values(outcome=told).returning(DelegationRow.child_id))
    return settled.one_or_none() is not None


async def pause(session: AsyncSession, parent_id: uuid.UUID) -> None:
    """The parent rests or is over: the runs of its children that are under way end because of that."""
    going_on = and_(
        DelegationRow.outcome.is_(None),
        TaskRow.deleted_at.is_(None),
        ~_FOLLOWED,
        or_(TaskRow.stage.not_in((d.DONE, *d.RESUMABLE)), TaskRow.generation < DelegationRow.begun),
    )
    generation = func.greatest(TaskRow.generation, DelegationRow.begun, 1)
    mine = (DelegationRow.parent_id == parent_id, TaskRow.id == DelegationRow.child_id, going_on)
    await session.execute(
        update(DelegationRow).where(*mine).values(paused=generation).execution_options(synchronize_session=False)
    )


async def unsettled(session: AsyncSession, parent_id: uuid.UUID) -> Sequence[tuple[DelegationRow, TaskRow]]:
    """What a task delegated and was not told the outcome of, but for what is deleted, or done, or was done before."""
    mine = (DelegationRow.parent_id == parent_id, DelegationRow.outcome.is_(None))
    query = select(DelegationRow, TaskRow).join(TaskRow, TaskRow.id == DelegationRow.child_id)
    query = query.where(*mine, TaskRow.deleted_at.is_(None), TaskRow.stage != d.DONE, ~_FOLLOWED)
    return [(row[0], row[1]) for row in await session.execute(query.order_by(DelegationRow.created_at))]


async def to_begin(session: AsyncSession, parent_id: uuid.UUID) -> Sequence[TaskRow]:
    """Children that nobody has begun, or that go on with their parent, noted as begun."""
    found: list[TaskRow] = []
    for row, child in await unsettled(session, parent_id):
        if child.stage != d.INIT and not stopped_with_parent(row, child):
            continue
        row.begun = max(row.begun, 1 if child.stage == d.INIT else child.generation + 1)
        found.append(child)
    await session.flush()
    return found


async def waiting_parent(session: AsyncSession, delegated_id: uuid.UUID) -> TaskRow | None:
    """The task that waits for this one to end."""
    waits = (DelegationRow.child_id == delegated_id, DelegationRow.outcome.is_(None))
    query = select(TaskRow).join(DelegationRow, DelegationRow.parent_id == TaskRow.id).where(*waits)
    return (
        await session.scalars(query.where(TaskRow.stage == d.EXECUTING, TaskRow.deleted_at.is_(None)))
    ).one_or_none()


async def children(session: AsyncSession, parent_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Ids of the tasks that a task delegated, but for deleted ones."""
    query = select(TaskRow.id).where(TaskRow.parent_id == parent_id, TaskRow.deleted_at.is_(None))
    return (await session.scalars(query.order_by(TaskRow.created_at, TaskRow.id))).all()


_SETTLED_FOR: Final = text("tasks.updated_at < pavo_now() - interval '10 seconds'")


async def unnoticed(session: AsyncSession) -> Sequence[uuid.UUID]:
    """Children that are over for a while and whose parent still waits: whoever was to tell it could not."""
    resting = select(ExecutionRow.task_id).where(
        ExecutionRow.task_id == DelegationRow.parent_id, ExecutionRow.waiting.is_not(None)
    )
    query = select(TaskRow.id).join(DelegationRow, DelegationRow.child_id == TaskRow.id)
    own = and_(TaskRow.stage == d.STOPPED, func.greatest(TaskRow.generation, 1) <= DelegationRow.paused)
    query = query.where(DelegationRow.outcome.is_(None), _OVER, ~own, _SETTLED_FOR, resting.exists())
    return (await session.scalars(query.order_by(TaskRow.updated_at).limit(PAGE))).all()


async def left_running(session: AsyncSession) -> Sequence[TaskRow]:
    """Children that go on though they were to end with their parent."""
    to_end = (TaskRow.stage.in_(d.ACTIVE), TaskRow.deleted_at.is_(None), TaskRow.generation <= DelegationRow.paused)
    query = select(TaskRow).join(DelegationRow, DelegationRow.child_id == TaskRow.id)
    query = query.where(DelegationRow.outcome.is_(None), *to_end, ~_FOLLOWED, _SETTLED_FOR)
    return (await session.scalars(query.order_by(TaskRow.updated_at).limit(PAGE))).all()
