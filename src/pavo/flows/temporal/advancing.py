"""The transaction by which a run goes on: what is due and what follows is written, and what is in flight is told."""

import logging
import uuid
from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from pavo.errors import LeaseLost, NotFound, Unavailable
from pavo.flows import turns
from pavo.flows.ledger import histories, holding, recording
from pavo.flows.ledger.changes import Again, Change, Concluded, Ended, ResultKey
from pavo.flows.ledger.records import TEMPORAL, OutOfStep, ResultRecord, RunRecord
from pavo.flows.progress import Progress
from pavo.flows.scheduler import Status
from pavo.flows.temporal.accounts import Account, Accounts, Publish
from pavo.flows.temporal.contracts import Advance, Doing, FlowTurns, Standing
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.timeline.domain import Event

logger = logging.getLogger(__name__)

TRIES: Final = 5
"""So often a worker tries to go on with a run that raises what nobody foresaw; then the run has failed."""


class RunAdvancing(FlowTurns):
    """Of a worker.

    Args:
        publish: tells viewers what was committed.
    """

    def __init__(self, database: Database, accounts: Accounts, publish: Publish) -> None:
        self._database, self._accounts, self._publish = database, accounts, publish
        self._failures: dict[uuid.UUID, int] = {}

    @activity.defn(name="advance_flow")
    async def advance_flow(self, request: Advance) -> Standing:
        """Write what is due and what follows of what was written, and say what is in flight.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        run_id, told = uuid.UUID(request.run_id), list[Event]()
        try:
            async with self._accounts.using(run_id) as account, self._database.transaction() as session:
                standing = await self._advance(session, account, request, told)
            self._publish(told)
        except OutOfStep as error:  # what this worker kept is not what is written: it has forgotten that now
            standing = await self._failed(request, error)
        except (LeaseLost, NotFound) as error:
            logger.info("Run %s: %s", run_id, error)
            standing = Standing(holds=False)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged, counted and told
            standing = await self._failed(request, error)
        if standing.outcome:
            metrics.FLOW_RUNS_ENDED.add(TEMPORAL, standing.outcome)
        if standing.outcome or not standing.holds:
            self._accounts.drop(run_id)
            self._failures.pop(run_id, None)
        return standing

    async def _advance(self, session: AsyncSession, account: Account, request: Advance, told: list[Event]) -> Standing:
        run_id = uuid.UUID(request.run_id)
        hold = await holding.claim_for_temporal(session, run_id, request.epoch, request.holder)
        run = await histories.run_of(session, run_id)
        progress = await account.read(session, run)
        found = await histories.open_results(session, run_id)
        account.turns.read(found)
        progress.asks(key for key, each in found.items() if each.is_asked)
        may_begin = not (request.rests or run.is_paused)
        changes = await _changes(account, progress, run, found, may_begin=may_begin, epoch=hold.epoch)
        if changes:
            written = await recording.commit(session, hold, run.seq, changes)
            account.note(changes, written.seq)
            told += written.events
            if isinstance(changes[-1], Concluded):
                return Standing(holds=True, outcome=str(changes[-1].outcome))
            found = await histories.open_results(session, run_id)
        await recording.wake_at(session, run_id)
        return _standing(run, found, is_cancelled=account.is_cancelled)

    async def _failed(self, request: Advance, error: Exception) -> Standing:
        """It is tried again, some times; a run that nobody can go on with has failed, and says so.

        Raises:
            Exception: this one, to be tried again.
        """
        run_id = uuid.UUID(request.run_id)
        logger.error("Run %s cannot be gone on with", run_id, exc_info=error)
        self._failures[run_id] = self._failures.get(run_id, 0) + 1
        if self._failures[run_id] < TRIES:
            raise error
        async with self._database.transaction() as session:
            hold = await holding.claim_for_temporal(session, run_id, request.epoch, request.holder)
            seq = (await histories.run_of(session, run_id)).seq
            told = f"it cannot be gone on with: {type(error).__name__}; the worker's log says more"
            await recording.leave(session, run_id)
            written = await recording.commit(session, hold, seq, [Concluded(Status.FAILED, error=told)])
        self._publish(written.events)
        return Standing(holds=True, outcome=str(Status.FAILED))


async def _changes(
    account: Account,
    progress: Progress,
    run: RunRecord,
    found: Mapping[ResultKey, ResultRecord],
    *,
    may_begin: bool,
    epoch: int,
) -> list[Change]:
    """What has happened, and all that follows at once."""
    definition, changes = progress.definition, list[Change]()
    if not account.is_cancelled:
        changes += turns.cancel(definition, run, is_too_long=run.seconds_left <= 0)
    changes += turns.interrupted(definition, found, epoch, may_begin=may_begin)
    for key, result in found.items():
        if result.due_seconds == 0 and result.state == "timer":
            changes.append(Ended(key, Status.SUCCEEDED))
        elif result.due_seconds == 0 and result.state == "retrying" and may_begin:
            changes.append(Again(key))
    over = {each.key for each in changes if isinstance(each, Ended)}
    for change in changes:
        progress.told(change)

    def may_stop(key: ResultKey, *, repeatable: bool) -> bool:
        result = found.get(key)
        waits = result is not None and result.state in ("timer", "retrying", "awaiting")
        return key not in over and (waits or (repeatable and (result is None or result.state == "running")))

    return changes + (await account.turns.following(progress, may_stop) if may_begin else [])


def _standing(run: RunRecord, found: Mapping[ResultKey, ResultRecord], *, is_cancelled: bool) -> Standing:
    doing = [
        Doing(key.step, key.item, key.undoes, each.attempt) for key, each in found.items() if each.state == "running"
    ]
    waits = ("timer",) if run.is_paused else ("timer", "retrying")
    due = [each.due_seconds for each in found.values() if each.due_seconds is not None and each.state in waits]
    if not is_cancelled:
        due.append(run.seconds_left)
    return Standing(holds=True, doing=doing, wakes_in=max(min(due), 0.01) if due else None)
