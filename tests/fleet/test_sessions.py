"""Sessions of remote agents: who gets one, and what happens in it."""

import asyncio

from pavo.jobs import contracts as c
from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.conftest import Commands, Gateway
from tests.fleet.fake_agent import agent
from tests.fleet.rows import Rows


async def test_a_command_is_carried_out(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        welcome = await builder.connect()
        row = await rows.of_agent()
        assert (row.online, row.session, row.labels, row.capacity) == (True, welcome.session, ["linux"], 2)
        assert row.queue == f"agent-{row.id}-{welcome.session}"
        job = await rows.job()
        running = await commands.start(job, row.queue)
        command = await builder.command()
        assert command.id == c.command_id(job.id, 1, c.START_EXECUTION, 0)
        assert (command.start_execution.prompt, command.start_execution.branch) == (
            "The button is broken",
            f"pavo/{job.id}",
        )
        await builder.accept(command)
        await builder.work(command, "PREPARING")
        await builder.work(command, "EXECUTING")
        await builder.answer(command, executed=pb.Executed(changed=True, commit="abc123", summary="Done."))
        async with asyncio.timeout(10):
            outcome = await running.result()
        assert outcome == c.CommandOutcome("done", changed=True)
        [stored] = await rows.commands(job)
        assert stored.sent_at and stored.accepted_at and stored.ended_at and not stored.late
        assert pb.Result.FromString(stored.result).executed.summary == "Done."
        assert (await rows.of_job(job)).stage == "EXECUTING"
        assert await rows.stages(job) == ["PREPARING", "EXECUTING"]

    async def away() -> bool:
        return not (await rows.of_agent()).online

    await until(away, what="the agent counts as away")
