"""Writing of a run: each commit locks its row, needs the engine's own epoch, and says what it has read before."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import ColumnElement, and_, case, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from pavo.errors import Conflict, LeaseLost, NotFound
from pavo.flows.ledger import at_once, events
from pavo.flows.ledger.at_once import decision_of, key_columns
from pavo.flows.ledger.changes import (
    Again,
    Answer,
    Awaiting,
    Began,
    CancelTold,
    Change,
    Concluded,
    Decided,
    Ended,
    LeftUnknown,
    ResultKey,
    Retrying,
    Skipped,
    Unknown,
)
from pavo.flows.ledger.models import FlowDecisionRow, FlowResultRow, FlowRunRow
from pavo.flows.ledger.records import LOCAL, OVER, RUNNING, Hold, OutOfStep
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event, NewEvent

_BEGINNING: Final = (Began, Again)
_OfSteps: TypeAlias = (
    Skipped | Decided | CancelTold | Began | Awaiting | Ended | Retrying | Again | Unknown | LeftUnknown
)
_NOW = func.pavo_now()
_WAKE_AT: Final = """
UPDATE flow_runs SET wake_at = least(
    CASE WHEN NOT EXISTS (SELECT FROM flow_decisions WHERE run_id = :run AND what = 'cancel') THEN ends_by END,
    (SELECT min(due_at) FROM flow_results WHERE run_id = :run AND state IN ('timer', 'retrying')),
    'infinity'
) WHERE id = :run
"""
"""The limit of its flow counts once: then it is cancelled, whatever it still waits for. Whether it was is looked up:
the limit may have passed since its engine looked at the clock."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a commit has led to."""

    seq: int
    """To be named by the next one."""
    cancel_asked: bool
    handing_over: bool
    """Nothing may begin any more."""
    now: datetime
    """By PostgreSQL."""
    events: Sequence[Event]
    """To be published after the commit."""


async def locked(session: AsyncSession, run_id: uuid.UUID) -> FlowRunRow:
    """The run, locked until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    query = select(FlowRunRow).options(defer(FlowRunRow.wake_at)).where(FlowRunRow.id == run_id).with_for_update()
    found = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise NotFound(f"There is no run {run_id}.", field="run", remedy="See: pavo flow runs")
    return found


async def held(session: AsyncSession, hold: Hold) -> FlowRunRow:
    """The run, locked, if it is still this engine's.

    Raises:
        LeaseLost: it is another one's, or over.
    """
    row = await locked(session, hold.run_id)
    mine = (row.engine, row.epoch, row.holder) == (hold.engine, hold.epoch, hold.holder)
    if not mine or row.state in OVER:
        raise LeaseLost(f"The run {hold.run_id} is not this engine's any more.")
    return row


def is_paused(row: FlowRunRow) -> bool:
    """Whether nothing may begin, for somebody has paused it."""
    return row.paused_at is not None and row.cancel_asked_at is None


async def commit(session: AsyncSession, hold: Hold, after: int, changes: Sequence[Change]) -> Written:
    """Write changes, all or none. Done twice, the second one is refused.

    Args:
        after: `seq` of what the engine has read.

    Raises:
        LeaseLost: the run is not this engine's any more.
        OutOfStep: somebody else, or an earlier try of this, has written since.
        Conflict: something would begin, and the run is being handed over, or paused, or the lease is over.
    """
    row = await held(session, hold)
    if row.seq != after:
        raise OutOfStep(f"The run {hold.run_id} was written since.")
    handing_over = row.state != RUNNING or is_paused(row)
    if any(isinstance(each, _BEGINNING) for each in changes) and (handing_over or await _is_over_due(session, row)):
        raise Conflict("Nothing may begin: the run is being handed over, or the lease is over.")
    columns: dict[str, Any] = {"seq": after + len(changes)}
    for seq, change in enumerate(changes, after + 1):
        if isinstance(change, Concluded):
            columns |= _over(change)
        else:
            await _write(session, hold, seq, change)
    written = update(FlowRunRow).where(FlowRunRow.id == hold.run_id).values(columns).returning(_NOW)
    now = (await session.scalars(written)).one()
    told = await tell(session, hold.run_id, events.of_changes(changes))
    return Written(after + len(changes), row.cancel_asked_at is not None, handing_over, now, told)


async def commit_at_once(database: Database, hold: Hold, after: int, changes: Sequence[Change]) -> Written:
    """`commit`, in a transaction of its own: in one statement, where these changes are such.

    Raises:
        Unavailable: PostgreSQL does not answer: they may be written.
    """
    done = await at_once.write(database.kept, hold, after, changes, events.of_changes(changes))
    if done is not None:
        return Written(after + len(changes), done.cancel_asked, False, done.now, done.told)
    async with database.transaction() as session:
        return await commit(session, hold, after, changes)


async def tell(session: AsyncSession, run_id: uuid.UUID, told: Sequence[NewEvent]) -> Sequence[Event]:
    """Append to a run's timeline; its end closes it. To be published after the commit."""
    return await timeline.append(session, run_id, told, close=any(each.type == events.ENDED for each in told))


async def _is_over_due(session: AsyncSession, row: FlowRunRow) -> bool:
    """Whether a local engine's lease has expired: others may claim it at any moment."""
    if row.engine != LOCAL:
        return False
    query = select(FlowRunRow.lease_until > _NOW).where(FlowRunRow.id == row.id)
    return not (await session.scalars(query)).one()


def _over(change: Concluded) -> dict[str, Any]:
    told = {"state": str(change.outcome), "result": change.result, "error": change.error, "ended_at": _NOW}
    return {**told, "holder": None, "lease_until": None, "wake_at": None}


async def _write(session: AsyncSession, hold: Hold, seq: int, change: _OfSteps) -> None:
    match change:
        case Began():
            await _begin(session, hold, seq, change)
        case Ended(key, status, output, error):
            ended = {"state": str(status), "seq": seq, "output": output, "error": error, "ended_at": _NOW}
            await _change(session, hold, key, ("running", "timer", "retrying", "awaiting"), {**ended, "due_at": None})
        case Awaiting(key, kind, work_id):
            work = {"state": "awaiting", "work_kind": kind, "work_id": work_id, "is_left": False}
            await _change(session, hold, key, ("running",), work)
        case Retrying(key, after, error):
            values = {"state": "retrying", "due_at": _NOW + after, "error": error}
            await _change(session, hold, key, ("running",), values)
        case Again(key):
            again = {"state": "running", "due_at": None, "epoch": hold.epoch, "attempt": FlowResultRow.attempt + 1}
            again |= {"taken_by": None}
            await _change(session, hold, key, ("running", "retrying"), again)
        case Unknown(key, error):
            await _change(session, hold, key, ("running",), {"state": "unknown", "error": error})
        case LeftUnknown(key):
            await _change(session, hold, key, ("unknown",), {"seq": seq, "ended_at": _NOW})
        case _:
            await _decide(session, hold.run_id, seq, change)


async def _begin(session: AsyncSession, hold: Hold, seq: int, change: Began) -> None:
    key, timer = change.key, change.timer
    due: Any = timer if timer is None or isinstance(timer, datetime) else _NOW + timer
    row = {
        "run_id": hold.run_id,
        **key_columns(key),
        "state": "running" if timer is None else "timer",
        "epoch": hold.epoch,
        "repeatable": change.repeatable,
        "began_seq": seq,
        "due_at": due,
    }
    await session.execute(insert(FlowResultRow).values(row))


async def _change(
    session: AsyncSession, hold: Hold, key: ResultKey, states: Sequence[str], values: dict[str, Any]
) -> None:
    statement = update(FlowResultRow).where(of_key(hold.run_id, key), FlowResultRow.state.in_(states)).values(values)
    found = await session.execute(statement.returning(FlowResultRow.step))
    if found.one_or_none() is None:
        raise OutOfStep(f"{key.idempotency_key(hold.run_id)} is not as this engine has read it.")


async def _decide(session: AsyncSession, run_id: uuid.UUID, seq: int, change: Skipped | Decided | CancelTold) -> None:
    what, step, value = decision_of(change)
    row = {"run_id": run_id, "seq": seq, "what": what, "step": step, "value": value}
    await session.execute(insert(FlowDecisionRow).values(row))


Told: TypeAlias = Sequence[Event] | None
Taken: TypeAlias = Literal["yes", "no", "was"]


async def take(
    session: AsyncSession, hold: Hold, key: ResultKey, attempt: int, token: str
) -> Literal["yes", "no", "was"]:
    """Whether the attempt is to be made now: whoever asks writes down that it makes it.

    Args:
        token: of this call of an activity; asked again with the same, the answer is the same.

    Returns: no: it is not in flight (any more); was: somebody has made it before, and it may not be repeated.
    """
    run = select(FlowRunRow.id).where(FlowRunRow.id == hold.run_id, FlowRunRow.epoch == hold.epoch)
    mine = run.where(FlowRunRow.engine == hold.engine, FlowRunRow.holder == hold.holder, FlowRunRow.state == RUNNING)
    in_flight = (
        of_key(hold.run_id, key),
        FlowResultRow.state == "running",
        FlowResultRow.attempt == attempt,
        mine.exists(),
    )
    free = or_(FlowResultRow.repeatable, FlowResultRow.taken_by.is_(None), FlowResultRow.taken_by == token)
    taken = update(FlowResultRow).where(*in_flight, free).values(taken_by=token).returning(FlowResultRow.step)
    if (await session.scalars(taken)).one_or_none() is not None:
        return "yes"
    found = await session.scalars(select(FlowResultRow.step).where(*in_flight))
    return "no" if found.one_or_none() is None else "was"


async def report(
    session: AsyncSession, hold: Hold, key: ResultKey, attempt: int, change: Change, token: str
) -> Sequence[Event]:
    """Write what came of an attempt, whatever was written of the run meanwhile. Done twice, the second one is refused.

    Args:
        token: by which it was taken: where its worker was taken for lost, people need not be asked any more.

    Returns: to be published after the commit; none where it is not in flight any more, and counts for nothing.

    Raises:
        LeaseLost: the run is not this engine's any more.
    """
    row = await held(session, hold)
    asked = and_(FlowResultRow.state == "unknown", FlowResultRow.seq.is_(None), FlowResultRow.taken_by == token)
    in_flight = (
        of_key(hold.run_id, key),
        FlowResultRow.attempt == attempt,
        or_(FlowResultRow.state == "running", asked),
    )
    found = update(FlowResultRow).where(*in_flight).values(state="running").returning(FlowResultRow.step)
    if (await session.scalars(found)).one_or_none() is None:
        return ()
    assert not isinstance(change, Concluded), "it is a change of the run's row"
    await _write(session, hold, row.seq + 1, change)
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == hold.run_id).values(seq=row.seq + 1))
    return await tell(session, hold.run_id, events.of_changes([change]))


async def settle(
    session: AsyncSession, run_id: uuid.UUID, key: ResultKey, work_id: uuid.UUID, change: _OfSteps
) -> Told:
    """Write what came of the work that a step awaits, whichever engine has the run; it goes on by that. Done twice, the
    second one is refused.

    Returns: None: nothing awaits it any more.

    Raises:
        NotFound: there is no such run.
    """
    row = await locked(session, run_id)
    awaits = (of_key(run_id, key), FlowResultRow.state == "awaiting", FlowResultRow.work_id == work_id)
    found = update(FlowResultRow).where(*awaits).values(state="running", is_left=True).returning(FlowResultRow.step)
    if row.state in OVER or (await session.scalars(found)).one_or_none() is None:
        return None
    hold = Hold(run_id, row.engine, row.epoch, row.holder or "")
    await _write(session, hold, row.seq + 1, change)
    values = {"seq": row.seq + 1, "wake_at": None}
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(values))
    return await tell(session, run_id, events.of_changes([change]))


async def answer(
    session: AsyncSession, run_id: uuid.UUID, key: ResultKey, said: Answer, output: Any, who: uuid.UUID | None
) -> Sequence[Event]:
    """Write down what people say of a step of which it is not known whether it happened; the run goes on.

    Raises:
        NotFound: there is no such run.
        Conflict: nobody is asked about that step (any more).
    """
    run = await locked(session, run_id)
    if run.state in OVER:
        over = f"The run is over ({run.state}): what is said of its steps changes nothing any more."
        raise Conflict(over, field="run")
    seq = run.seq + 1
    told: dict[str, Any] = {"state": said, "seq": seq, "ended_at": _NOW, "output": output}
    told["error"] = None if said == "succeeded" else "it did not happen, people say"
    if said == "again":
        told = {"state": "retrying", "due_at": _NOW}
    of_it = (of_key(run_id, key), FlowResultRow.state == "unknown", FlowResultRow.seq.is_(None))
    found = await session.execute(update(FlowResultRow).where(*of_it).values(told).returning(FlowResultRow.step))
    if found.one_or_none() is None:
        raise Conflict(f"Nobody is asked about {key.step}.", field="step", remedy="See: pavo flow status ID")
    value = {"said": said, "item": key.item, "undoes": key.undoes, "who": None if who is None else str(who)}
    row = {"run_id": run_id, "seq": seq, "what": "answered", "step": key.step, "value": value}
    await session.execute(insert(FlowDecisionRow).values(row))
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(seq=seq, wake_at=None))
    return await tell(session, run_id, [events.step_answered(key, said)])


async def unsettle(session: AsyncSession, run_id: uuid.UUID, why: str) -> int:
    """Have people asked about what is in flight on an engine that has lost the run and may not be repeated; how much
    it is."""
    of_it = (FlowResultRow.run_id == run_id, FlowResultRow.state == "running", FlowResultRow.repeatable.is_(False))
    asked = update(FlowResultRow).where(*of_it).values(state="unknown", error=why).returning(FlowResultRow.step)
    return len((await session.scalars(asked)).all())


async def leave(session: AsyncSession, run_id: uuid.UUID) -> None:
    """Nothing follows of what has begun and not ended: the run is over."""
    open_ = (FlowResultRow.run_id == run_id, FlowResultRow.ended_at.is_(None))
    happened = (FlowResultRow.state == "unknown") | (
        (FlowResultRow.state == "running") & FlowResultRow.repeatable.is_(False)
    )
    state = case((happened, "unknown"), else_="cancelled")
    await session.execute(update(FlowResultRow).where(*open_).values(state=state, ended_at=_NOW, due_at=None))


async def wake_at(session: AsyncSession, run_id: uuid.UUID) -> None:
    """Write down when the run has to be looked at again: at its next timer, else once somebody says something."""
    await session.execute(text(_WAKE_AT), {"run": run_id})


def of_key(run_id: uuid.UUID, key: ResultKey) -> ColumnElement[bool]:
    """The row of a result."""
    columns = key_columns(key)
    return and_(
        FlowResultRow.run_id == run_id, *(getattr(FlowResultRow, name) == value for name, value in columns.items())
    )


async def is_in_flight(session: AsyncSession, run_id: uuid.UUID) -> bool:
    """Whether something has begun and not ended, timers and questions not counted."""
    query = select(FlowResultRow.step).where(FlowResultRow.run_id == run_id, FlowResultRow.state == "running").limit(1)
    return (await session.scalars(query)).one_or_none() is not None
