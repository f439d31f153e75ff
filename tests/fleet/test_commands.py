"""Commands to remote agents: carried out once, answered by whichever stream."""

import asyncio
import uuid

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from pavo.jobs import contracts as c
from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.attempt_workflow import Cancelling, Pinging
from tests.fleet.conftest import Commands, Gateway
from tests.fleet.fake_agent import agent, result_of
from tests.fleet.rows import Rows

CHECKS = '[{"name": "unit", "command": "make test", "timeout_seconds": 60}]'


async def test_a_command_is_carried_out(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        assert command.id == c.command_id(job.id, 1, c.START_EXECUTION, 0)
        asked = command.start_execution
        assert (asked.prompt, asked.branch) == ("The button is broken", f"pavo/{job.id}")
        await builder.accept(command)
        for stage in ("PREPARING", "EXECUTING", "EXECUTING", "DONE", "NONSENSE"):
            await builder.work(command, stage)
        await builder.answer(command, executed=pb.Executed(changed=True, commit="abc123", summary="Done."))
        async with asyncio.timeout(10):
            assert await running.result() == c.CommandOutcome("done", changed=True)
        [stored] = await rows.commands(job)
        assert stored.sent_at and stored.accepted_at and stored.ended_at and not stored.late
        assert pb.Result.FromString(stored.result).executed.summary == "Done."
        assert (await rows.of_job(job)).stage == "EXECUTING"
        assert await rows.stages(job) == ["PREPARING", "EXECUTING"]


async def test_a_stream_that_is_cut_has_the_command_sent_again(
    gateway: Gateway, rows: Rows, commands: Commands
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        await builder.accept(command)
        await builder.close()
        await builder.connect(running=[pb.RunningJob(job_id=job.id, epoch=1, command_ids=[command.id])])
        await running.signal("route", (await rows.of_agent()).queue)
        again = await builder.command()
        assert again == command
        await builder.answer(again, executed=pb.Executed(changed=True))
        async with asyncio.timeout(10):
            assert (await running.result()).changed
        assert await running.query("seen") == [1, 2]
        assert len(await rows.commands(job)) == 1


async def test_a_result_that_comes_before_it_is_asked_for_again_is_used(
    gateway: Gateway, rows: Rows, commands: Commands
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        await builder.close()
        await builder.connect()
        await builder.answer(command, failure=pb.Failure(type="PrepareFailed", cause="No make", retryable=True))
        await running.signal("route", (await rows.of_agent()).queue)
        async with asyncio.timeout(10):
            outcome = await running.result()
        assert outcome == c.CommandOutcome("failed", error="PrepareFailed", retryable=True)
        assert builder.of("command") == []  # it was carried out already


async def test_what_failed_goes_back_with_the_next_round(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        queue = (await rows.of_agent()).queue
        ada = {"author_name": "Ada", "author_email": "ada@example.com"}
        job = await rows.job(repository=await rows.repository(verify=CHECKS, forge="gitea", **ada))
        verifying = await commands.start(job, queue, c.RUN_VERIFICATION)
        command = await builder.command()
        assert [each.command for each in command.run_verification.checks] == ["make test"]
        check = pb.CheckResult(name="unit", exit_code=2, tail="test_button failed")
        await builder.answer(command, verified=pb.Verified(checks=[check]))
        assert await verifying.result() == c.CommandOutcome("done", passed=False)
        again = await commands.start(job, queue, c.START_EXECUTION, round=1)
        command = await builder.command(c.command_id(job.id, 1, c.START_EXECUTION, 1))
        assert command.start_execution.round == 1
        assert "test_button failed" in command.start_execution.feedback
        await builder.answer(command, executed=pb.Executed(changed=True, summary="Mended it."))
        assert (await again.result()).changed
        publishing = await commands.start(job, queue, c.CREATE_PULL_REQUEST)
        command = await builder.command(c.command_id(job.id, 1, c.CREATE_PULL_REQUEST, 0))
        body, status = command.create_pull_request.body, command.create_pull_request.status
        assert (status.state, status.context) == ("failure", "pavo/verification")
        assert status.description == "1 of 1 checks failed" and status.url == f"https://pavo.example/api/jobs/{job.id}"
        assert f"(https://pavo.example/api/jobs/{job.id})" in body
        where = command.create_pull_request.repository
        assert (where.author_name, where.author_email) == ("Ada", "ada@example.com")
        assert all(told in body for told in ("The button is broken", "Mended it.", "| `unit` | failed (2) |", job.id))
        published = pb.Published(url="https://x/1", number=1, commit="c0ffee", branch="pavo/x")
        await builder.answer(command, published=published)
        assert (await publishing.result()).kind == "done"
        attempt = await rows.one("SELECT commit, branch FROM job_attempts WHERE job_id = :id", id=job.uuid)
        assert (attempt.commit, attempt.branch) == ("c0ffee", "pavo/x")


async def test_an_attempt_that_lost_its_job_gets_no_commands(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await rows.run("UPDATE jobs SET epoch = 2 WHERE id = :id", id=job.uuid)
        running = await commands.start(job, (await rows.of_agent()).queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await running.result()
        assert type_of(failed.value) == c.LEASE_LOST
        assert builder.of("command") == []


def type_of(error: WorkflowFailureError) -> str | None:
    """Of the activity's error that ended a workflow."""
    cause = error.cause
    assert isinstance(cause, ActivityError) and isinstance(cause.cause, ApplicationError), cause
    return cause.cause.type


async def test_a_late_result_is_kept_and_marked(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        await rows.run("UPDATE jobs SET epoch = 2, stage = 'QUEUED' WHERE id = :id", id=job.uuid)
        await builder.work(command, "EXECUTING")
        await builder.answer(command, executed=pb.Executed(changed=True, commit="late"))
        await builder.answer(command, executed=pb.Executed(changed=False, commit="another"))  # the first counts
        [stored] = await rows.commands(job)
        assert stored.late and pb.Result.FromString(stored.result).executed.commit == "late"
        assert (await rows.of_job(job)).stage == "QUEUED" and await rows.stages(job) == []


async def test_a_result_for_another_agents_command_ends_the_session(
    gateway: Gateway, rows: Rows, commands: Commands
) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "thief") as thief:
        await builder.connect()
        await thief.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        await thief.accept(command)
        await thief.work(command, "PUBLISHING")
        await thief.send(pb.FromAgent(result=result_of(command, executed=pb.Executed(changed=True))))
        assert "another agent" in (await thief.goodbye()).reason
        [stored] = await rows.commands(job)
        assert (stored.result, stored.accepted_at) == (None, None)
        assert (await rows.of_job(job)).stage == "CLAIMED"
        await builder.answer(command, executed=pb.Executed(changed=False))
        assert not (await running.result()).changed


async def test_results_of_what_is_not_known_are_taken_and_forgotten(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        gone = pb.Command(id=str(uuid.uuid4()), job_id=str(uuid.uuid4()), epoch=1)
        await builder.answer(gone, executed=pb.Executed(changed=True))
        await builder.send(pb.FromAgent(result=pb.Result(command_id="nonsense")))
        assert "result" in (await builder.goodbye()).reason


async def test_an_answer_of_the_wrong_kind_is_a_failure(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        await builder.answer(await builder.command(), cleaned=pb.Cleaned())
        assert await running.result() == c.CommandOutcome("failed", error="WrongResult")


async def test_a_job_is_cancelled_and_an_agent_is_greeted(
    gateway: Gateway, rows: Rows, commands: Commands, temporal: Client
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        welcome = await builder.connect()
        row = await rows.of_agent()
        job = await rows.job()
        running = await commands.start(job, row.queue)
        command = await builder.command()
        name = f"cancel-{job.id}"
        await temporal.execute_workflow(
            Cancelling.run, args=[c.JobInput(job.id, 1), row.queue], id=name, task_queue=commands.queue
        )
        [told] = await builder.until(lambda: builder.of("cancel"))
        assert (told.job_id, told.epoch) == (job.id, 1)
        await builder.answer(command, cancelled=pb.Cancelled(killed=3))
        assert await running.result() == c.CommandOutcome("cancelled", killed=3)

        async def greet(session: int) -> float:
            ping = c.Ping(str(row.id), session)
            return await temporal.execute_workflow(
                Pinging.run, args=[ping, row.queue], id=f"ping-{uuid.uuid4()}", task_queue=commands.queue
            )

        assert 0 <= await greet(welcome.session) < 5
        with pytest.raises(WorkflowFailureError):
            await greet(welcome.session + 1)


async def test_commands_wait_for_nobody_else(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    """Thirty agents, each with a command, all at once."""
    token = await rows.token()
    agents = [agent(gateway.address, token, f"builder-{number}") for number in range(30)]
    there = [await each.__aenter__() for each in agents]
    try:
        await asyncio.gather(*(each.connect() for each in there))
        jobs = [await rows.job(each.name) for each in there]
        queues = [(await rows.of_agent(each.name)).queue for each in there]
        running = await asyncio.gather(*map(commands.start, jobs, queues))

        async def carry_out(number: int) -> None:
            command = await there[number].command()
            assert command.job_id == jobs[number].id
            await there[number].answer(command, executed=pb.Executed(changed=True))

        await asyncio.gather(*(carry_out(number) for number in range(30)))
        assert all(each.changed for each in await asyncio.gather(*(each.result() for each in running)))
    finally:
        for each in agents:
            await each.__aexit__(None, None, None)

    async def all_away() -> bool:
        query = "SELECT 1 FROM remote_agents WHERE organisation_id = :id AND online"
        return await rows.run(query, id=rows.organisation_id) == []

    await until(all_away, what="all are away")
