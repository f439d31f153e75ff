"""Gateways that die, stand still, or come and go: the command goes on elsewhere, and is carried out once."""

import signal
import time
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from pavo.jobs.leases.repository import COME_BACK_SECONDS
from pavo.jobs.sql.waiting import lost_attempts
from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.conftest import Commands, Gateway, start_gateway
from tests.fleet.fake_agent import FakeAgent, agent
from tests.fleet.rows import Job, Rows
from tests.parts import Parts

GOES_ON_SECONDS = 10.0


async def test_a_gateway_that_is_killed_in_the_middle_of_a_command(
    parts: Parts, gateway: Gateway, rows: Rows, commands: Commands, temporal: Client
) -> None:
    dying = await start_gateway(parts)
    token = await rows.token()
    async with agent(dying.address, token) as before, agent(gateway.address, token) as after:
        job, command, running = await in_the_middle(before, rows, commands)
        dying.part.kill()
        begun = time.monotonic()
        await before.until(lambda: before.ended)
        again = await go_on(after, rows, job, command, running)
        assert time.monotonic() - begun < GOES_ON_SECONDS
        await after.answer(again, executed=pb.Executed(changed=True))
        assert (await running.result()).changed
        assert await running.query("seen") == [1, 2]  # told that its agent is there; asked twice
        assert len(await rows.commands(job)) == 1


async def test_an_outage_of_all_gateways_loses_no_attempt(gateway: Gateway, rows: Rows) -> None:
    """Longer than a lease: what nobody could renew has not run out, until agents had time to come back."""
    since = "SELECT since, pavo_now() - since AS before FROM gateway_presence"
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await rows.run("UPDATE jobs SET lease_until = pavo_now() - interval '1 s' WHERE id = :id", id=job.uuid)

        async def is_lost() -> bool:
            return job.uuid in [each.job_id for each in await lost_attempts(rows.database, 3_600)]

        await rows.run("UPDATE gateway_presence SET since = since - interval '1 hour'")
        assert await is_lost(), "while gateways were there"
        hour = "UPDATE gateway_presence SET seen_at = seen_at - interval '1 hour', since = since - interval '1 hour'"
        others = gateway.part
        others.kill(signal.SIGSTOP)
        try:
            await rows.run(hour)
            assert not await is_lost(), "nobody hears it"
        finally:
            others.kill(signal.SIGCONT)

        async def is_noted() -> bool:
            return (await rows.one(since)).before < timedelta(minutes=30)

        await until(is_noted, what="the gateway's note that it is there again")
        assert not await is_lost(), "it may come back yet"
        await rows.run(f"UPDATE gateway_presence SET since = since - interval '{COME_BACK_SECONDS + 1} seconds'")
        assert await is_lost()


async def test_a_gateway_that_stands_still(parts: Parts, gateway: Gateway, rows: Rows, commands: Commands) -> None:
    still = await start_gateway(parts)
    token = await rows.token()
    async with agent(still.address, token) as before, agent(gateway.address, token) as after:
        job, command, running = await in_the_middle(before, rows, commands)
        still.part.kill(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            await before.until(lambda: before.ended)  # by HTTP/2's pings
            again = await go_on(after, rows, job, command, running)
            assert time.monotonic() - begun < GOES_ON_SECONDS + 5
            session = (await rows.of_agent()).session
        finally:
            still.part.kill(signal.SIGCONT)

        async def has_noticed() -> bool:
            return "has ended" in still.part.log.read_text()

        await until(has_noticed, what="the gateway that stood still sees that its session is over")
        await after.answer(again, executed=pb.Executed(changed=True))
        assert (await running.result()).changed
        row = await rows.of_agent()
        assert (row.session, row.online) == (session, True)  # its end has changed nothing
    still.part.end()


async def test_what_was_not_acknowledged_is_sent_again(parts: Parts, gateway: Gateway, rows: Rows) -> None:
    dying = await start_gateway(parts)
    token = await rows.token()
    async with agent(dying.address, token) as before, agent(gateway.address, token) as after:
        await before.connect()
        job = await rows.job()
        await before.log(job.id, 1, 1, ["one", "two", "three"])
        dying.part.kill()
        await before.until(lambda: before.ended)
        welcome = await after.connect(running=[pb.RunningJob(job_id=job.id, epoch=1, last_log_seq=3)])
        acked = welcome.jobs[0].acked_log_seq
        assert 0 <= acked <= 3 and before.acked(job.id, 1) <= acked
        await after.log(job.id, 1, 1, ["one", "two", "three", "four"])
        await after.logged(job.id, 1, 4)
        assert [(each.text, each.gap) for each in await rows.lines(job)] == [
            ("one", 0),
            ("two", 0),
            ("three", 0),
            ("four", 0),
        ]


async def test_a_gateway_that_ends_gives_its_commands_back(
    parts: Parts, gateway: Gateway, rows: Rows, commands: Commands
) -> None:
    ending = await start_gateway(parts)
    token = await rows.token()
    async with agent(ending.address, token) as before, agent(gateway.address, token) as after:
        job, command, running = await in_the_middle(before, rows, commands)
        ending.part.process.terminate()
        assert (await before.goodbye()).come_back
        again = await go_on(after, rows, job, command, running)
        await after.answer(again, executed=pb.Executed(changed=True))
        assert (await running.result()).changed
        ending.part.process.wait(20)
        assert ending.part.process.returncode == 0, ending.part.log.read_text()[-2000:]


async def in_the_middle(before: FakeAgent, rows: Rows, commands: Commands) -> tuple[Job, pb.Command, Any]:
    """An agent that works at a command."""
    await before.connect()
    job = await rows.job()
    running = await commands.start(job, (await rows.of_agent()).queue)
    command = await before.command()
    await before.accept(command)
    await before.work(command, "EXECUTING")
    await until(lambda: shows(rows, job, "EXECUTING"), what="the job is executing")
    return job, command, running


async def shows(rows: Rows, job: Job, stage: str) -> bool:
    return (await rows.of_job(job)).stage == stage


async def go_on(after: FakeAgent, rows: Rows, job: Job, command: pb.Command, running: Any) -> pb.Command:
    """The agent connects to another gateway, and gets the very same command there."""
    running_jobs = [pb.RunningJob(job_id=job.id, epoch=1, command_ids=[command.id])]
    welcome = await after.connect(running=running_jobs)
    assert [each.yours for each in welcome.jobs] == [True]
    await running.signal("route", (await rows.of_agent()).queue)
    again = await after.command(seconds=GOES_ON_SECONDS)
    assert again == command
    return again
