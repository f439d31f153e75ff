"""Who executes a run, and how it goes from one to another: claims, leases and the hand-over between engines.

A run is held by one engine under an epoch, and every way to another holder raises it in one statement that names what
it was. Leases decide when a local engine's run may be claimed, and never whether a write is accepted.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, or_, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, LeaseLost
from pavo.flows.ledger import events, histories, recording
from pavo.flows.ledger.models import FlowRunRow
from pavo.flows.ledger.records import HANDING_OVER, LOCAL, OVER, RUNNING, TEMPORAL, WAITING, Hold
from pavo.kit.json_values import decode
from pavo.timeline.domain import Event, NewEvent

_NOW = func.pavo_now()
_FREE = or_(FlowRunRow.lease_until.is_(None), FlowRunRow.lease_until <= _NOW)
FAILURES: Final = 5
"""Of a run's execution, without anything new that was written between them: then the run has failed."""
FIRST_PAUSE_SECONDS: Final = 0.5
"""After the first failure; after each further one twice as long."""
LOST = "its engine was lost while it was in flight: nobody knows whether it happened"

_CLAIM = """
UPDATE flow_runs SET epoch = epoch + 1, state = 'running', holder = :holder, wake_at = NULL,
    lease_until = pavo_now() + make_interval(secs => :seconds)
WHERE id = (
    SELECT id FROM flow_runs
    WHERE engine = 'local' AND state IN ('waiting', 'running')
      AND (wake_at IS NULL OR wake_at <= pavo_now())
      AND (lease_until IS NULL OR lease_until <= pavo_now())
      AND (CAST(:run AS uuid) IS NULL OR id = :run)
      AND (CAST(:hashes AS text[]) IS NULL OR hash = ANY(:hashes))
      AND program IS NOT DISTINCT FROM :program
      AND (paused_at IS NULL OR cancel_asked_at IS NOT NULL)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, epoch
"""


_WAITING = """
SELECT organisation_id, hash FROM flow_runs
WHERE engine = 'local' AND state IN ('waiting', 'running')
  AND (wake_at IS NULL OR wake_at <= pavo_now())
  AND (lease_until IS NULL OR lease_until <= pavo_now())
  AND hash <> ALL(:passed_over) AND program IS NOT DISTINCT FROM :program
  AND (paused_at IS NULL OR cancel_asked_at IS NOT NULL)
ORDER BY id LIMIT 1
"""


async def waiting(
    session: AsyncSession, passed_over: Sequence[str], program: str | None = None
) -> tuple[uuid.UUID, str] | None:
    """The organisation and the version of a run that waits for a local engine, if there is one.

    Args:
        passed_over: versions, by their hashes, that are not looked for.
        program: whose runs; None: the workers'.
    """
    asked = {"passed_over": list(passed_over), "program": program}
    found = (await session.execute(text(_WAITING), asked)).one_or_none()
    return None if found is None else (found[0], found[1])


async def claim(
    session: AsyncSession,
    holder: str,
    seconds: float,
    run: uuid.UUID | None = None,
    hashes: Sequence[str] | None = None,
    program: str | None = None,
) -> Hold | None:
    """A run that waits for a local engine, if there is one; nobody else gets it for so many seconds.

    Args:
        run: this one alone.
        hashes: of these versions alone.
        program: whose runs; None: the workers'.
    """
    which = {"run": run, "hashes": None if hashes is None else list(hashes), "program": program}
    found = (await session.execute(text(_CLAIM), {"holder": holder, "seconds": seconds, **which})).one_or_none()
    return None if found is None else Hold(found[0], LOCAL, found[1], holder)


@dataclass(frozen=True, slots=True)
class Renewed:
    """What whoever holds a run is told."""

    seq: int
    cancel_asked: bool
    handing_over: bool
    """Nothing may begin any more, or for now: it is handed over, or paused."""


async def renew(session: AsyncSession, hold: Hold, seconds: float) -> Renewed:
    """Hold it for so many seconds more.

    Raises:
        LeaseLost: it is another one's.
    """
    row = await recording.held(session, hold)
    until = _NOW + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == row.id).values(lease_until=until))
    return Renewed(row.seq, row.cancel_asked_at is not None, row.state == HANDING_OVER or recording.is_paused(row))


async def release(session: AsyncSession, hold: Hold, *, idle: bool) -> None:
    """Give it up, so that others need not wait for the lease to expire. A workflow stays what it is: it is asked for
    by its name.

    Args:
        idle: nothing is to be done until its next timer, or until somebody says something.

    Raises:
        LeaseLost: it is another one's.
    """
    row = await recording.held(session, hold)
    if hold.engine == TEMPORAL:
        return
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == row.id).values(holder=None, lease_until=None))
    if idle:
        await recording.wake_at(session, row.id)


async def fail(session: AsyncSession, hold: Hold, why: str) -> Sequence[Event]:
    """Give a run up whose execution failed for a reason that nobody foresaw, for a while that grows; or for good,
    after FAILURES without anything new in between.

    Raises:
        LeaseLost: it is another one's.
    """
    row = await recording.held(session, hold)
    failures = row.failures + 1 if row.failed_seq == row.seq else 1
    values: dict[str, Any] = {"failures": failures, "failed_seq": row.seq, "holder": None, "lease_until": None}
    ended: list[NewEvent] = []
    if failures >= FAILURES:
        await recording.leave(session, row.id)
        told = f"its execution failed {failures} times at one place: {why}. Nothing was undone; see the workers' log"
        values |= {"state": "failed", "error": told, "ended_at": _NOW, "wake_at": None}
        ended = [events.run_ended("failed", told)]
    else:
        values["wake_at"] = _NOW + timedelta(seconds=FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == row.id).values(values))
    return await recording.tell(session, row.id, ended)


async def ask_cancel(
    session: AsyncSession, run_id: uuid.UUID, *, compensate: bool, by: str | None = None
) -> Sequence[Event]:
    """Have it end. Asked twice, the first time counts.

    Args:
        by: the address of whoever asks.

    Raises:
        NotFound: there is no such run.
        Conflict: it is over.
    """
    row = await recording.locked(session, run_id)
    if row.state in OVER:
        raise Conflict(f"The run has {row.state} already.", field="run")
    if row.cancel_asked_at is not None:
        return []
    values: dict[str, Any] = {"cancel_asked_at": _NOW, "cancel_compensates": compensate, "wake_at": None}
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(values))
    return await recording.tell(session, run_id, [events.cancel_asked(by, compensate=compensate)])


async def pause(session: AsyncSession, run_id: uuid.UUID, reason: str, by: str | None = None) -> Sequence[Event]:
    """Have nothing begin any more; what is in flight comes to its end, and timers go on. Asked twice, the first time
    counts.

    Args:
        by: the address of whoever asks.

    Raises:
        NotFound: there is no such run.
        Conflict: it is over, or is being cancelled.
    """
    row = await recording.locked(session, run_id)
    if row.state in OVER:
        raise Conflict(f"The run has {row.state} already.", field="run")
    if row.cancel_asked_at is not None:
        raise Conflict("The run is being cancelled.", field="run", remedy="Wait for its end: pavo flow status ID")
    if row.paused_at is not None:
        return []
    values = {"paused_at": _NOW, "paused_reason": reason}
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(values))
    return await recording.tell(session, run_id, [events.run_paused(reason, by)])


async def resume(session: AsyncSession, run_id: uuid.UUID, by: str | None = None) -> Sequence[Event]:
    """Have a run that was paused go on; one that is not goes on as it is.

    Raises:
        NotFound: there is no such run.
        Conflict: it is over.
    """
    row = await recording.locked(session, run_id)
    if row.state in OVER:
        raise Conflict(f"The run has {row.state} already.", field="run")
    if row.paused_at is None:
        return []
    values: dict[str, Any] = {"paused_at": None, "paused_reason": None, "wake_at": None}
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(values))
    return await recording.tell(session, run_id, [events.run_resumed(by)])


# From the local engine to Temporal


async def begin_hand_over(session: AsyncSession, run_id: uuid.UUID) -> int:
    """Keep anything from beginning on the local engine; what runs there may end. Done twice, it is the same.

    Returns: the epoch, for `complete_hand_over`.

    Raises:
        Conflict: it is not the local engine's, or over.
    """
    row = await recording.locked(session, run_id)
    if row.engine != LOCAL or row.state in OVER:
        raise Conflict("Only a run of the local engine that is not over can be handed over.", field="run")
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(state=HANDING_OVER))
    return row.epoch


async def complete_hand_over(session: AsyncSession, run_id: uuid.UUID, epoch: int) -> int | None:
    """Make it Temporal's, once its local engine has given it up, or its lease has expired.

    Returns: the new epoch, which is part of the id under which the workflow is started; None: it is held still.

    Raises:
        LeaseLost: somebody else was here: the epoch is another, or nobody hands it over.
    """
    taken = {"engine": TEMPORAL, "epoch": epoch + 1, "state": WAITING, "holder": None, "lease_until": None}
    of_it = (FlowRunRow.id == run_id, FlowRunRow.epoch == epoch, FlowRunRow.engine == LOCAL)
    free = (FlowRunRow.state == HANDING_OVER, _FREE)
    done = update(FlowRunRow).where(*of_it, *free).values(**taken, wake_at=None).returning(FlowRunRow.epoch)
    found = (await session.scalars(done)).one_or_none()
    if found is not None:
        await recording.unsettle(session, run_id, LOST)
        await recording.tell(session, run_id, [events.run_moved(TEMPORAL, found)])
        return found
    row = await recording.locked(session, run_id)
    if (row.engine, row.epoch, row.state) == (LOCAL, epoch, HANDING_OVER):
        return None
    raise LeaseLost(f"The run {run_id} is not handed over by this any more.")


async def claim_for_temporal(session: AsyncSession, run_id: uuid.UUID, epoch: int, holder: str) -> Hold:
    """The first thing that a workflow does. Done twice by the same one, it is the same.

    Args:
        holder: the workflow's run id.

    Raises:
        LeaseLost: it is not this one's to execute: to be failed without another try.
    """
    row = await recording.locked(session, run_id)
    mine = row.engine == TEMPORAL and row.epoch == epoch and row.state not in OVER
    if not mine or row.holder not in (None, holder):
        raise LeaseLost(f"The run {run_id} is not to be executed under epoch {epoch}.")
    if row.holder is None:
        taken = update(FlowRunRow).where(FlowRunRow.id == run_id).values(state=RUNNING, holder=holder)
        await session.execute(taken)
    return Hold(run_id, TEMPORAL, epoch, holder)


# From Temporal to the local engine


async def take_back(session: AsyncSession, run_id: uuid.UUID, epoch: int, *, is_lost: bool = False) -> int:
    """Make a run the local engine's: a new one, or one in which nothing is in flight.

    Args:
        epoch: as it was read. A start whose reply did not come is never followed by anything but this: the workflow,
            if it is there, finds the epoch changed and ends.
        is_lost: Temporal has lost its workflow for good: what is in flight is repeated, or people are asked.

    Returns: the new epoch.

    Raises:
        LeaseLost: the epoch is another, or it is not Temporal's.
        Conflict: something is in flight.
    """
    row = await recording.locked(session, run_id)
    if row.engine != TEMPORAL or row.epoch != epoch or row.state in OVER:
        raise LeaseLost(f"The run {run_id} is not Temporal's under epoch {epoch}.")
    if not is_lost and await recording.is_in_flight(session, run_id):
        raise Conflict("Steps of the run are in flight on Temporal.", field="run", remedy="Wait until it is idle.")
    await recording.unsettle(session, run_id, LOST)
    values = {"engine": LOCAL, "epoch": epoch + 1, "state": WAITING, "holder": None, "lease_until": None}
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(**values, wake_at=None))
    await recording.tell(session, run_id, [events.run_moved(LOCAL, epoch + 1)])
    return epoch + 1


async def fall_back(session: AsyncSession, run_id: uuid.UUID, epoch: int) -> bool:
    """Make a new run the local engine's, if its flow says that it may be; it goes back once Temporal is there.

    Raises:
        LeaseLost, Conflict: see `take_back`.
    """
    await recording.locked(session, run_id)
    run = await histories.run_of(session, run_id)
    definition = await histories.definition_of(session, run.organisation_id, run.hash)
    if decode(definition).get("fallback") != LOCAL:
        return False
    await take_back(session, run_id, epoch)
    await session.execute(update(FlowRunRow).where(FlowRunRow.id == run_id).values(fallback=True))
    return True
