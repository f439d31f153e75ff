"""What the network and large messages do to a session: it ends in time, and the agent comes back."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pavo.jobs import contracts as c
from pavo.kit.processes import child_dies_with_us
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from tests.driving import until
from tests.faults.proxy import Link, Mode
from tests.fleet.conftest import Commands, Gateway
from tests.fleet.fake_agent import agent, result_of
from tests.fleet.rows import Rows

LIFE_SECONDS = "180"
"""Of the agent's process, whatever becomes of its test."""


async def test_a_black_hole_is_left_by_both_sides(gateway: Gateway, rows: Rows, tmp_path: Path) -> None:
    """Neither side gets anything, nobody is told: the gateway counts the agent as away, the agent program connects
    again, and has a session once the network is back."""
    link = Link(int(gateway.address.rpartition(":")[2]))
    await link.start()
    words = ["--url", f"http://127.0.0.1:{link.port}", "--name", "builder", "--state", str(tmp_path / "state")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["timeout", LIFE_SECONDS, sys.executable, "-m", "pavo.cli.main", "agent", "run", *words],
            env={**os.environ, "PAVO_AGENT_TOKEN": await rows.token(), "no_proxy": "*"},
            stdout=log,
            stderr=log,
            preexec_fn=child_dies_with_us(signal.SIGTERM),  # which `timeout` hands on
        )
    try:

        async def is_online() -> int:
            found = await rows.run(
                "SELECT session FROM remote_agents WHERE organisation_id = :id AND online", id=rows.organisation_id
            )
            return found[0].session if found else 0

        async def is_away() -> bool:
            return not await is_online()

        first = await until(is_online, what="the agent is connected")
        await link.switch(Mode.BLACK_HOLE)
        await until(is_away, what="the agent counts as away")
        assert link.hits and process.poll() is None
        await link.switch(Mode.PASS)
        assert await until(is_online, what="the agent is connected again") > first
    finally:
        process.terminate()
        process.wait(30)
        await link.close()


async def test_results_up_to_the_limit_are_taken_and_larger_ones_are_refused(
    gateway: Gateway, rows: Rows, commands: Commands
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        running = await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        larger = sized(command, MAX_BODY_BYTES + 1)
        await builder.send(pb.FromAgent(result=larger))
        said = await builder.goodbye()
        assert f"{MAX_BODY_BYTES:,}" in said.reason and said.remedy and not said.come_back
        await builder.connect()
        await running.signal("route", (await rows.of_agent()).queue)
        command = await builder.command()
        await builder.send(pb.FromAgent(result=sized(command, MAX_BODY_BYTES)))
        assert (await running.result()).changed
        stored = (await rows.commands(job))[0]
        assert len(stored.result) == MAX_BODY_BYTES and MAX_BODY_BYTES < MAX_MESSAGE_BYTES


@pytest.mark.parametrize("beyond", [0, 1])
async def test_commands_up_to_the_limit_are_sent_and_larger_ones_fail_with_their_cause(
    gateway: Gateway, rows: Rows, commands: Commands, beyond: int
) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        builder_limit = MAX_MESSAGE_BYTES  # as gRPC's own, which is what this agent has
        await builder.connect()
        probe, job = await rows.job(), await rows.job()
        await rows.run("UPDATE jobs SET prompt = repeat('x', 3000000) WHERE id = :id", id=probe.uuid)
        queue = (await rows.of_agent()).queue
        await commands.start(probe, queue)
        rest = (await builder.command()).ByteSize() - 3_000_000
        wanted = MAX_BODY_BYTES - rest + beyond
        await rows.run("UPDATE jobs SET prompt = repeat('x', :count) WHERE id = :id", count=wanted, id=job.uuid)
        running = await commands.start(job, queue)
        if beyond:
            outcome = await running.result()
            assert (outcome.kind, outcome.error) == (c.OUTCOME_FAILED, "CommandTooLarge")
            kept = pb.Result.FromString((await rows.commands(job))[0].result)
            assert f"{MAX_BODY_BYTES:,}" in kept.failure.cause and kept.failure.remedy
            assert builder.ended is None
        else:
            command = await builder.command(c.command_id(job.id, job.epoch, c.START_EXECUTION, 0))
            assert command.ByteSize() == MAX_BODY_BYTES < builder_limit
            await builder.answer(command, executed=pb.Executed(changed=True))
            assert (await running.result()).changed


def sized(command: pb.Command, size: int) -> pb.Result:
    """A result of exactly so many bytes."""
    result = result_of(command, executed=pb.Executed(changed=True, summary="x" * (size - 200), commit=uuid.uuid4().hex))
    result.executed.summary += "x" * (size - result.ByteSize())
    assert result.ByteSize() == size
    return result
