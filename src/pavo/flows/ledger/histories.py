"""Reading runs: what was written of one, in order, and lists."""

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from pavo.errors import NotFound
from pavo.flows.ledger.changes import (
    Began,
    CancelTold,
    Change,
    Decided,
    Ended,
    LeftUnknown,
    Overruled,
    ResultKey,
    Skipped,
)
from pavo.flows.ledger.models import FlowDecisionRow, FlowResultRow, FlowRunRow, FlowVersionRow
from pavo.flows.ledger.records import History, ResultRecord, RunRecord
from pavo.flows.scheduler import Decision, Status

_Read: TypeAlias = Change | Overruled
_LEFT = func.extract("epoch", FlowRunRow.ends_by - func.pavo_now())
_WAKES = case(
    (FlowRunRow.wake_at.is_(None), 0.0),
    (func.isfinite(FlowRunRow.wake_at), func.extract("epoch", FlowRunRow.wake_at - func.pavo_now())),
)
"""None: infinity, which Python's moments do not know."""
_DUE = func.extract("epoch", FlowResultRow.due_at - func.pavo_now())


async def run_of(session: AsyncSession, run_id: uuid.UUID, organisation_id: uuid.UUID | None = None) -> RunRecord:
    """A run.

    Args:
        organisation_id: whose it must be; None: anybody's.

    Raises:
        NotFound: there is none, or it is another organisation's.
    """
    query = select(FlowRunRow, _LEFT, _WAKES).options(defer(FlowRunRow.wake_at)).where(FlowRunRow.id == run_id)
    query = query.where(FlowRunRow.deleted_at.is_(None))
    if organisation_id is not None:
        query = query.where(FlowRunRow.organisation_id == organisation_id)
    found = (await session.execute(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise NotFound(f"There is no run {run_id}.", field="run", remedy="See: pavo flow runs")
    return _record(found[0], found[1], found[2])


async def runs_of(
    session: AsyncSession, organisation_id: uuid.UUID, limit: int, program: str | None = None
) -> Sequence[RunRecord]:
    """An organisation's runs, the newest first.

    Args:
        program: its runs alone.
    """
    query = (
        select(FlowRunRow, _LEFT, _WAKES)
        .options(defer(FlowRunRow.wake_at))
        .where(FlowRunRow.organisation_id == organisation_id, FlowRunRow.deleted_at.is_(None))
    )
    if program is not None:
        query = query.where(FlowRunRow.program == program)
    rows = await session.execute(query.order_by(FlowRunRow.id.desc()).limit(limit))
    return [_record(each[0], each[1], each[2]) for each in rows]


async def asks(session: AsyncSession, run_id: uuid.UUID) -> bool:
    """Whether people are asked what became of a step."""
    asked = (FlowResultRow.state == "unknown", FlowResultRow.seq.is_(None))
    query = select(FlowResultRow.step).where(FlowResultRow.run_id == run_id, *asked).limit(1)
    return (await session.scalars(query)).one_or_none() is not None


async def definition_of(session: AsyncSession, organisation_id: uuid.UUID, hash: str) -> str:
    """What a version says, as JSON; it is there as long as there are runs of it.

    Raises:
        NotFound: it is not.
    """
    of_it = (FlowVersionRow.organisation_id == organisation_id, FlowVersionRow.hash == hash)
    found = (await session.scalars(select(FlowVersionRow.definition).where(*of_it))).one_or_none()
    if found is None:
        raise NotFound(f"There is no version {hash[:12]}.", field="hash")
    return found


async def history_of(session: AsyncSession, run_id: uuid.UUID) -> History:
    """All that was written of a run, as of one moment: the transaction must be one that sees such.

    Raises:
        NotFound: there is no such run.
    """
    run = await run_of(session, run_id)
    results = await session.execute(select(FlowResultRow, _DUE).where(FlowResultRow.run_id == run_id))
    rows = [(each[0], each[1]) for each in results]
    found = {key: _result(key, row, due) for key, row, due in ((_key(row), row, due) for row, due in rows)}
    changes = await _changes(session, run_id, 0, [row for row, _ in rows])
    return History(run, await definition_of(session, run.organisation_id, run.hash), changes, found)


async def changes_since(session: AsyncSession, run_id: uuid.UUID, seq: int) -> Sequence[_Read]:
    """What was written of a run after that, in order; its row is to be locked, or the transaction sees one moment."""
    newer = or_(FlowResultRow.began_seq > seq, FlowResultRow.seq > seq)
    rows = (await session.scalars(select(FlowResultRow).where(FlowResultRow.run_id == run_id, newer))).all()
    return await _changes(session, run_id, seq, rows)


async def open_results(session: AsyncSession, run_id: uuid.UUID) -> Mapping[ResultKey, ResultRecord]:
    """What has begun and not ended."""
    query = select(FlowResultRow, _DUE).where(FlowResultRow.run_id == run_id, FlowResultRow.seq.is_(None))
    rows = await session.execute(query.execution_options(populate_existing=True))
    return {key: _result(key, row, due) for key, row, due in ((_key(each[0]), each[0], each[1]) for each in rows)}


async def _changes(
    session: AsyncSession, run_id: uuid.UUID, after: int, results: Sequence[FlowResultRow]
) -> Sequence[_Read]:
    of_it = (FlowDecisionRow.run_id == run_id, FlowDecisionRow.seq > after)
    numbered: list[tuple[int, _Read]] = []
    for decision in await session.scalars(select(FlowDecisionRow).where(*of_it)):
        numbered += _decision(decision)
    for row in results:
        key = _key(row)
        if row.began_seq > after:
            numbered.append((row.began_seq, Began(key, row.repeatable)))
        if row.seq is not None and row.seq > after:
            numbered.append((row.seq, _end(key, row)))
    return [change for _, change in sorted(numbered, key=lambda each: each[0])]


def _key(row: FlowResultRow) -> ResultKey:
    return ResultKey(row.step, None if row.item < 0 else row.item, row.undoes)


def _end(key: ResultKey, row: FlowResultRow) -> Change:
    return LeftUnknown(key) if row.state == "unknown" else Ended(key, Status(row.state), row.output, row.error)


def _decision(row: FlowDecisionRow) -> list[tuple[int, _Read]]:
    value = row.value
    match row.what:
        case "skipped":
            return [(row.seq, Skipped(row.step, value["why"]))]
        case "decided":
            chosen = value["chosen"]
            decision = Decision(
                condition=value["condition"],
                chosen=None if chosen is None else tuple(chosen),
                items=value["count"],
                failed=value["failed"],
            )
            return [(row.seq, Decided(row.step, decision, value["items"], value["error"]))]
        case "cancel":
            return [(row.seq, CancelTold(value["compensate"], value["why"]))]
        case "overruled":
            return [
                (row.seq, Overruled(row.step, Status(value["status"]), value["output"], value["why"], value["who"]))
            ]
        case _:
            return []


def _record(row: FlowRunRow, left: Any, wakes: Any) -> RunRecord:
    return RunRecord(
        row.id,
        row.organisation_id,
        row.flow,
        row.hash,
        row.engine,
        row.epoch,
        row.state,
        row.seq,
        row.holder,
        row.inputs,
        row.created_at,
        float(left),
        math.inf if wakes is None else max(float(wakes), 0.0),
        row.cancel_asked_at is not None,
        row.cancel_compensates,
        row.program,
        row.fallback,
        row.paused_at,
        row.paused_reason,
        row.ended_at,
        row.result,
        row.error,
    )


def _result(key: ResultKey, row: FlowResultRow, due: Any) -> ResultRecord:
    return ResultRecord(
        key,
        row.state,
        row.attempt,
        row.epoch,
        row.repeatable,
        None if due is None else max(float(due), 0.0),
        row.output,
        row.error,
        row.begun_at,
        row.ended_at,
        row.work_kind,
        row.work_id,
    )
