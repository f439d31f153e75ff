"""A real worker pings an agent by its schedule, through a real gateway's stream; the pings rest once it is gone."""

import contextlib

from temporalio.client import Client
from temporalio.service import RPCError

from pavo.config import Settings
from tests.driving import until
from tests.fleet.conftest import Gateway
from tests.fleet.fake_agent import agent
from tests.fleet.rows import Rows
from tests.parts import Parts


async def test_an_agent_is_pinged_through_its_stream_and_its_pings_rest_when_it_leaves(
    gateway: Gateway, rows: Rows, parts: Parts, temporal: Client, settings: Settings
) -> None:
    await parts.start("worker")
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        found = await rows.of_agent()
        schedule = temporal.get_schedule_handle(f"pavo-agent:{settings.temporal.task_queue}:{found.id}")

        async def triggered() -> bool:
            with contextlib.suppress(RPCError):  # the gateway has not made it yet
                await schedule.trigger()
                return True
            return False

        await until(triggered, what="the agent's schedule")

        async def pinged() -> bool:
            return bool((await rows.of_agent()).last_ping)

        await until(pinged, what="a recorded ping")
        row = await rows.of_agent()
        assert (row.online, row.failed_pings) == (True, 0)
        assert not (await schedule.describe()).schedule.state.paused

    async def rests() -> bool:
        state = (await schedule.describe()).schedule.state
        return state.paused and (state.note or "").startswith("Pavo: the agent is offline")

    await until(rests, what="the schedule to rest")
    await schedule.delete()
