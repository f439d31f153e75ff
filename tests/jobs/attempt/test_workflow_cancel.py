"""Cancelling: at any moment, with a receipt; the agent ends, cleans up, or owes that."""

import asyncio

import pytest
from sqlalchemy import update
from temporalio.client import WorkflowFailureError

from pavo.errors import NotFound, WrongStage
from pavo.jobs import contracts as c
from pavo.jobs.attempt.contracts import CancelReceipt
from pavo.jobs.service import JobService
from pavo.jobs.sql.models import JobRow
from pavo.jobs.workflow import CodingJob
from pavo.protocol.fleet_pb2 import Result
from tests.jobs.attempt.given import Given, organisation
from tests.jobs.attempt.scripted import failure, for_ever, kinds


async def test_a_job_that_is_executed_is_cancelled_at_its_agent(given: Given, service: JobService) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, given.agent.until_cancelled)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    receipt = await service.cancel(given.who, job)
    assert (receipt.stage, receipt.reached, receipt.killed, receipt.cleaned) == ("CANCELLED", True, 3, True)
    assert await handle.result() == "CANCELLED"
    assert kinds(given.agent.asked) == [c.START_EXECUTION, c.CLEANUP]
    row, attempt = await given.row(job), await given.attempt(job)
    assert (row.stage, row.cancel_asked_by) == ("CANCELLED", given.who.user_id)
    assert (attempt.ended, attempt.cleanup_owed) == ("cancelled", False)
    assert await service.cancel(given.who, job) == CancelReceipt("CANCELLED", reached=True)


async def test_an_agent_that_is_away_owes_the_cleaning_up(given: Given, service: JobService) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, for_ever)
    await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    await given.sessions.names(None)
    receipt = await service.cancel(given.who, job)
    assert (receipt.stage, receipt.reached, receipt.cleaned) == ("CANCELLED", False, False)
    assert (await given.attempt(job)).cleanup_owed
    ended = [event for event in await given.events(job) if event.type == "attempt_ended"]
    assert ended[0].data == {"epoch": 1, "how": "cancelled", "owes_cleanup": True}


async def test_a_job_that_waits_is_cancelled_at_once_and_one_that_is_over_is_not(
    given: Given, service: JobService
) -> None:
    job = await given.job()
    async with given.database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == job).values(stage="QUEUED"))
    assert (await service.cancel(given.who, job)).stage == "CANCELLED"
    done = await given.job()
    await (await given.start(done)).result()
    with pytest.raises(WrongStage):
        await service.cancel(given.who, done)


async def test_a_job_whose_workflow_is_not_there_is_cancelled_all_the_same(given: Given, service: JobService) -> None:
    job = await given.job()
    receipt = await service.cancel(given.who, job)
    assert (receipt.stage, receipt.reached) == ("CANCELLED", False)
    assert (await given.attempt(job)).ended == "cancelled"
    assert await (await given.start(job)).result() == ""
    assert given.agent.asked == []


async def test_the_signal_alone_cancels_while_nobody_is_connected(given: Given) -> None:
    job = await given.job()
    await given.sessions.names(None)
    handle = await given.start(job)
    await handle.signal(CodingJob.cancel)
    assert await handle.result() == "CANCELLED"
    attempt = await given.attempt(job)
    assert not attempt.cleanup_owed, "nothing was ever sent to the agent"


async def test_a_cleanup_that_fails_is_owed_and_holds_nobody_up(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.CLEANUP, failure("Busy"))
    assert await (await given.start(job)).result() == "DONE"
    assert (await given.attempt(job)).cleanup_owed


async def test_a_cleanup_of_an_agent_that_left_after_its_failure_is_owed(given: Given) -> None:
    job, left = await given.job(), asyncio.Event()

    async def fails_and_leaves(_: c.RunCommand) -> Result:
        await given.sessions.names(None)
        left.set()
        return failure("NoSpace")

    given.agent.will(c.START_EXECUTION, fails_and_leaves)
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job)).result()
    row = await given.row(job)
    assert left.is_set() and row.stage == "FAILED" and (await given.attempt(job)).cleanup_owed


async def test_whose_a_job_is(given: Given, service: JobService) -> None:
    job = await given.job()
    stranger, _, _ = await organisation(given.database)
    for call in (service.cancel, service.requeue, service.workflow_status):
        with pytest.raises(NotFound):
            await call(stranger, job)
    with pytest.raises(NotFound):
        await service.rework(stranger, job, "Again.")
    with pytest.raises(NotFound):
        await service.adopt(stranger, job, 1)
