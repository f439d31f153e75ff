"""What steps have others do: whose end is awaited, and what is to end since nobody awaits it any more."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from pavo.flows.ledger import recording
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.models import FlowResultRow, FlowRunRow

AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class AwaitedWork:
    """Of one step."""

    run_id: uuid.UUID
    organisation_id: uuid.UUID
    hash: str
    """Of the version that the run executes."""
    engine: str
    epoch: int
    is_begun: bool
    created_by: uuid.UUID | None
    key: ResultKey
    attempt: int
    kind: str
    work_id: uuid.UUID
    is_awaited: bool
    """False: the step ended without it."""
    cancel_compensates: bool | None
    """Of the run, where somebody has cancelled it."""

    @property
    def place(self) -> tuple[uuid.UUID, uuid.UUID]:
        """In the order in which it is read."""
        return self.run_id, self.work_id


async def page(session: AsyncSession, after: tuple[uuid.UUID, uuid.UUID] | None) -> Sequence[AwaitedWork]:
    """All that is to be looked at, behind the last of the page before."""
    watched = (FlowResultRow.work_id.is_not(None), FlowResultRow.is_left.is_(False))
    query = select(FlowResultRow, FlowRunRow).join(FlowRunRow, FlowRunRow.id == FlowResultRow.run_id).where(*watched)
    query = query.options(defer(FlowRunRow.wake_at))  # it may be infinity, which Python's moments do not know
    place = FlowResultRow.run_id, FlowResultRow.work_id
    if after is not None:
        query = query.where(tuple_(*place) > after)
    rows = await session.execute(query.order_by(*place).limit(AT_ONCE))
    return [_work(each[0], each[1]) for each in rows]


def _work(result: FlowResultRow, run: FlowRunRow) -> AwaitedWork:
    assert result.work_kind is not None and result.work_id is not None
    return AwaitedWork(
        run.id,
        run.organisation_id,
        run.hash,
        run.engine,
        run.epoch,
        run.holder is not None,
        run.created_by,
        ResultKey(result.step, None if result.item < 0 else result.item, result.undoes),
        result.attempt,
        result.work_kind,
        result.work_id,
        result.state == "awaiting",
        run.cancel_compensates if run.cancel_asked_at is not None else None,
    )


async def leave(session: AsyncSession, work: AwaitedWork) -> None:
    """It was told to end, or is over: nobody looks at it any more."""
    of_it = (recording.of_key(work.run_id, work.key), FlowResultRow.work_id == work.work_id)
    await session.execute(update(FlowResultRow).where(*of_it).values(is_left=True))


async def creator(session: AsyncSession, run_id: uuid.UUID) -> uuid.UUID | None:
    """Who began the run; None: an operator did, or they are gone."""
    return (await session.scalars(select(FlowRunRow.created_by).where(FlowRunRow.id == run_id))).one_or_none()


async def gates(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """That steps of these runs await."""
    of_them = (FlowResultRow.run_id.in_(run_ids), FlowResultRow.state == "awaiting", FlowResultRow.work_kind == "gate")
    rows = await session.scalars(select(FlowResultRow.work_id).where(*of_them).order_by(FlowResultRow.begun_at))
    return [each for each in rows if each is not None]
