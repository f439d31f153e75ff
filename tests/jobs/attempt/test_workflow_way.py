"""What fails on the way to the agent is sent anew, with the same id, wherever the agent is then."""

import asyncio

import pytest
from sqlalchemy import func, select, text
from temporalio.client import WorkflowFailureError

from pavo.jobs import contracts as c
from pavo.jobs.sql.claims import AVAILABLE
from pavo.jobs.sql.models import RemoteAgentRow
from pavo.jobs.workflow import CodingJob
from pavo.protocol.fleet_pb2 import Result
from pavo.runs.story import MAX_HISTORY_EVENTS
from tests.driving import until
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import executed, failure, for_ever, kinds, lease_lost, session_lost, verified


async def test_a_lost_session_sends_the_same_command_again(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, session_lost, session_lost)
    assert await (await given.start(job)).result() == "DONE"
    sent = [each.command_id for each in given.agent.asked if each.kind == c.START_EXECUTION]
    assert len(sent) == 3 and len(set(sent)) == 1, "the same id"
    assert set(given.agent.carried_out.values()) == {1}


async def test_an_agent_that_comes_back_elsewhere_is_asked_there_at_once(given: Given) -> None:
    """Its first session's activity never answers: the signal of the second one has the workflow ask there."""
    job, done = await given.job(), asyncio.Event()

    async def works(_: c.RunCommand) -> Result:
        await done.wait()
        return executed()

    given.agent.will(c.START_EXECUTION, works)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    await given.sessions.connect()
    await handle.signal(CodingJob.agent_connected)
    await given.until_asked(c.START_EXECUTION, 2)
    done.set()
    assert await handle.result() == "DONE"
    assert set(given.agent.carried_out.values()) == {1}, "the agent works on, and does not begin again"


async def test_a_workflow_whose_agent_is_away_waits_for_it(given: Given) -> None:
    job = await given.job()
    await given.sessions.end()
    handle = await given.start(job)
    await given.until_stage(job, "CLAIMED")

    async def waits() -> bool:
        return (await handle.query(CodingJob.job_state)).phase == "executing"

    await until(waits, what="the workflow, waiting")
    await given.sessions.connect()
    await handle.signal(CodingJob.agent_connected)
    assert await handle.result() == "DONE"
    assert (await handle.describe()).history_length < 120


async def test_an_agent_that_is_silent_is_asked_anew(given: Given) -> None:
    """Heartbeat time-out, 2 s for this command on this worker."""
    job, silent = await given.job(), asyncio.Event()

    async def says_nothing(_: c.RunCommand) -> Result:
        await silent.wait()
        return executed()

    given.agent.will(c.START_EXECUTION, says_nothing)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION, 2)
    silent.set()
    assert await handle.result() == "DONE"
    assert set(given.agent.carried_out.values()) == {1}


async def test_a_lease_that_ran_out_puts_the_job_back_into_its_queue(given: Given) -> None:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, for_ever)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    await handle.signal(CodingJob.lease_lost)  # a doubt: it holds

    async def looked() -> bool:
        return (await handle.describe()).history_length > 10

    await until(looked)
    assert (await given.row(job)).stage == "CLAIMED"
    await given.lease(job, -1)
    await handle.signal(CodingJob.lease_lost)
    assert await handle.result() == "QUEUED"
    row, attempt = await given.row(job), await given.attempt(job)
    assert (row.attempts, row.rank, row.lease_until) == (1, 0.0, None)
    assert (attempt.ended, attempt.cleanup_owed) == ("lost", True)
    assert attempt.reason.startswith("LeaseExpired")
    assert c.CLEANUP not in kinds(given.agent.asked), "nobody cleans up what may still be adopted"


async def test_a_job_that_gets_nowhere_goes_back_though_its_lease_is_kept(given: Given) -> None:
    """Nothing came of it for longer than the worker's setting; the agent renews its lease still."""
    job = await given.job()
    given.agent.will(c.START_EXECUTION, for_ever)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    await given.heard(job, 59)
    await handle.signal(CodingJob.lease_lost)

    await given.until_asked(c.START_EXECUTION, 3)  # it looked, and goes on
    assert (await given.row(job)).stage == "CLAIMED", "not long enough"
    await given.heard(job, 61)
    await given.lease(job, 3_600)
    await handle.signal(CodingJob.lease_lost)
    assert await handle.result() == "QUEUED"
    row, attempt = await given.row(job), await given.attempt(job)
    assert row.error is not None and row.error["type"] == "Stuck" and row.error["remedy"]
    assert (attempt.ended, attempt.cleanup_owed) == ("lost", True)
    assert attempt.reason.startswith("Stuck: No log line, stage or result")


async def test_a_job_that_is_lost_too_often_fails_with_the_reason(given: Given) -> None:
    job = await given.job(max_attempts=2)
    for epoch in (1, 2):
        if epoch == 2:
            await given.claim(job)
        given.agent.will(c.START_EXECUTION, lease_lost)
        handle = await given.start(job, epoch)
        if epoch == 1:
            assert await handle.result() == "QUEUED"
        else:
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    row = await given.row(job)
    assert row.stage == "FAILED" and row.error is not None
    assert row.error["type"] == "AttemptsUsedUp" and "2 times" in row.error["cause"]


async def test_an_older_attempt_writes_nothing(given: Given) -> None:
    """Its job was given to another attempt meanwhile."""
    job, go = await given.job(), asyncio.Event()

    async def works(_: c.RunCommand) -> Result:
        await go.wait()
        return executed()

    given.agent.will(c.START_EXECUTION, works)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    assert await given.claim(job) == 2
    go.set()
    await handle.result()
    row = await given.row(job)
    assert (row.stage, row.epoch, row.outcome) == ("CLAIMED", 2, None)
    assert await given.stages(job) == []
    assert [each.kind for each in given.agent.asked] == [c.START_EXECUTION]


async def test_a_run_that_moves_on_lets_the_agent_work_and_asks_again(given: Given) -> None:
    job, go = await given.job(), asyncio.Event()

    async def works(_: c.RunCommand) -> Result:
        await go.wait()
        return executed()

    given.agent.will(c.RUN_VERIFICATION, verified("tests"))
    given.agent.will(c.START_EXECUTION, executed(), works)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION, 2)
    await given.temporal.get_workflow_handle(handle.id).signal(CodingJob.move_on)
    await given.until_asked(c.START_EXECUTION, 3)
    go.set()
    await given.until_stage(job, "DONE")
    assert set(given.agent.carried_out.values()) == {1}
    assert given.agent.rounds(c.START_EXECUTION) == [(0, 0), (1, 0)], "its round was handed on"


async def test_a_history_that_grows_long_continues_as_new_and_loses_nothing(given: Given) -> None:
    """By signals without end. The one that cancels comes among those with which the history is full."""
    job, go = await given.job(), asyncio.Event()

    async def works(_: c.RunCommand) -> Result:
        await go.wait()
        return executed()

    given.agent.will(c.RUN_VERIFICATION, verified("tests"))
    given.agent.will(c.START_EXECUTION, executed(), works)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION, 2)
    state = await handle.query(CodingJob.job_state)
    first = await given.filled(handle.id)
    await given.until_asked(c.START_EXECUTION, 3)
    after = await given.temporal.get_workflow_handle(handle.id).query(CodingJob.job_state)
    assert (after.round, after.phase, after.sent) == (state.round, state.phase, state.sent) == (1, "executing", True)
    go.set()
    await given.until_stage(job, "DONE")
    assert set(given.agent.carried_out.values()) == {1}
    history = await given.temporal.get_workflow_handle(handle.id, run_id=first).fetch_history()
    assert MAX_HISTORY_EVENTS < len(history.events) <= 2_000


async def test_signals_beside_a_continue_as_new_are_not_lost(given: Given) -> None:
    """A doubt about the lease, which has run out indeed, among signals that fill the history."""
    job = await given.job()
    given.agent.will(c.START_EXECUTION, for_ever)
    handle = await given.start(job)
    await given.until_asked(c.START_EXECUTION)
    await given.filled(handle.id, nearly=True)
    await given.lease(job, -1)
    any_run = given.temporal.get_workflow_handle(handle.id)
    fill = [any_run.signal(CodingJob.agent_connected) for _ in range(60)]
    await asyncio.gather(*fill[:30], any_run.signal(CodingJob.lease_lost), *fill[30:])
    await given.until_stage(job, "QUEUED")
    assert (await given.attempt(job)).ended == "lost"


@pytest.mark.parametrize("kind", ["Draining", "NoCapacity", "NoSpace"])
async def test_an_agent_that_cannot_do_it_now_counts_for_nothing_and_rests(given: Given, kind: str) -> None:
    job = await given.job(max_attempts=1)
    place = (await given.row(job)).rank
    given.agent.will(c.START_EXECUTION, failure(kind, retryable=True))
    assert await (await given.start(job)).result() == "QUEUED"
    row, attempt = await given.row(job), await given.attempt(job)
    assert (row.attempts, row.rank, row.lease_until) == (0, place, None) and row.error is not None
    assert (attempt.ended, attempt.reason) == ("lost", f"{kind}: {kind}: because.")
    assert given.agent.rounds(c.START_EXECUTION) == [(0, 0)], "nobody asks again and again"
    async with given.database.reading() as session:
        resting = select(RemoteAgentRow.rests_for).where(
            RemoteAgentRow.id == given.agent.id, RemoteAgentRow.rests_until > func.pavo_now()
        )
        assert (await session.scalars(resting)).one() == attempt.reason
        free = text(f"SELECT {AVAILABLE} FROM remote_agents a WHERE a.id = :id")
        assert not (await session.execute(free, {"id": given.agent.id})).scalar_one()
