"""Attempts at steps: each is made because the ledger says that it is in flight, and writes down what came of it."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from pavo.errors import LeaseLost, NotFound, Unavailable
from pavo.flows import turns
from pavo.flows.attempts import Attempted, Given, Steps
from pavo.flows.evaluation import CannotEvaluate
from pavo.flows.ledger import histories, recording
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import TEMPORAL, Hold, RunRecord
from pavo.flows.progress import Progress
from pavo.flows.temporal.accounts import Account, Accounts, Publish
from pavo.flows.temporal.contracts import DoStep, FlowSteps
from pavo.kit import cancellation
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.runs.story import HEARTBEAT_SECONDS

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 0.5
"""Before PostgreSQL is asked again that did not answer."""
Answer = TypeVar("Answer")


class StepAttempts(FlowSteps):
    """Of a worker.

    Args:
        steps: what attempts do.
        publish: tells viewers what was committed.
    """

    def __init__(self, database: Database, steps: Steps, accounts: Accounts, publish: Publish) -> None:
        self._database, self._steps, self._accounts, self._publish = database, steps, accounts, publish

    @activity.defn(name="do_flow_step")
    async def do_flow_step(self, request: DoStep) -> None:
        """Make an attempt that the ledger says is in flight. PostgreSQL may be away meanwhile: what came of the attempt
        is kept here until it is written."""
        beating = asyncio.create_task(_beat(), name="heartbeats")
        try:
            await self._do(request)
        except (LeaseLost, NotFound) as error:
            logger.info("Step %s of run %s: %s", request.doing.id, request.run_id, error)
        finally:
            await cancellation.end(beating)

    async def _do(self, request: DoStep) -> None:
        run_id, doing, token = uuid.UUID(request.run_id), request.doing, str(new_id())
        hold = Hold(run_id, TEMPORAL, request.epoch, request.holder)
        key = ResultKey(doing.step, doing.item, doing.undoes)
        taken = await self._patiently(lambda session: recording.take(session, hold, key, doing.attempt, token))
        if taken == "no":
            return
        async with self._accounts.using(run_id) as account:
            progress, run = await self._patiently(lambda session: _read(session, account, run_id))
            definition = progress.definition
            given = await self._given(account, progress, run, key, doing.attempt) if taken == "yes" else None
        if given is None:
            attempted = Attempted(error=turns.INTERRUPTED, unknown=True)
        elif isinstance(given, Attempted):
            attempted = given
        elif activity.info().attempt > turns.INTERRUPTIONS:
            attempted = Attempted(error=turns.LOST_TOO_OFTEN)
        else:
            attempted = await self._attempt(progress, key, given)
        change = turns.outcome(definition, key, doing.attempt, attempted)
        told = await self._patiently(lambda session: recording.report(session, hold, key, doing.attempt, change, token))
        self._publish(told)

    async def _given(
        self, account: Account, progress: Progress, run: RunRecord, key: ResultKey, attempt: int
    ) -> Given | Attempted:
        step = progress.definition.flow.steps[key.step]
        try:
            values = await account.turns.filled(progress, key)
        except CannotEvaluate as error:
            return Attempted(error=str(error))
        tool = step.compensate.tool if key.undoes and step.compensate is not None else ""
        return Given(run.id, run.organisation_id, key, key.idempotency_key(run.id), attempt, tool, values)

    async def _attempt(self, progress: Progress, key: ResultKey, given: Given) -> Attempted:
        step = progress.definition.flow.steps[key.step]
        try:
            return await self._steps.attempt(step, given)
        except Exception:
            logger.exception("Step %s of run %s raised what it should not", key.step, given.run_id)
            unknown = not self._steps.is_repeatable(step, undoes=key.undoes)
            return Attempted(error="it raised what nobody foresaw; the worker's log says more", unknown=unknown)

    async def _patiently(self, write: Callable[[AsyncSession], Awaitable[Answer]]) -> Answer:
        """A transaction, as often as it takes: a try of the activity stands for one of the step."""
        while True:
            try:
                async with self._database.transaction() as session:
                    return await write(session)
            except Unavailable as error:
                logger.warning("A step waits for PostgreSQL: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)


async def _read(session: AsyncSession, account: Account, run_id: uuid.UUID) -> tuple[Progress, RunRecord]:
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    run = await histories.run_of(session, run_id)
    return await account.read(session, run), run


async def _beat() -> None:
    """A worker that is lost is missed at once."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)
